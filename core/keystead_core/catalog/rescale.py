"""Rescaling: the moves that are due because nodes came or are to go, a few at a time. Pure.

What moves in all is `rebalance.plan_moves`; here it is decided what of it begins now. A group begins only while all its
replicas are where they should be and their nodes answer, onto nodes that answer, and only so many at once. What is not
begun is counted, so that progress can be shown. The next plan is made from the map as it is then: a rescale is
cancelled, or overtaken by another, by asking for other nodes.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from keystead_core.catalog.commands import SetTarget
from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from keystead_core.ledger import PlacementRule, Site, groups_of
from keystead_core.quotas import Quotas, level_enough
from keystead_core.rebalance import Move, move_target, plan_moves, quotas_for


class Standing(msgspec.Struct, frozen=True):
    """`entries`: the groups, with the targets that repairs give them now. `sites`: the nodes that are to hold replicas.
    `ready`: those of them that may take one now. `calm`: the groups of
    which nothing is missing or on the move. `moving`: how many groups are on the move. `draining`: nodes to be emptied.
    `quiet`: every node answers, and nobody is stood in for; else only draining nodes give.
    """

    entries: list[PartitionEntry]
    sites: list[Site]
    ready: set[NodeId]
    calm: set[PartitionId]
    moving: int
    draining: set[NodeId]
    quiet: bool


class Rescale(msgspec.Struct, frozen=True):
    """`targets` begin now. `waiting`: moves that are due and do not begin yet, by group. `unplaced`: replicas on
    draining nodes for which no other node may be had. `throttled`: groups that wait because enough are on the move."""

    targets: list[SetTarget]
    waiting: dict[PartitionId, int] = {}
    unplaced: int = 0
    throttled: int = 0


def plan_rescale(standing: Standing, rule: PlacementRule, moves_max: int, version: int, fence: int) -> Rescale:
    """`moves_max`: groups that may be on the move at once (0: no limit). `version`: of the map."""
    if not standing.sites:
        return Rescale([])
    held = Counter(node for entry in standing.entries for group in groups_of(entry) for node in group)
    if _is_at_rest(standing, held, version):
        return Rescale([])
    # What cannot move now stays out of the plan for the level: else each plan would be another one.
    pinned = {CATALOG_PARTITION} | {entry.id for entry in standing.entries if entry.id not in standing.calm}
    plan = plan_moves(standing.entries, standing.sites, rule, pinned, version)
    entries = {entry.id: entry for entry in standing.entries}
    if not plan.moves or (_is_level_enough(held, plan.quotas) and not any(held.get(n) for n in standing.draining)):
        return Rescale([], unplaced=plan.unplaced)
    by_group: dict[PartitionId, list[Move]] = {}
    for move in plan.moves:
        by_group.setdefault(move.partition, []).append(move)
    targets: list[SetTarget] = []
    waiting: dict[PartitionId, int] = {}
    throttled, unplaced = 0, plan.unplaced
    for partition, moves in by_group.items():
        entry = entries[partition]
        due = [move for move in moves if _may_begin(entry, move, standing)]
        if due and moves_max and standing.moving + len(targets) >= moves_max:
            throttled += 1
            due = []
        if due and not _reaches_its_zones(entry, due, standing):
            unplaced += len(due)
            due = []
        if due:
            targets.append(move_target(entry, due, fence))
        if len(moves) > len(due):
            waiting[partition] = len(moves) - len(due)
    return Rescale(targets, waiting, unplaced, throttled)


def _is_at_rest(standing: Standing, held: Mapping[NodeId, int], version: int) -> bool:
    """Nobody has to go, and the level is good enough: what most looks find, and what is told without a plan."""
    if not held.keys() <= {site.node for site in standing.sites}:
        return False
    groups = [[place.node for place in entry.target] for entry in standing.entries]
    return _is_level_enough(held, quotas_for(groups, standing.sites, version))


def _is_level_enough(held: Mapping[NodeId, int], quotas: Quotas) -> bool:
    """No node has so much too much, or so little, that moves for the level alone are worth it."""
    return all(
        held.get(node, 0) <= level_enough(quota.replicas) and quota.replicas <= level_enough(held.get(node, 0))
        for node, quota in quotas.nodes.items()
    )


def _may_begin(entry: PartitionEntry, move: Move, standing: Standing) -> bool:
    """A node that is a member under a replica id from before takes no new one until that is out."""
    members = {place.node for place in entry.members}
    if not standing.quiet and move.source not in standing.draining:
        return False
    return entry.id in standing.calm and move.to in standing.ready and move.to not in members


def _reaches_its_zones(entry: PartitionEntry, due: list[Move], standing: Standing) -> bool:
    """Would the voters lie in as many zones as a write has to reach? Else the group's master refuses the move for ever:
    as where all nodes of a zone are away or are to go."""
    zone_of = {place.node: place.zone for place in entry.target} | {site.node: site.zone for site in standing.sites}
    to = {move.source: move.to for move in due}
    zones = {zone_of[to.get(place.node, place.node)] for place in entry.target if place.role != "learner"}
    return len(zones) >= entry.durable_zones
