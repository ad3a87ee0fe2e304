"""Repairs: from a map and what is known of its nodes, the commands that bring every group back to full strength. Pure.

    node of a live name under a new id      its volume is lost: the old id is marked left - unless some group would be
                                            without a majority of voters that answer: then nothing is marked, and
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

A node that is still a member under one replica id gets no other one: a new replica there waits until the old one is
out. Where it is the only free site, the group goes on with one voter less until then; or, where the others lie in fewer
zones than a write has to reach, the member itself is wanted again.
"""

from collections.abc import Collection

import msgspec

from keystead_core.catalog.commands import Command, NodeLeft, ReplicaSpec, SetTarget
from keystead_core.catalog.groups import split_copies
from keystead_core.catalog.rescale import Standing, plan_rescale
from keystead_core.cluster_map import CATALOG_TABLE, ClusterMap, PartitionEntry, ReplicaTarget
from keystead_core.comeback import ways_back, ways_in_words
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.ledger import Ledger, PlacementRule, Site, ledger_of, sites_of
from keystead_core.placement import fill_seats, place_log_only

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


class _Trouble(msgspec.Struct):
    """The nodes that are not as they should be, each under one heading.

    `sites`: all nodes that have not left; `free`: those that may take a new replica, in order of their ids.
    """

    gone: set[NodeId]
    away: set[NodeId]
    absent: set[NodeId]
    leaving: set[NodeId]
    sites: dict[NodeId, Site]
    free: list[NodeId]

    def holds(self, node: NodeId) -> bool:
        """Whether a replica on the node keeps its seat."""
        return node not in self.gone and node not in self.away


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
    without_majority = groups_without_majority(cluster_map, lost, silent)
    reasons = []
    commands: list[Command] = []
    if lost and without_majority:
        reasons.append(Reason(VOLUME_LOST, volume_lost_message(cluster_map, lost, without_majority, silent)))
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


def _standing(cluster_map: ClusterMap, trouble: _Trouble, targets: list[SetTarget]) -> Standing:
    """What rescaling may count on, when the repairs `targets` have begun."""
    begun = {command.partition: command for command in targets}
    entries = [
        _as_targeted(entry, begun[entry.id]) if entry.id in begun else entry
        for _, entry in sorted(cluster_map.partitions.items())
    ]
    calm = {
        entry.id
        for entry in entries
        if entry.id not in begun and not _is_busy(entry) and not _needs_look(cluster_map, entry, trouble)
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


def groups_without_majority(
    cluster_map: ClusterMap, lost: list[NodeId], silent: Collection[NodeId] = ()
) -> list[PartitionEntry]:
    """Groups with a voter on a node that is named lost, of which half the voters or more are lost, left or silent.

    `silent`: nodes that do not answer for other reasons. While they are away a lost volume may be needed once more.
    """
    if not lost:
        return []
    dead = {node.id for node in cluster_map.nodes.values() if node.state == "left"} | {*lost, *silent}
    hit = []
    for entry in cluster_map.partitions.values():
        voters = [place.node for place in entry.members if place.role != "learner"]
        if any(node in lost for node in voters) and 2 * sum(node not in dead for node in voters) <= len(voters):
            hit.append(entry)
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
        f"the volumes of {names} are lost{f', {away} does not answer' if away else ''}, and with them the majority of "
        f"{len(groups)} partitions of {tables}: no node is marked as left and nothing is formed anew; {back}; "
        "what is on no volume any more can only come from a backup"
    )


def _diagnose(
    cluster_map: ClusterMap,
    seconds_down: dict[NodeId, float],
    rule: RepairRule,
    lost: list[NodeId],
    draining: list[NodeId],
) -> _Trouble:
    trouble = _Trouble(set(), set(), set(), set(), {}, [])
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
    cluster_map: ClusterMap, trouble: _Trouble, rule: RepairRule, fence: int
) -> tuple[list[SetTarget], list[Reason]]:
    """One SetTarget for each group that needs one, within the limit of moves."""
    entries = sorted(cluster_map.partitions.values(), key=lambda entry: entry.id)
    due = [entry for entry in entries if _needs_look(cluster_map, entry, trouble)]
    if not due:
        return [], []
    ledger, placement = ledger_of(entries), _placement_rule(cluster_map)
    moving = sum(is_moving(entry) for entry in entries)
    commands: list[SetTarget] = []
    stuck = held_back = 0
    for entry in due:
        target = _target(entry, wanted_voters(cluster_map, entry), trouble, ledger, placement)
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
        commands.append(SetTarget(entry.id, _with_ids_of_their_own(entry, target), fence))
    reasons = []
    if stuck:
        reasons.append(
            Reason(NO_SPARE_NODE, f"{stuck} partitions have a replica to replace and no free node that may take it")
        )
    if held_back:
        reasons.append(Reason(THROTTLED, f"{held_back} partitions wait: {rule.moves_max} are on the move already"))
    return commands, reasons


def wanted_voters(cluster_map: ClusterMap, entry: PartitionEntry) -> int:
    """How many voters a group should have."""
    if entry.table == CATALOG_TABLE:
        return sum(place.role != "learner" for place in entry.founders)
    return cluster_map.tables[entry.table].replicas


def is_moving(entry: PartitionEntry) -> bool:
    """Whether the group's last reported members are not yet what the target asks for."""
    return {(p.replica, p.role) for p in entry.members} != {(p.replica, p.role) for p in entry.target}


def replicas_moving(cluster_map: ClusterMap) -> dict[PartitionId, int]:
    """Replicas that targets ask for and that are no members yet, as far as was reported, by group."""
    found = {
        entry.id: len({p.replica for p in entry.target} - {p.replica for p in entry.members})
        for entry in cluster_map.partitions.values()
    }
    return {partition: count for partition, count in found.items() if count}


def _needs_look(cluster_map: ClusterMap, entry: PartitionEntry, trouble: _Trouble) -> bool:
    if entry.is_recovering:
        return False
    places = _without_copies(entry)
    if _split_cannot_be(entry, trouble):
        return True
    for place in places:
        if place.role != "voter" or place.node in trouble.absent or not trouble.holds(place.node):
            return True
    return len(places) != wanted_voters(cluster_map, entry)


def _without_copies(entry: PartitionEntry) -> list[ReplicaTarget]:
    """The target but for the learners that a split in progress has there."""
    copies = split_copies(entry)
    return [place for place in entry.target if place not in copies]


def _split_cannot_be(entry: PartitionEntry, trouble: _Trouble) -> bool:
    """Is a split planned that waits for a node which will not come? Any new target takes the plan back."""
    split = entry.split
    return split is not None and not split.done and any(not trouble.holds(member.node) for member in split.members)


def _target(
    entry: PartitionEntry, wanted: int, trouble: _Trouble, ledger: Ledger, rule: PlacementRule
) -> list[ReplicaSpec] | None:
    """Where the group should live but for the copies of a split; None: as it is, for now or because no site is free."""
    moves, cannot_be = is_moving(entry), _split_cannot_be(entry, trouble)
    entry = msgspec.structs.replace(entry, target=_without_copies(entry))
    stay = [place.node for place in entry.target if place.role == "voter" and trouble.holds(place.node)]
    logs = [place.node for place in entry.target if place.role == "log-only" and place.node in trouble.free]
    # While somebody is away for a moment only, a log-only voter keeps the seat: the one away may come back to it.
    held = logs if trouble.absent else []
    members = {place.node for place in entry.members}
    spare = [node for node in trouble.free if node not in members and node not in stay]
    sites = [trouble.sites[node] for node in (*stay, *held, *spare)]
    target: list[ReplicaSpec] | None
    if len(stay) + len(held) == wanted:
        absent = [node for node in stay if node in trouble.absent]
        if len(absent) == 1 and len(stay) == wanted and not moves:
            return place_log_only(entry, absent[0], sites, ledger, rule)
        target = [*_voters(stay), *_log_only(held)]
    elif len(stay) + len(held) > wanted:
        target = _voters(_fewest_zones_first(stay, trouble)[-wanted:])
        target = [spec for spec in _voters(stay) if spec in target]
    elif moves and logs and any(node in members and node not in stay for node in trouble.free):
        # Who was away is back before it is out: a full replica is made on its node then, and not where its stand-in is.
        return None
    else:
        target = _fill(entry, wanted, stay, held, logs, sites, trouble, ledger, rule)
    if target is None or len(target) < entry.write_quorum:
        return None
    same = {(spec.node, spec.role) for spec in target} == {(place.node, place.role) for place in entry.target}
    return None if same and not cannot_be else target


def _fill(
    entry: PartitionEntry,
    wanted: int,
    stay: list[NodeId],
    held: list[NodeId],
    logs: list[NodeId],
    sites: list[Site],
    trouble: _Trouble,
    ledger: Ledger,
    rule: PlacementRule,
) -> list[ReplicaSpec] | None:
    """Voters on new sites for the open seats; a seat that finds none keeps what it has, as far as that exists."""
    kept = [*_voters(stay), *_log_only(held)]
    target = fill_seats(kept, wanted, sites, ledger, rule)
    if len(target) < wanted and not _spans_enough(entry, target, trouble):
        former = [p.node for p in entry.members if p.role == "voter" and p.node in trouble.free and p.node not in stay]
        again = [*sites, *(trouble.sites[node] for node in former)]
        target = fill_seats(target, wanted, again, ledger, rule)
        target = [msgspec.structs.replace(spec, again=True) if spec.node in former else spec for spec in target]
    if _may_shrink(entry, wanted, [spec.node for spec in target if spec.role == "voter"], trouble):
        return target
    if len(target) == len(kept):
        return None
    rest = [] if held else _log_only(logs)
    rest += [
        ReplicaSpec(place.node, place.role)
        for place in entry.target
        if not trouble.holds(place.node) and place.node not in trouble.gone
    ]
    fates = {trouble.sites[spec.node].fate for spec in target}
    for spec in rest:
        fate = trouble.sites[spec.node].fate
        if len(target) < wanted and fate not in fates:
            target.append(spec)
            fates.add(fate)
    return target


def _spans_enough(entry: PartitionEntry, target: list[ReplicaSpec], trouble: _Trouble) -> bool:
    """Do the places lie in as many zones as a write has to reach? Else no master ever goes there."""
    return len({trouble.sites[spec.node].zone for spec in target}) >= entry.durable_zones


def _may_shrink(entry: PartitionEntry, wanted: int, stay: list[NodeId], trouble: _Trouble) -> bool:
    """Whether the only free sites are members under ids that must go first, and the rest can wait for that."""
    if len(stay) != wanted - 1 or 2 * len(stay) <= wanted or any(node not in trouble.free for node in stay):
        return False
    return any(place.node in trouble.free and place.node not in stay for place in entry.members)


def _fewest_zones_first(nodes: list[NodeId], trouble: _Trouble) -> list[NodeId]:
    """The nodes in the order in which a group can best do without them."""
    left = list(nodes)
    order = []
    while left:
        zones = [trouble.sites[node].zone for node in left]
        go = max(left, key=lambda node: (node in trouble.absent, zones.count(trouble.sites[node].zone), node))
        left.remove(go)
        order.append(go)
    return order


def _with_ids_of_their_own(entry: PartitionEntry, target: list[ReplicaSpec]) -> list[ReplicaSpec]:
    """A full voter in the place of a log-only one gets a new replica id, as any that comes to be by copy.

    The log-only one may be a member by now, and not reported yet: it never becomes full under its id.
    """
    without_rows = {place.node for place in entry.target if place.role == "log-only"}
    return [
        msgspec.structs.replace(spec, fresh=True) if spec.role == "voter" and spec.node in without_rows else spec
        for spec in target
    ]


def _voters(nodes: list[NodeId]) -> list[ReplicaSpec]:
    return [ReplicaSpec(node) for node in nodes]


def _log_only(nodes: list[NodeId]) -> list[ReplicaSpec]:
    return [ReplicaSpec(node, "log-only") for node in nodes]


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
