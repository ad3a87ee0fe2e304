"""Volumes that are lost, the groups that cannot do without them, and what a person is told. Pure."""

from collections.abc import Collection

from keystead_core.cluster_map import ClusterMap, PartitionEntry
from keystead_core.comeback import can_go_on, ways_back, ways_in_words
from keystead_core.ids import NodeId


def lost_volumes(cluster_map: ClusterMap, seconds_down: dict[NodeId, float]) -> list[NodeId]:
    """Node ids that do not answer while another id answers under the same name, be it one that has left: their volume
    has been replaced."""
    answering = {node.name for node in cluster_map.nodes.values() if seconds_down.get(node.id) == 0}
    return sorted(
        node.id
        for node in cluster_map.nodes.values()
        if node.state != "left" and seconds_down.get(node.id, 0) > 0 and node.name in answering
    )


def silent_nodes(cluster_map: ClusterMap, seconds_down: dict[NodeId, float], lost: list[NodeId]) -> list[NodeId]:
    """Node ids that do not answer, and whose volume is not named lost: it may well be there."""
    return sorted(
        node.id
        for node in cluster_map.nodes.values()
        if node.state != "left" and seconds_down.get(node.id, 0) > 0 and node.id not in lost
    )


def groups_cut_short(
    cluster_map: ClusterMap, lost: list[NodeId], silent: Collection[NodeId] = ()
) -> list[PartitionEntry]:
    """Groups with a voter on a node that is named lost, whose voters that are not lost, left or silent cannot go on.

    They are no majority, or lie in fewer zones than a write has to reach: then not even the change of members that
    would replace a voter can commit.

    `silent`: nodes that do not answer for other reasons. While they are away a lost volume may be needed once more.
    """
    if not lost:
        return []
    dead = {node.id for node in cluster_map.nodes.values() if node.state == "left"} | {*lost, *silent}
    hit = [
        entry
        for entry in cluster_map.partitions.values()
        if any(place.node in lost for place in entry.members if place.role != "learner") and not can_go_on(entry, dead)
    ]
    return sorted(hit, key=lambda entry: entry.id)


def volume_lost_message(
    cluster_map: ClusterMap, lost: list[NodeId], groups: list[PartitionEntry], silent: Collection[NodeId] = ()
) -> str:
    """What was lost, what is done about it, and with which volumes the groups come back. Arguments as above."""
    nodes = cluster_map.nodes
    names = ", ".join(sorted({nodes[node].name for node in lost}))
    voters = {place.node for entry in groups for place in entry.members}
    away = ", ".join(sorted({nodes[node].name for node in silent if node in voters and node in nodes}))
    tables = ", ".join(sorted({entry.table or "the catalog" for entry in groups}))
    left = [node.id for node in nodes.values() if node.state == "left"]
    ways = ways_back(groups, [*lost, *silent], left)
    words = ways_in_words(ways, lambda node: f"{nodes[node].name} (node id {node})")
    back = f"with the old volume of {words} they come back by themselves" if words else "no volume can bring them back"
    return (
        f"the volumes of {names} are lost{f', {away} does not answer' if away else ''}, and with them what "
        f"{len(groups)} partitions of {tables} cannot go on without: no node is marked as left and nothing is formed "
        f"anew; {back}; what is on no volume any more can only come from a backup"
    )
