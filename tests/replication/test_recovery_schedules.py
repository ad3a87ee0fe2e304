"""Old volumes that come back beside a group that was given up, in many orders; and that mistakes would be seen."""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest

from keystead_core.catalog import recoveries
from keystead_core.catalog.contents import Contents
from keystead_core.replication import election, eligibility
from keystead_core.replication.replica import RETIRED, Replica
from tests.replication.recovering import Violation, World

SEEDS = 60
HUNTED = 150


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_old_volumes_never_serve_beside_the_partition_that_has_their_range(first: int) -> None:
    acknowledged = 0
    for seed in range(first, first + 10):
        world = World(seed)
        world.run()
        acknowledged += len(world.acked_before)
    assert acknowledged, "nobody ever wrote"


def _anybody(r: Replica) -> bool:
    return True


def _first_who_answers(contents: Contents) -> None:
    for entry in [entry for entry in contents.partitions.values() if entry.is_recovering]:
        if entry.recovery is not None and not entry.recovery.old and recoveries._best(contents, entry.recovery):
            recoveries._choose(contents, entry, entry.recovery)


def _retired_in_memory_only(r: Replica, reason: str) -> None:
    if reason != RETIRED:
        return _enter(r, reason)
    r.ineligible = reason
    r.step_down("retired")
    return None


def _oldest(contents: Contents, recovery: Any) -> Any:
    there = [one for one in recovery.survivors if one.has_rows and one.node not in recovery.gone]
    return min(there, key=lambda one: (one.epoch, one.lsn, one.node), default=None)


_enter = eligibility.enter
PLANTED = {
    "whoever comes back may lead": [(election, "is_admitted", _anybody)],
    "the first who answers is chosen": [(recoveries, "look_again", _first_who_answers)],
    "a restart forgets that it was retired": [(eligibility, "enter", _retired_in_memory_only)],
    "the oldest log is chosen": [(recoveries, "_best", _oldest)],
}


@pytest.mark.parametrize("bug", PLANTED)
def test_each_rule_is_needed(bug: str) -> None:
    """Without it some schedule breaks the promise."""
    with ExitStack() as stack:
        for owner, name, replacement in PLANTED[bug]:
            stack.enter_context(patch.object(owner, name, replacement))
        for seed in range(HUNTED):
            try:
                World(seed).run()
            except Violation:
                return
    raise AssertionError(f"{bug}: not found in {HUNTED} schedules")
