"""Builders of Kubernetes objects: pure functions from a `Frame` (what the cluster is) to manifests as plain dicts.

Golden files of what they give are in tests/manifests/.
"""
