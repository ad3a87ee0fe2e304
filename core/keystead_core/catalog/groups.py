"""Replica groups as the catalog knows them: their locks, what their masters report, and where they should live."""

import msgspec

from keystead_core.catalog.commands import GroupReport, ReplicaSpec, ReportGroups, SetTarget, TakeLocks
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.indexes import activate
from keystead_core.catalog.results import (
    BOOT_TOO_OLD,
    INVALID,
    NODE_LEFT,
    NODE_UNKNOWN,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
    CatalogReply,
    Refused,
)
from keystead_core.catalog.rows import Lock
from keystead_core.cluster_map import CATALOG_TABLE, NodeEntry, PartitionEntry, ReplicaTarget, in_ranges
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId, ReplicaId
from keystead_core.ledger import PlacementRule, sites_of

ROLES = ("voter", "learner", "log-only")


def take_locks(contents: Contents, command: TakeLocks) -> CatalogReply:
    """Raises each lock's counter and names its taker. The lock of a group that the map lacks is given all the same: a
    split may have made it a moment ago."""
    node = contents.nodes.get(command.taker)
    if node is None:
        raise Refused(NODE_UNKNOWN, f"no node {command.taker} has ever registered")
    if node.state == "left":
        raise Refused(NODE_LEFT, f"node {node.name} ({node.id}) has left the cluster for good")
    if command.boot < node.boot:
        raise Refused(BOOT_TOO_OLD, f"node {node.id} was seen at boot {node.boot}, this is boot {command.boot}")
    counters = []
    for wish in command.locks:
        if wish.partition <= CATALOG_PARTITION or in_ranges(contents.deleted, wish.partition):
            counters.append(0)
            continue
        lock = contents.locks.get(wish.partition)
        counter = max(lock.counter if lock else 0, wish.at_least) + 1
        contents.put_lock(wish.partition, Lock(counter, command.taker, command.boot))
        counters.append(counter)
    return CatalogReply(counters=counters)


def report(contents: Contents, command: ReportGroups) -> CatalogReply:
    """Takes in each report that is newer than what is known; a table is active once each partition had a master."""
    touched: dict[str, None] = {}
    for group in command.groups:
        entry = contents.partitions.get(group.partition)
        if entry is None or not _is_newer(group, entry):
            continue
        contents.put_partition(
            msgspec.structs.replace(
                entry,
                epoch=group.epoch,
                membership_version=group.membership_version,
                membership_epoch=group.membership_epoch,
                members=group.members,
                master=group.master,
            )
        )
        touched[entry.table] = None
    for name in touched:
        activate(contents, name)
    return CatalogReply()


def _is_newer(group: GroupReport, entry: PartitionEntry) -> bool:
    return (group.epoch, group.membership_version) > (entry.epoch, entry.membership_version)


def set_target(contents: Contents, command: SetTarget) -> CatalogReply:
    """Says where a group should live; mints the ids of replicas in new places."""
    entry = contents.partitions.get(command.partition)
    if entry is None:
        raise Refused(RESOURCE_NOT_FOUND, f"there is no partition {command.partition}")
    if entry.is_recovering:
        raise Refused(RESOURCE_IN_USE, f"partition {entry.id} is being recovered: its replicas are placed afterwards")
    _check_target(contents, entry, command.target)
    held = {place.node: place.replica for place in entry.target}
    former = {place.node: place.replica for place in entry.members if place.role == "voter"}
    next_replica = contents.meta.next_replica
    target = []
    for spec in command.target:
        replica = held.get(spec.node) or (former.get(spec.node) if spec.again else None)
        if replica is None or spec.fresh:
            replica = ReplicaId(next_replica)
            next_replica += 1
        target.append(ReplicaTarget(replica, spec.node, contents.nodes[spec.node].zone, spec.role))
    new = entry
    if entry.split is not None and entry.split.done:
        nodes = {spec.node for spec in command.target}
        target += [place for place in split_copies(entry) if place.node not in nodes]
    elif entry.split is not None and not all(place in target for place in entry.target):
        new = without_plan(entry, "the partition's replicas had to be moved first")
    new = msgspec.structs.replace(new, target=target)
    if new != entry:
        contents.meta.next_replica = next_replica
        contents.put_partition(new)
    return CatalogReply()


def split_copies(entry: PartitionEntry) -> list[ReplicaTarget]:
    """The learners that a split has put into the target: of a split that is done, the right half is made of them."""
    nodes = {member.node for member in entry.split.members} if entry.split is not None else set()
    return [place for place in entry.target if place.role == "learner" and place.node in nodes]


def without_plan(entry: PartitionEntry, reason: str = "") -> PartitionEntry:
    """The entry when nothing is split any more: the extra copies go."""
    copies = split_copies(entry)
    target = [place for place in entry.target if place not in copies]
    return msgspec.structs.replace(entry, target=target, split=None, split_refusal=reason)


def _check_target(contents: Contents, entry: PartitionEntry, target: list[ReplicaSpec]) -> None:
    names = [spec.node for spec in target]
    if len(set(names)) < len(names):
        raise Refused(INVALID, f"the target of partition {entry.id} names a node twice")
    for spec in target:
        node = contents.nodes.get(spec.node)
        if node is None:
            raise Refused(NODE_UNKNOWN, f"no node {spec.node} has ever registered")
        if node.state == "left":
            raise Refused(NODE_LEFT, f"node {node.name} ({node.id}) has left the cluster for good")
        if spec.role not in ROLES:
            raise Refused(INVALID, f"a replica is a voter, a learner or log-only, not {spec.role!r}")
    if not any(spec.role == "voter" for spec in target):
        raise Refused(INVALID, f"the target of partition {entry.id} has no voter with rows")
    voters = [contents.nodes[spec.node] for spec in target if spec.role != "learner"]
    rule = placement_rule(contents)
    if len({site.fate for site in sites_of(voters, rule)}) < len(voters):
        raise Refused(INVALID, f"two voters of partition {entry.id} would share a host or a disk")


def placement_rule(contents: Contents) -> PlacementRule:
    """The rule by the cluster's settings."""
    settings = contents.meta.settings
    return PlacementRule(peers_max=settings.peers_max, shared_fate_ok=settings.shared_fate_ok)


def found_group(
    contents: Contents,
    table: str,
    span: tuple[bytes, bytes | None],
    members: list[NodeEntry],
    write_quorum: int,
    durable_zones: int,
) -> PartitionEntry:
    """Mints a partition with its replicas and puts it into the map."""
    meta = contents.meta
    places = []
    for node in members:
        places.append(ReplicaTarget(ReplicaId(meta.next_replica), NodeId(node.id), node.zone, "voter"))
        meta.next_replica += 1
    entry = PartitionEntry(
        id=PartitionId(meta.next_partition),
        table=table,
        low=span[0],
        high=span[1],
        generation=1,
        founders=places,
        target=places,
        members=places,
        write_quorum=write_quorum,
        durable_zones=durable_zones,
        founding_write_quorum=write_quorum if write_quorum > len(members) // 2 + 1 else 0,
        founding_durable_zones=durable_zones,
        founding_lease_ms=meta.settings.lease_ms,
    )
    assert table != CATALOG_TABLE
    meta.next_partition += 1
    contents.put_partition(entry)
    return entry
