"""Planted bugs: each takes one rule of the protocol away, to prove that the simulator would see its loss.

They live in the tests alone: a bug replaces one function of the core while a seed runs. The core has no switch.
"""

from tests.sim.planted import bugs, rescale_bugs, split_bugs, storage_bugs
from tests.sim.planted.registry import BUGS

__all__ = ["BUGS", "bugs", "rescale_bugs", "split_bugs", "storage_bugs"]
