"""One move in a small cluster without other faults, and something that happens right behind one step of it.

The replica of the master, or of a follower, is to live on the fourth node instead. A step is an event that a core
carries out until the new replica is a member and the old one is gone from its node.
"""

from __future__ import annotations

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from tests.sim import steps
from tests.sim.catalog import Group
from tests.sim.cluster import Cluster
from tests.sim.machine import Process
from tests.sim.scenario import Scenario
from tests.sim.violation import demand

MOVED = steps.TABLE


def scenario() -> Scenario:
    """Logs so short that the new replica needs a copy."""
    wanted = steps.scenario(nodes=4)
    settings = msgspec.structs.replace(wanted.settings, seal_bytes=400)
    return msgspec.structs.replace(wanted, settings=settings, cold_bytes_max=400)


def is_under_way(cluster: Cluster) -> bool:
    group = cluster.catalog.groups[MOVED]
    return cluster.coverage["move wished"] > 0 and not _is_over(cluster, group)


def _is_over(cluster: Cluster, group: Group) -> bool:
    wanted = {place.replica for place in group.target}
    return {m.replica for m in group.reported.members} == wanted and _held(cluster) <= wanted


def _held(cluster: Cluster) -> set[int]:
    """The replicas that nodes have; of a node that is down it is not known."""
    processes = [machine.process for machine in cluster.machines if machine.process is not None]
    return {p.core.replicas[MOVED].id for p in processes if MOVED in p.core.replicas}


def _move(cluster: Cluster, of_master: bool) -> None:
    group = cluster.catalog.groups[MOVED]
    masters = {machine.volume.node_id for machine in steps.masters(cluster)}
    leaving = next(place for place in group.target if (place.node in masters) == of_master)
    moved = cluster.catalog.retarget(group, [place for place in group.target if place != leaving], "voter")
    demand(moved, "no node to move to", leaving)
    cluster.coverage["move wished"] += 1


def _cancel(cluster: Cluster, process: Process) -> None:
    """The replicas are to be where they were, as after a second thought about the number of nodes."""
    group = cluster.catalog.groups[MOVED]
    members = [ReplicaTarget(m.replica, m.node, m.zone, m.role) for m in group.founding.members]
    if all(group.reported.member(place.replica) is not None for place in members):
        group.target = members
        group.version += 1
        cluster.coverage["move cancelled"] += 1


DEEDS: dict[str, steps.Deed] = {
    "crash": steps.crash,
    "crash of the master": steps.crash_master,
    "cancelled": _cancel,
    "volume lost": steps.lose,
}


def run(of_master: bool, step: int = 0, deed: str = "crash") -> Cluster:
    """Runs it to the end, with the deed behind the step (0: never). Raises Violation, or what the core raises."""
    return steps.run(scenario(), is_under_way, step, DEEDS[deed], lambda cluster: _move(cluster, of_master))


def demand_moved(cluster: Cluster) -> None:
    """The replicas are where they are wanted, and nowhere else."""
    group = cluster.catalog.groups[MOVED]
    demand(_is_over(cluster, group), "not moved", (group.target, group.reported.members, _held(cluster)))
