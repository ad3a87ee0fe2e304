"""A small cluster without other faults, and one deed right behind one step of something that goes on in it.

A step is an event that a core carries out while that is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keystead_core.ids import MILLISECOND, PartitionId
from keystead_core.replication.settings import Settings
from tests.sim.checker import Checker
from tests.sim.cluster import Cluster
from tests.sim.machine import Machine, Process
from tests.sim.scenario import GEOMETRIES, Fault, Scenario
from tests.sim.timeline import Timeline

LEASE = 400 * MILLISECOND
BEGUN_AT = 3 * LEASE
TABLE = PartitionId(1)
Deed = Callable[[Cluster, Process], None]


def scenario(nodes: int, splits: tuple[Fault, ...] = (), seed: int = 1) -> Scenario:
    """A table of one partition with three replicas."""
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
        faults_end=BEGUN_AT + 4 * LEASE,
        live=True,
        faults=(),
        splits=splits,
        geometry=GEOMETRIES[0],
        cold_bytes_max=1500,
    )


class _Watch(Checker):
    """Counts the steps; `last`: the process that took the latest."""

    count = 0
    last: Process | None = None
    is_under_way: Callable[[Cluster], bool]

    def after_step(self, process: Process, effects: list[Any]) -> None:
        if self.is_under_way(self.cluster):
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


def crash(cluster: Cluster, process: Process) -> None:
    """Power loss of the machine that took the step."""
    cluster.crash(process.machine, power=True, down_for=LEASE // 3)


def masters(cluster: Cluster) -> list[Machine]:
    """The machines on which some replica takes itself for a master."""
    running = [(machine, machine.process) for machine in cluster.machines if machine.process is not None]
    return [one for one, process in running if any(r.mastership is not None for r in process.core.replicas.values())]


def crash_master(cluster: Cluster, process: Process) -> None:
    """Power loss of a master, whoever took the step."""
    for machine in masters(cluster)[:1]:
        cluster.crash(machine, power=True, down_for=2 * LEASE)


def lose(cluster: Cluster, process: Process) -> None:
    """The volume of the machine that took the step is lost: it comes back empty, as a new node."""
    cluster.lose_volume(process.machine, LEASE // 3)


def run(
    wanted: Scenario,
    is_under_way: Callable[[Cluster], bool],
    step: int = 0,
    deed: Deed = crash,
    begin: Callable[[Cluster], None] | None = None,
) -> Cluster:
    """Runs it to the end, with `begin` done at its time, and the deed behind the step (0: never). Raises Violation, or
    what the core raises."""
    cluster = Cluster(wanted)
    watch = cluster.checker = _Watch(cluster)
    watch.is_under_way = is_under_way
    timeline = cluster.timeline = _Timeline()
    if begin is not None:
        timeline.after(BEGUN_AT, begin, cluster)
    is_done = False

    def behind() -> None:
        nonlocal is_done
        if step and not is_done and watch.count >= step:
            is_done = True
            assert watch.last is not None
            if watch.last.alive:
                deed(cluster, watch.last)

    timeline.behind = behind
    cluster.run()
    cluster.coverage["steps"] = watch.count
    return cluster
