"""Dividing a partition in two: the record that does it, where, and when."""
