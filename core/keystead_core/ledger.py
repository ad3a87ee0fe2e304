"""What placement counts: the sites where replicas can live, and how much each node already holds.

A site is a node with its zone and its fate: nodes that share a host or a disk share a fate, and no two voters of a
group may share one (unless the cluster says that they may, as the embedded mode does).
"""

import msgspec

from keystead_core.cluster_map import NodeEntry, PartitionEntry
from keystead_core.ids import NodeId


class PlacementRule(msgspec.Struct, frozen=True, kw_only=True):
    """`peers_max`: with how many other nodes one node may share groups. `seed` breaks ties, the same way every time."""

    peers_max: int = 24
    shared_fate_ok: bool = False
    seed: int = 0


class Site(msgspec.Struct, frozen=True):
    """A node as placement sees it."""

    node: NodeId
    zone: str
    fate: str
    active: bool


def sites_of(nodes: list[NodeEntry], rule: PlacementRule) -> list[Site]:
    """The sites of all nodes that have not left, in order of their ids."""
    present = sorted((node for node in nodes if node.state != "left"), key=lambda node: node.id)
    fates = {node.id: str(node.id) for node in present} if rule.shared_fate_ok else _fates(present)
    return [Site(node.id, node.zone, fates[node.id], node.state == "active") for node in present]


def _fates(nodes: list[NodeEntry]) -> dict[NodeId, str]:
    """Joins the nodes that share a host or a disk, at any remove: each node's fate is the first node id of its set."""
    parent: dict[NodeId, NodeId] = {node.id: node.id for node in nodes}

    def root(node: NodeId) -> NodeId:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first_of: dict[str, NodeId] = {}
    for node in nodes:
        for mark in (f"host {node.host}" if node.host else "", f"disk {node.disk}" if node.disk else ""):
            if not mark:
                continue
            one, other = root(first_of.setdefault(mark, node.id)), root(node.id)
            parent[max(one, other)] = min(one, other)
    return {node.id: str(root(node.id)) for node in nodes}


class Ledger:
    """Counts per node: replicas held, groups whose preferred master it is, and with whom it shares how many groups."""

    __slots__ = ("masters", "peers", "replicas")

    def __init__(self) -> None:
        self.replicas: dict[NodeId, int] = {}
        self.masters: dict[NodeId, int] = {}
        self.peers: dict[NodeId, dict[NodeId, int]] = {}

    def copy(self) -> "Ledger":
        """A ledger that can be written to without touching this one."""
        twin = Ledger()
        twin.replicas = dict(self.replicas)
        twin.masters = dict(self.masters)
        twin.peers = {node: dict(peers) for node, peers in self.peers.items()}
        return twin

    def add(self, group: list[NodeId]) -> None:
        """Counts a group; its first node is the preferred master."""
        self._count(group, 1)

    def remove(self, group: list[NodeId]) -> None:
        """Takes back what `add` of the same group counted."""
        self._count(group, -1)

    def load(self, node: NodeId) -> int:
        """Replicas that the node holds."""
        return self.replicas.get(node, 0)

    def excess(self, node: NodeId, group: list[NodeId], peers_max: int) -> int:
        """How many pairs over the peer limit the node would make by joining the group."""
        mine = self.peers.get(node, {})
        fresh = [other for other in group if other != node and other not in mine]
        over = max(0, len(mine) + len(fresh) - peers_max) if fresh else 0
        return over + sum(1 for other in fresh if len(self.peers.get(other, ())) >= peers_max)

    def _count(self, group: list[NodeId], sign: int) -> None:
        if group:
            _add(self.masters, group[0], sign)
        for node in group:
            _add(self.replicas, node, sign)
            if len(group) > 1:
                mine = self.peers.setdefault(node, {})
                for other in group:
                    if other != node:
                        _add(mine, other, sign)
                if not mine:
                    del self.peers[node]


def _add(counts: dict[NodeId, int], node: NodeId, sign: int) -> None:
    value = counts.get(node, 0) + sign
    assert value >= 0, f"node {node} holds less than nothing"
    if value:
        counts[node] = value
    else:
        del counts[node]


def ledger_of(partitions: list[PartitionEntry]) -> Ledger:
    """The ledger of where the groups should live."""
    ledger = Ledger()
    for entry in partitions:
        for group in groups_of(entry):
            ledger.add(group)
    return ledger


def groups_of(entry: PartitionEntry) -> list[list[NodeId]]:
    """Where the group's replicas are to live, and those of the right half that it is about to give away."""
    groups = [[place.node for place in entry.target]]
    if entry.split is not None and not entry.split.done:
        groups.append([place.node for place in entry.split.members])
    return groups
