"""Scaling out: which replicas move to nodes that are new, and no more of them than must.

    plan_moves(partitions, sites, onto, ledger, rule, moves_max) -> [Move]

Every move takes a replica from a fuller node to one of `onto` below its level, so that no replica moves twice and
nothing moves between old nodes: there are as many moves as the new nodes come to hold replicas. Levels come from a
rehearsal with counts alone: the emptiest new node takes from the fullest old one (of its own zone, where groups span
all zones) until they differ by less than two. A move never brings two replicas of a group under one fate and never lets
the group span fewer zones. A new node takes its replicas in runs of groups that have the same nodes, the longest runs
first, which keeps its peers few.
"""

from heapq import heapify, heapreplace

import msgspec

from keystead_core.catalog.commands import ReplicaSpec, SetTarget
from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import NodeId, PartitionId
from keystead_core.ledger import Ledger, PlacementRule, Site


class Move(msgspec.Struct, frozen=True):
    """One replica of a group goes from a node to another."""

    partition: PartitionId
    source: NodeId
    to: NodeId


def plan_moves(
    partitions: list[PartitionEntry],
    sites: list[Site],
    onto: list[NodeId],
    ledger: Ledger,
    rule: PlacementRule,
    moves_max: int = 0,
) -> list[Move]:
    """The moves that bring the new nodes to their level, at most one a group and `moves_max` in all (0: no limit).

    Empty once they are there. The ledger stays as it is.
    """
    site_of = {site.node: site for site in sites}
    receivers = sorted(node for node in dict.fromkeys(onto) if node in site_of)
    work = _Work(partitions, site_of, ledger.copy(), rule)
    donors = sorted(node for node in site_of if node not in receivers and work.held.get(node))
    zones = {site.zone for site in sites}
    by_zone = any(len(entry.target) >= len(zones) for entry in partitions)
    goals = _rehearse(receivers, donors, site_of, ledger, by_zone)
    for to in receivers:
        for strict in (True, False):
            for source in sorted(donors, key=lambda node: (goals[node] - work.ledger.load(node), node)):
                if work.ledger.load(to) >= goals[to] or work.ledger.load(source) <= goals[source]:
                    break
                if by_zone and site_of[source].zone != site_of[to].zone:
                    continue
                if moves_max and len(work.moves) >= moves_max:
                    return work.moves[:moves_max]
                work.take(source, to, goals, strict)
    for to in receivers:
        # What the fullest may give away keeps some receivers short: then from any that holds two more.
        for source in sorted(donors, key=lambda node: (-work.ledger.load(node), node)):
            floor = work.ledger.load(to) + 1
            if work.ledger.load(to) >= goals[to] or work.ledger.load(source) <= floor:
                break
            if not by_zone or site_of[source].zone == site_of[to].zone:
                work.take(source, to, {**goals, source: floor}, strict=False)
    return work.moves[: moves_max or None]


def _rehearse(
    receivers: list[NodeId], donors: list[NodeId], site_of: dict[NodeId, Site], ledger: Ledger, by_zone: bool
) -> dict[NodeId, int]:
    """What each node holds in the end."""
    goals = {node: ledger.load(node) for node in site_of}
    zones = sorted({site_of[node].zone for node in receivers}) if by_zone else [""]
    for zone in zones:
        low = [(goals[node], node) for node in receivers if not by_zone or site_of[node].zone == zone]
        high = [(-goals[node], node) for node in donors if not by_zone or site_of[node].zone == zone]
        if not low or not high:
            continue
        heapify(low)
        heapify(high)
        while -high[0][0] >= low[0][0] + 2:
            load, to = low[0]
            minus, source = high[0]
            goals[to], goals[source] = load + 1, -minus - 1
            heapreplace(low, (load + 1, to))
            heapreplace(high, (minus + 1, source))
    return goals


class _Work:
    """The moves so far, and the groups as they are after them."""

    def __init__(
        self, partitions: list[PartitionEntry], site_of: dict[NodeId, Site], ledger: Ledger, rule: PlacementRule
    ) -> None:
        self.moves: list[Move] = []
        self.ledger = ledger
        self.held: dict[NodeId, list[PartitionId]] = {}
        self._groups = {entry.id: [place.node for place in entry.target] for entry in partitions}
        self._moved: set[PartitionId] = set()
        self._site_of = site_of
        self._rule = rule
        runs: dict[tuple[NodeId, ...], list[PartitionId]] = {}
        for entry in sorted(partitions, key=lambda entry: entry.id):
            runs.setdefault(tuple(sorted(self._groups[entry.id])), []).append(entry.id)
        for nodes, run in sorted(runs.items(), key=lambda item: (-len(item[1]), item[0])):
            for node in nodes:
                self.held.setdefault(node, []).extend(run)

    def take(self, source: NodeId, to: NodeId, goals: dict[NodeId, int], strict: bool) -> None:
        """Moves groups from a node to another until one of them is at its goal; `strict`: within the peer limit."""
        for partition in self.held[source]:
            if self.ledger.load(to) >= goals[to] or self.ledger.load(source) <= goals[source]:
                return
            if strict and len(self.ledger.peers.get(to, ())) >= self._rule.peers_max:
                return
            group = self._groups[partition]
            if partition in self._moved or not _may_move(group, source, to, self._site_of):
                continue
            if strict and self.ledger.excess(to, [node for node in group if node != source], self._rule.peers_max):
                continue
            self._moved.add(partition)
            self.moves.append(Move(partition, source, to))
            self.ledger.remove(group)
            self._groups[partition] = [to if node == source else node for node in group]
            self.ledger.add(self._groups[partition])


def _may_move(group: list[NodeId], source: NodeId, to: NodeId, site_of: dict[NodeId, Site]) -> bool:
    """Whether the group stays apart in fates and spans as many zones as before, as evenly."""
    new, old = site_of[to], site_of[source]
    rest = [site_of[node] for node in group if node != source and node in site_of]
    if to in group or any(site.fate == new.fate for site in rest):
        return False
    zones = [site.zone for site in rest]
    return new.zone == old.zone or zones.count(new.zone) <= zones.count(old.zone)


def move_target(entry: PartitionEntry, move: Move, fence: int) -> SetTarget:
    """The command that carries a move out: the new node takes the old one's place."""
    target = [ReplicaSpec(place.node if place.node != move.source else move.to, place.role) for place in entry.target]
    return SetTarget(entry.id, target, fence)
