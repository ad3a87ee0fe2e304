"""The embedded substrate: processes for pods, directories for volumes, files for custom resources.

DATA/                    locked (flock on the directory) by the supervisor while it runs
  cluster.json           identity, format version, node places, settings, founders
  objects/<plural>/      the custom resources, a JSON file each
  nodes/<name>/          the volume of a node
  run/                   pids, logs, node configurations, the catalog's lock file, the last reconcile
"""
