"""One split in a small cluster without other faults, and something that happens right behind one step of it.

A step is an event that a core carries out between the plan and the settlement: the left master's, a follower's or a
right replica's. What happens then is one deed of `DEEDS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from keystead_core.ids import MILLISECOND, PartitionId
from keystead_core.replication.events import SetTarget
from keystead_core.replication.settings import Settings
from tests.sim.checker import Checker
from tests.sim.cluster import Cluster
from tests.sim.machine import Process
from tests.sim.scenario import GEOMETRIES, Fault, Scenario
from tests.sim.stores import Stores
from tests.sim.timeline import Timeline
from tests.sim.violation import demand

LEASE = 400 * MILLISECOND
PLANNED_AT = 3 * LEASE
LEFT = PartitionId(1)


def scenario(nodes: int, seed: int = 1) -> Scenario:
    """A table of one partition with three replicas; with more than three nodes the right half needs copies."""
    return Scenario(
        seed=seed,
        theme="",
        nodes=nodes,
        zones=min(nodes, 3),
        partitions=1,
        replicas=3,
        log_only=False,
        write_quorum_min=0,
        durable_zones=1,
        clients=2,
        burst=1,
        keys=5,
        settings=Settings(lease=LEASE, heartbeat=LEASE // 5, lock="none", resend=LEASE * 2 // 5, seal_bytes=6000),
        faults_end=PLANNED_AT + 4 * LEASE,
        live=True,
        faults=(),
        splits=(Fault(PLANNED_AT, "split", 0, 0.0, 0.4, 0.0),),
        geometry=GEOMETRIES[0],
        cold_bytes_max=1500,
    )


class _Watch(Checker):
    """Counts the steps of a split; `last`: the process that took the latest."""

    count = 0
    last: Process | None = None

    def after_step(self, process: Process, effects: list[Any]) -> None:
        coverage = self.cluster.coverage
        if coverage["split planned"] and not coverage["split settled"] and self.cluster.catalog.splits.in_flight():
            self.count += 1
            self.last = process
        super().after_step(process, effects)


class _Timeline(Timeline):
    """Calls `behind` right behind each event."""

    behind: Callable[[], None]

    def run(self, until: int) -> None:
        while self._heap and self._heap[0][0] < until:
            super().run_one()
            self.behind()
        self.now = until


def _crash(cluster: Cluster, process: Process) -> None:
    """Power loss of the machine that took the step."""
    cluster.crash(process.machine, power=True, down_for=LEASE // 3)


def _crash_master(cluster: Cluster, process: Process) -> None:
    """Power loss of the left master, or of the right one, whoever took the step."""
    for machine in cluster.machines:
        replicas = machine.process.core.replicas.values() if machine.process else ()
        if any(r.mastership is not None for r in replicas):
            cluster.crash(machine, power=True, down_for=2 * LEASE)
            return


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


def _lose(cluster: Cluster, process: Process) -> None:
    """The volume of the machine that took the step is lost: it comes back empty, as a new node."""
    cluster.lose_volume(process.machine, LEASE // 3)


DEEDS: dict[str, Callable[[Cluster, Process], None]] = {
    "crash": _crash,
    "crash of the master": _crash_master,
    "taken back": _take_back,
    "volume lost": _lose,
}


def run(wanted: Scenario, step: int = 0, deed: str = "crash") -> Cluster:
    """Runs it to the end, with the deed behind the step (0: never). Raises Violation, or what the core raises."""
    cluster = Cluster(wanted)
    watch = cluster.checker = _Watch(cluster)
    timeline = cluster.timeline = _Timeline()
    is_done = False

    def behind() -> None:
        nonlocal is_done
        if step and not is_done and watch.count >= step:
            is_done = True
            assert watch.last is not None
            if watch.last.alive:
                DEEDS[deed](cluster, watch.last)

    timeline.behind = behind
    cluster.run()
    cluster.coverage["steps"] = watch.count
    return cluster


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
