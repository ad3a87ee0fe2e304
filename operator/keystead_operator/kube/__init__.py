"""All that talks to a Kubernetes API server. Outside this package only handlers.py does, which is kopf's."""
