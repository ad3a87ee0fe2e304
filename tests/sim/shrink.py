"""A smaller fault schedule that still fails in the same way (delta debugging over the list of faults)."""

from collections.abc import Callable

from tests.sim.cluster import Result, simulate
from tests.sim.scenario import Fault, Scenario


def shrink(scenario: Scenario, failure: str, tell: Callable[[str], None]) -> tuple[Scenario, Result]:
    """Drops faults, in halves, quarters and so on, as long as the run still violates the same check."""
    best = simulate(scenario)
    faults = list(scenario.faults)
    size = max(1, len(faults) // 2)
    while size:
        at = 0
        while at < len(faults):
            rest = tuple(faults[:at] + faults[at + size :])
            result = _fails(scenario, rest, failure)
            if result is not None:
                faults, best = list(rest), result
                tell(f"{len(faults)} faults left")
            else:
                at += size
        size //= 2
    return scenario.with_faults(tuple(faults)), best


def _fails(scenario: Scenario, faults: tuple[Fault, ...], failure: str) -> Result | None:
    result = simulate(scenario.with_faults(faults))
    return result if result.failure == failure else None
