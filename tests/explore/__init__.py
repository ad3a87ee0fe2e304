"""Bounded exhaustive exploration of the replication core: every order of events of a small cluster."""
