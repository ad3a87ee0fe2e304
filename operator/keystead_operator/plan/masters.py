"""Preferred masters: no node is the first of many more groups than another that could be.

A group's preferred master is the first place of its target. After replacements they may all lie on one node; here the
order of targets is changed, never who is in them. Only in quiet: nothing is done while a node is away or replicas move.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from keystead_core.catalog.commands import ReplicaSpec
from keystead_core.catalog.seats import is_moving
from keystead_core.cluster_map import ClusterMap, PartitionEntry
from keystead_core.ids import NodeId
from keystead_core.preferred import level_masters
from keystead_operator.plan.actions import Action, Note, SetTarget
from keystead_operator.plan.state import Observed

CHANGES_MAX: Final = 32
"""Hand-overs that one plan may bring about, more or less: a chain of them is not cut."""


def plan_masters(observed: Observed) -> Iterator[Action | Note]:
    cluster_map = observed.map
    if cluster_map is None or not _is_quiet(cluster_map, observed):
        return
    active = {node.id for node in cluster_map.nodes.values() if node.state == "active"}
    entries = [cluster_map.partitions[number] for number in sorted(cluster_map.partitions)]
    free = [entry for entry in entries if _may_change(entry, active)]
    others = Counter(entry.target[0].node for entry in entries if entry.target and not _may_change(entry, active))
    groups = [[place.node for place in entry.target] for entry in free]
    for number, first in level_masters(groups, active, others, CHANGES_MAX).items():
        yield SetTarget(free[number].id, _with_first(first, groups[number]))


def _may_change(entry: PartitionEntry, active: set[NodeId]) -> bool:
    return len(entry.target) > 1 and all(place.node in active and place.role == "voter" for place in entry.target)


def _with_first(node: NodeId, members: list[NodeId]) -> tuple[ReplicaSpec, ...]:
    return tuple(ReplicaSpec(one) for one in (node, *(other for other in members if other != node)))


def _is_quiet(cluster_map: ClusterMap, observed: Observed) -> bool:
    """Every node that belongs to the cluster answers and is active, and every group is where it should be."""
    staying = [node for node in cluster_map.nodes.values() if node.state != "left"]
    if any(node.state != "active" or observed.seconds_down.get(node.id, 0.0) > 0 for node in staying):
        return False
    return not any(is_moving(entry) for entry in cluster_map.partitions.values())
