"""The seats of one group: who should sit there, given which nodes are lost, away, leaving and free. Pure.

A node that is still a member under one replica id gets no other one: a new replica there waits until the old one is
out. Where it is the only free site, the group goes on with one voter less until then; or, where the others cannot, as
they are too few, or in fewer zones than a write has to reach, the member itself is wanted again.
"""

import msgspec

from keystead_core.catalog.commands import ReplicaSpec
from keystead_core.catalog.groups import split_copies
from keystead_core.cluster_map import CATALOG_TABLE, ClusterMap, PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId
from keystead_core.ledger import Ledger, PlacementRule, Site
from keystead_core.placement import fill_seats, place_log_only


class Trouble(msgspec.Struct):
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


def wanted_voters(cluster_map: ClusterMap, entry: PartitionEntry) -> int:
    """How many voters a group should have."""
    if entry.table == CATALOG_TABLE:
        return sum(place.role != "learner" for place in entry.founders)
    return cluster_map.tables[entry.table].replicas


def is_moving(entry: PartitionEntry) -> bool:
    """Whether the group's last reported members are not yet what the target asks for."""
    return {(p.replica, p.role) for p in entry.members} != {(p.replica, p.role) for p in entry.target}


def needs_look(cluster_map: ClusterMap, entry: PartitionEntry, trouble: Trouble) -> bool:
    """Whether some seat of the group is not as it should be, or may soon not be."""
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


def _split_cannot_be(entry: PartitionEntry, trouble: Trouble) -> bool:
    """Is a split planned that waits for a node which will not come? Any new target takes the plan back."""
    split = entry.split
    return split is not None and not split.done and any(not trouble.holds(member.node) for member in split.members)


def target_of(
    entry: PartitionEntry, wanted: int, trouble: Trouble, ledger: Ledger, rule: PlacementRule
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
            stood_in = place_log_only(entry, absent[0], sites, ledger, rule)
            return stood_in if stood_in is None or _reaches_its_zones(entry, stood_in, trouble) else None
        target = [*_voters(stay), *_log_only(held)]
    elif len(stay) + len(held) > wanted:
        target = _voters(_fewest_zones_first(stay, trouble)[-wanted:])
        target = [spec for spec in _voters(stay) if spec in target]
    elif moves and logs and _is_back(entry, stay, trouble):
        # A full replica is made on its node once it is out, and not where its stand-in is.
        target = None
    else:
        target = _fill(entry, wanted, stay, held, logs, sites, trouble, ledger, rule)
    if target is None or len(target) < entry.write_quorum or not _reaches_its_zones(entry, target, trouble):
        return _as_it_is(entry, trouble) if cannot_be else None
    same = {(spec.node, spec.role) for spec in target} == {(place.node, place.role) for place in entry.target}
    return None if same and not cannot_be else target


def _reaches_its_zones(entry: PartitionEntry, target: list[ReplicaSpec], trouble: Trouble) -> bool:
    """Would the voters lie in as many zones as a write has to reach? Else no master ever goes there: where the nodes of
    a zone are all away, the group waits for one of them, or for a new one."""
    zones = {trouble.sites[spec.node].zone for spec in target if spec.role != "learner"}
    return len(zones) >= entry.durable_zones


def _is_back(entry: PartitionEntry, stay: list[NodeId], trouble: Trouble) -> bool:
    """Is a member free that was away and has lost its seat, and is it all that the group waits for?"""
    members = {place.node for place in entry.members}
    back = any(node in members and node not in stay for node in trouble.free)
    return back and all(trouble.holds(place.node) for place in entry.target)


def _as_it_is(entry: PartitionEntry, trouble: Trouble) -> list[ReplicaSpec] | None:
    """The same places once more, which takes a plan back that cannot be; None where one of them has left."""
    if any(place.node in trouble.gone for place in entry.target):
        return None
    return [ReplicaSpec(place.node, place.role) for place in entry.target]


def _fill(
    entry: PartitionEntry,
    wanted: int,
    stay: list[NodeId],
    held: list[NodeId],
    logs: list[NodeId],
    sites: list[Site],
    trouble: Trouble,
    ledger: Ledger,
    rule: PlacementRule,
) -> list[ReplicaSpec] | None:
    """Voters on new sites for the open seats; a seat that finds none keeps what it has, as far as that exists."""
    kept = [*_voters(stay), *_log_only(held)]
    target = fill_seats(kept, wanted, sites, ledger, rule)
    if len(target) < wanted and not _can_wait(entry, wanted, target, trouble):
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


def _can_wait(entry: PartitionEntry, wanted: int, target: list[ReplicaSpec], trouble: Trouble) -> bool:
    """Can the group go on with these places until a member that is to go is out?"""
    voters = [spec.node for spec in target if spec.role == "voter"]
    return _reaches_its_zones(entry, target, trouble) and _may_shrink(entry, wanted, voters, trouble)


def _may_shrink(entry: PartitionEntry, wanted: int, stay: list[NodeId], trouble: Trouble) -> bool:
    """Whether the only free sites are members under ids that must go first, and the rest can wait for that."""
    if len(stay) != wanted - 1 or 2 * len(stay) <= wanted or any(node not in trouble.free for node in stay):
        return False
    return any(place.node in trouble.free and place.node not in stay for place in entry.members)


def _fewest_zones_first(nodes: list[NodeId], trouble: Trouble) -> list[NodeId]:
    """The nodes in the order in which a group can best do without them."""
    left = list(nodes)
    order = []
    while left:
        zones = [trouble.sites[node].zone for node in left]
        go = max(left, key=lambda node: (node in trouble.absent, zones.count(trouble.sites[node].zone), node))
        left.remove(go)
        order.append(go)
    return order


def with_ids_of_their_own(entry: PartitionEntry, target: list[ReplicaSpec]) -> list[ReplicaSpec]:
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
