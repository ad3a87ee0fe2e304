"""A move with a crash behind each of its steps in turn: it is made all the same, or taken back, and nothing is lost.

A part of the steps, other ones every day: SIM_FROM=n repeats a day's.
"""

from collections import Counter

import pytest

from tests.sim.move_steps import MOVED, demand_moved, run
from tests.sim.test_splits import DAY


def go_through(of_master: bool, every: int, deed: str) -> Counter[str]:
    """The coverage of all runs, one for each step behind which the deed was done."""
    count = run(of_master).coverage["steps"]
    assert count >= 40, "the move is stepped through"
    steps = range(1 + DAY % every, count + 1, every)
    print(f"{deed} behind steps {steps.start} to {steps.stop - 1}, every {every}")
    found: Counter[str] = Counter(runs=len(steps))
    for step in steps:
        try:
            cluster = run(of_master, step, deed)
            demand_moved(cluster)
        except Exception as error:
            raise AssertionError(f"{deed} behind step {step}") from error
        found += cluster.coverage
    return found


@pytest.mark.parametrize("of_master", [True, False])
def test_a_move_without_faults_is_made(of_master: bool) -> None:
    cluster = run(of_master)
    demand_moved(cluster)
    group = cluster.catalog.groups[MOVED]
    assert len({place.replica for place in group.target} - set(group.founders)) == 1
    assert cluster.coverage["copy"] == 1 and cluster.outcomes["put ok"] and cluster.outcomes["get ok"]


@pytest.mark.parametrize("deed", ["crash", "crash of the master", "volume lost"])
@pytest.mark.parametrize("of_master", [True, False])
def test_what_happens_behind_any_step_stops_no_move(of_master: bool, deed: str) -> None:
    assert go_through(of_master, 16, deed)["runs"] > 5


@pytest.mark.parametrize("of_master", [True, False])
def test_a_move_that_is_cancelled_behind_any_step_is_made_or_taken_back(of_master: bool) -> None:
    found = go_through(of_master, 16, "cancelled")
    assert found["runs"] > 5 and 0 < found["move cancelled"] < found["runs"]


def test_a_crash_happens_behind_the_very_step() -> None:
    assert run(True, 1, "crash").faults["C"] == 1
