"""The command line: `keystead` and `kubectl keystead`."""
