"""One split in a small cluster without other faults, and something that happens right behind one step of it.

A step is an event that a core carries out between the plan and the settlement: the left master's, a follower's or a
right replica's. What happens then is one deed of `DEEDS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keystead_core.ids import PartitionId
from keystead_core.replication.events import SetTarget
from tests.sim import steps
from tests.sim.cluster import Cluster
from tests.sim.machine import Process
from tests.sim.scenario import Fault, Scenario
from tests.sim.stores import Stores
from tests.sim.violation import demand

LEFT = steps.TABLE


def scenario(nodes: int) -> Scenario:
    """With more than three nodes the right half needs copies."""
    return steps.scenario(nodes, (Fault(steps.BEGUN_AT, "split", 0, 0.0, 0.4, 0.0),))


def _is_under_way(cluster: Cluster) -> bool:
    coverage = cluster.coverage
    return bool(coverage["split planned"] and not coverage["split settled"] and cluster.catalog.splits.in_flight())


def _take_back(cluster: Cluster, process: Process) -> None:
    """The plan is taken back, as by a move of the replicas, and every node hears of it at once; the copies go."""
    group = cluster.catalog.groups[LEFT]
    if group.plan is None or group.plan.done:
        return
    group.was_changed = True
    cluster.catalog.splits.cancel(group)
    for machine in cluster.machines:
        if machine.process is not None and LEFT in machine.process.core.replicas:
            machine.process.targets[LEFT] = group.said
            machine.process.step(SetTarget(LEFT, group.target, group.write_quorum_min, group.durable_zones))


DEEDS: dict[str, steps.Deed] = {
    "crash": steps.crash,
    "crash of the master": steps.crash_master,
    "taken back": _take_back,
    "volume lost": steps.lose,
}


def run(wanted: Scenario, step: int = 0, deed: str = "crash") -> Cluster:
    """Runs it to the end, with the deed behind the step (0: never). Raises Violation, or what the core raises."""
    return steps.run(wanted, _is_under_way, step, DEEDS[deed])


def demand_settled(cluster: Cluster) -> None:
    """The split is settled, and the left replicas keep nothing of the right half."""
    demand(cluster.coverage["split settled"] == 1, "not settled", dict(cluster.coverage))
    right = cluster.catalog.groups[PartitionId(2)]
    for machine in cluster.machines:
        if machine.process is not None and LEFT in machine.process.core.replicas:
            rows = machine.process.stores.rows_of(LEFT)
            kept = [key for key, _ in rows.scan_all() if key >= right.low]
            demand(not kept and not rows.splits(), "right rows stay on the left", (machine.process.name, kept))


@contextlib.contextmanager
def trapped(number: int, trap: str) -> Iterator[None]:
    """The `number`th making of a right replica meets a crash: before its files are in place, or just behind."""
    make, calls = Stores.make_right, 0

    def make_right(self: Stores, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            self._process.machine.trap = trap
        make(self, *arguments)

    Stores.make_right = make_right  # type: ignore[method-assign]
    try:
        yield
    finally:
        Stores.make_right = make  # type: ignore[method-assign]
