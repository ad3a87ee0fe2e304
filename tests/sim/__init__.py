"""The deterministic simulator: a cluster of the real core in one process and one thread (docs/simulation.md)."""
