"""Preferred masters: no node is the first of many more groups than another that could be.

A group's preferred master is the first place of its target. After replacements they may all lie on one node; here the
order of targets is changed, never who is in them. Only in quiet: nothing is done while a node is away or replicas move.
"""

from collections.abc import Iterator
from typing import Final

from keystead_core.catalog.commands import ReplicaSpec
from keystead_core.catalog.repair import is_moving
from keystead_core.cluster_map import ClusterMap
from keystead_core.ids import NodeId
from keystead_operator.plan.actions import Action, Note, SetTarget
from keystead_operator.plan.state import Observed

CHANGES_MAX: Final = 32
"""Hand-overs that one plan may bring about."""
IMBALANCE: Final = 2
"""A group's first place is changed only if that makes the most and the least loaded of the two come nearer."""


def plan_masters(observed: Observed) -> Iterator[Action | Note]:
    cluster_map = observed.map
    if cluster_map is None or not _is_quiet(cluster_map, observed):
        return
    first = {node.id: 0 for node in cluster_map.nodes.values() if node.state == "active"}
    entries = [cluster_map.partitions[number] for number in sorted(cluster_map.partitions)]
    for entry in entries:
        if entry.target and entry.target[0].node in first:
            first[entry.target[0].node] += 1
    changes = 0
    for entry in entries:
        places = [place for place in entry.target if place.node in first]
        if len(places) < len(entry.target) or len(places) < 2 or any(place.role != "voter" for place in places):
            continue
        held = entry.target[0].node
        best = min((place.node for place in places), key=lambda node: (first[node], node))
        if first[held] - first[best] < IMBALANCE:
            continue
        first[held] -= 1
        first[best] += 1
        yield SetTarget(entry.id, _with_first(best, [place.node for place in entry.target]))
        changes += 1
        if changes == CHANGES_MAX:
            return


def _with_first(node: NodeId, members: list[NodeId]) -> tuple[ReplicaSpec, ...]:
    return tuple(ReplicaSpec(one) for one in (node, *(other for other in members if other != node)))


def _is_quiet(cluster_map: ClusterMap, observed: Observed) -> bool:
    """Every node that belongs to the cluster answers and is active, and every group is where it should be."""
    staying = [node for node in cluster_map.nodes.values() if node.state != "left"]
    if any(node.state != "active" or observed.seconds_down.get(node.id, 0.0) > 0 for node in staying):
        return False
    return not any(is_moving(entry) for entry in cluster_map.partitions.values())
