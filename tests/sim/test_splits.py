"""A split with a crash behind each of its steps in turn: it is settled all the same, and nothing is lost or doubled.

With three nodes every second step, with more, where the right half needs copies, a smaller part; other ones every day.
"""

import os
from datetime import date

import pytest

from tests.sim import split_steps
from tests.sim.split_steps import demand_settled, run, scenario, trapped

DAY = int(os.environ.get("SIM_FROM", 0)) or date.today().toordinal()
"""SIM_FROM=n repeats a day's."""


def steps_of(nodes: int, every: int) -> range:
    """Of the steps of a split without a fault every so manieth."""
    count = run(scenario(nodes)).coverage["steps"]
    assert count >= 100, "the split is stepped through"
    return range(1 + DAY % every, count + 1, every)


def go_through(nodes: int, every: int, deed: str) -> list[int]:
    """How often the split was settled, for each step behind which the deed was done."""
    found = []
    steps = steps_of(nodes, every)
    print(f"{deed} behind steps {steps.start} to {steps.stop - 1}, every {every}")
    for step in steps:
        try:
            cluster = run(scenario(nodes), step, deed)
            if deed in ("crash", "crash of the master"):
                demand_settled(cluster)
        except Exception as error:
            raise AssertionError(f"{deed} behind step {step}, {nodes} nodes") from error
        found.append(cluster.coverage["split settled"])
    return found


@pytest.mark.parametrize("nodes", [3, 4, 5])
def test_a_split_without_faults_is_settled(nodes: int) -> None:
    cluster = run(scenario(nodes))
    demand_settled(cluster)
    assert cluster.coverage["right replica made"] == 3 and cluster.coverage["split committed"] == 1
    assert cluster.outcomes["put ok"] and cluster.outcomes["get ok"]


@pytest.mark.parametrize(("nodes", "every"), [(3, 2), (4, 24), (5, 24)])
def test_a_crash_behind_any_step_stops_no_split(nodes: int, every: int) -> None:
    assert set(go_through(nodes, every, "crash")) == {1}


@pytest.mark.parametrize(("nodes", "every"), [(3, 4), (4, 32)])
def test_a_crash_of_the_master_behind_any_step_stops_no_split(nodes: int, every: int) -> None:
    assert set(go_through(nodes, every, "crash of the master")) == {1}


def test_a_plan_that_is_taken_back_behind_any_step_was_carried_out_or_leaves_no_trace() -> None:
    """With six nodes right replicas are made of copies, which go with the plan."""
    found = go_through(6, 60, "taken back")
    assert set(found) <= {0, 1} and 0 in found


@pytest.mark.parametrize(("nodes", "every"), [(3, 12), (5, 48)])
def test_a_volume_that_is_lost_behind_any_step_takes_no_row_with_it(nodes: int, every: int) -> None:
    go_through(nodes, every, "volume lost")


@pytest.mark.parametrize("trap", ["persist", "synced"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_crash_while_a_right_replica_is_made_makes_it_again(number: int, trap: str) -> None:
    """Before its files are in place; and when they are, but no replica is known that they belong to."""
    with trapped(number, trap):
        cluster = run(scenario(4))
    demand_settled(cluster)
    assert cluster.faults["C"] == 1


def test_a_crash_happens_behind_the_very_step() -> None:
    assert split_steps.run(scenario(3), 1, "crash").faults["C"] == 1
