"""Repairs: from a map and what is known of its nodes, the commands that bring every group back to full strength. Pure.

    node of a live name under a new id      its volume is lost: the old id is marked left - unless some group could
                                            not go on with the voters that answer: then nothing is marked, and
                                            VolumeLost says which volumes would bring it back
    node left                               its replicas are replaced at once
    node away for a few seconds             a log-only voter takes its seat where a spare node exists
    node away for the grace                 its replicas are replaced
    log-only voter, nobody away any more    a voter with rows takes its seat
    node that is to go (scale-in)           its replicas move (rescale.py); once it holds none it is marked left
    node that came, or level lost           replicas move to it, as far as its quota (rescale.py)
    table whose number of replicas changed  places are added or taken away

Plans are idempotent and monotone: a plan's commands applied, the next plan is empty until the groups' masters report
that they have followed. Where nothing can be done, a reason says why. Nodes in maintenance are expected back, and so
are those of whom nothing is known.
"""

import msgspec

from keystead_core.catalog.commands import Command, NodeLeft, SetTarget
from keystead_core.catalog.lost_volumes import groups_cut_short, lost_volumes, silent_nodes, volume_lost_message
from keystead_core.catalog.rescale import Standing, plan_rescale
from keystead_core.catalog.seats import Trouble, is_moving, needs_look, target_of, wanted_voters, with_ids_of_their_own
from keystead_core.cluster_map import ClusterMap, PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.ledger import PlacementRule, ledger_of, sites_of

VOLUME_LOST = "VolumeLost"
NO_SPARE_NODE = "NoSpareNode"
THROTTLED = "Throttled"
SCALE_IN_BLOCKED = "ScaleInBlocked"


class RepairRule(msgspec.Struct, frozen=True, kw_only=True):
    """`moves_max`: groups whose replicas may be on the move at once (0: no limit); log-only voters do not count."""

    node_loss_grace_seconds: float = 300.0
    log_only_after_seconds: float = 10.0
    moves_max: int = 100


class Reason(msgspec.Struct, frozen=True):
    """Why something is not done: a code (a constant of this module) and a sentence."""

    code: str
    message: str


class RepairPlan(msgspec.Struct, frozen=True):
    """Commands to propose, in this order, and reasons for what is left alone. `waiting`: replicas that are yet to begin
    to move, by group."""

    commands: list[Command]
    reasons: list[Reason]
    waiting: dict[PartitionId, int] = {}


def plan_repairs(
    cluster_map: ClusterMap,
    seconds_down: dict[NodeId, float],
    rule: RepairRule,
    fence: int,
    draining: list[NodeId] | None = None,
) -> RepairPlan:
    """The commands that are due. `seconds_down`: how long each node has not answered, 0 for one that does.

    `draining`: nodes that are to leave for good (scale-in); taking one off the list again cancels its going.
    """
    lost = lost_volumes(cluster_map, seconds_down)
    silent = silent_nodes(cluster_map, seconds_down, lost)
    cut_short = groups_cut_short(cluster_map, lost, silent)
    reasons = []
    commands: list[Command] = []
    if lost and cut_short:
        reasons.append(Reason(VOLUME_LOST, volume_lost_message(cluster_map, lost, cut_short, silent)))
        lost = []
    commands += [NodeLeft(node, fence) for node in lost]
    trouble = _diagnose(cluster_map, seconds_down, rule, lost, sorted(set(draining or [])))
    targets, more = _plan_targets(cluster_map, trouble, rule, fence)
    standing = _standing(cluster_map, trouble, targets)
    rescale = plan_rescale(standing, _placement_rule(cluster_map), rule.moves_max, cluster_map.version, fence)
    targets += rescale.targets
    commands += targets
    reasons += more
    if rescale.unplaced and trouble.leaving:
        message = f"{rescale.unplaced} replicas of nodes that are to go find no other node that may take them"
        reasons.append(Reason(SCALE_IN_BLOCKED, message))
    if rescale.throttled:
        message = f"{rescale.throttled} partitions wait to move: {rule.moves_max} are on the move already"
        reasons.append(Reason(THROTTLED, message))
    commands += _leave_when_empty(cluster_map, trouble.leaving, targets, fence)
    return RepairPlan(commands, reasons, rescale.waiting)


def _standing(cluster_map: ClusterMap, trouble: Trouble, targets: list[SetTarget]) -> Standing:
    """What rescaling may count on, when the repairs `targets` have begun."""
    begun = {command.partition: command for command in targets}
    entries = [
        _as_targeted(entry, begun[entry.id]) if entry.id in begun else entry
        for _, entry in sorted(cluster_map.partitions.items())
    ]
    calm = {
        entry.id
        for entry in entries
        if entry.id not in begun and not _is_busy(entry) and not needs_look(cluster_map, entry, trouble)
    }
    sites = [site for node, site in trouble.sites.items() if trouble.holds(node) and node not in trouble.leaving]
    present = [node for node in trouble.sites if node not in trouble.gone]
    names = {cluster_map.nodes[node].name for node in present}
    known = set(trouble.free) | trouble.leaving
    stood_in_for = any(place.role == "log-only" for entry in entries for place in entry.target)
    quiet = not stood_in_for and len(names) == len(present) and all(node in known for node in present)
    moving = sum(entry.id in begun or is_moving(entry) for entry in entries)
    return Standing(entries, sites, set(trouble.free), calm, moving, trouble.leaving, quiet)


def _is_busy(entry: PartitionEntry) -> bool:
    """It is on the move, or being split: the one waits for the other."""
    return is_moving(entry) or entry.split is not None or bool(entry.left) or entry.is_recovering


def _as_targeted(entry: PartitionEntry, command: SetTarget) -> PartitionEntry:
    places = [ReplicaTarget(ReplicaId(0), spec.node, "", spec.role) for spec in command.target]
    return msgspec.structs.replace(entry, target=places)


def _diagnose(
    cluster_map: ClusterMap,
    seconds_down: dict[NodeId, float],
    rule: RepairRule,
    lost: list[NodeId],
    draining: list[NodeId],
) -> Trouble:
    trouble = Trouble(set(), set(), set(), set(), {}, [])
    for node in cluster_map.nodes.values():
        down = seconds_down.get(node.id, 0)
        resting = node.state == "maintenance"
        if node.state == "left" or node.id in lost:
            trouble.gone.add(node.id)
        elif not resting and down > 0 and down >= rule.node_loss_grace_seconds:
            trouble.away.add(node.id)
        elif not resting and down > 0 and down >= rule.log_only_after_seconds:
            trouble.absent.add(node.id)
        elif not resting and down == 0 and node.id not in draining:
            trouble.free.append(node.id)
        if node.state != "left" and node.id in draining:
            trouble.leaving.add(node.id)
    trouble.free.sort()
    trouble.sites = {
        site.node: site for site in sites_of(list(cluster_map.nodes.values()), _placement_rule(cluster_map))
    }
    return trouble


def _placement_rule(cluster_map: ClusterMap) -> PlacementRule:
    settings = cluster_map.settings
    return PlacementRule(peers_max=settings.peers_max, shared_fate_ok=settings.shared_fate_ok)


def _plan_targets(
    cluster_map: ClusterMap, trouble: Trouble, rule: RepairRule, fence: int
) -> tuple[list[SetTarget], list[Reason]]:
    """One SetTarget for each group that needs one, within the limit of moves."""
    entries = sorted(cluster_map.partitions.values(), key=lambda entry: entry.id)
    due = [entry for entry in entries if needs_look(cluster_map, entry, trouble)]
    if not due:
        return [], []
    ledger, placement = ledger_of(entries), _placement_rule(cluster_map)
    moving = sum(is_moving(entry) for entry in entries)
    commands: list[SetTarget] = []
    stuck = held_back = 0
    for entry in due:
        target = target_of(entry, wanted_voters(cluster_map, entry), trouble, ledger, placement)
        if target is None:
            stuck += not is_moving(entry) and not all(trouble.holds(place.node) for place in entry.target)
            continue
        if not is_moving(entry) and all(spec.role == "voter" for spec in target):
            if rule.moves_max and moving >= rule.moves_max:
                held_back += 1
                continue
            moving += 1
        ledger.remove([place.node for place in entry.target])
        ledger.add([spec.node for spec in target])
        commands.append(SetTarget(entry.id, with_ids_of_their_own(entry, target), fence))
    reasons = []
    if stuck:
        reasons.append(
            Reason(NO_SPARE_NODE, f"{stuck} partitions have a replica to replace and no free node that may take it")
        )
    if held_back:
        reasons.append(Reason(THROTTLED, f"{held_back} partitions wait: {rule.moves_max} are on the move already"))
    return commands, reasons


def replicas_moving(cluster_map: ClusterMap) -> dict[PartitionId, int]:
    """Replicas that targets ask for and that are no members yet, as far as was reported, by group."""
    found = {
        entry.id: len({p.replica for p in entry.target} - {p.replica for p in entry.members})
        for entry in cluster_map.partitions.values()
    }
    return {partition: count for partition, count in found.items() if count}


def _leave_when_empty(
    cluster_map: ClusterMap, leaving: set[NodeId], targets: list[SetTarget], fence: int
) -> list[Command]:
    """Marks the nodes that are to go and hold nothing any more, once the new targets are set."""
    if not leaving:
        return []
    planned = {command.partition: [spec.node for spec in command.target] for command in targets}
    busy: set[NodeId] = set()
    for entry in cluster_map.partitions.values():
        busy.update(planned.get(entry.id) or [place.node for place in entry.target])
        busy.update(place.node for place in entry.members)
    return [NodeLeft(node, fence, only_if_empty=True) for node in sorted(leaving - busy)]
