"""The catalog: tables, partition map, node registry and locks, as a state machine over log records."""
