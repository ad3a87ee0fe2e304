"""Keystead's decisions: pure, synchronous, deterministic. No I/O, no clock, no unseeded randomness."""
