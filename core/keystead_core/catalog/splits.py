"""Splits as the catalog knows them: planned, refused, done, settled.

    PlanSplit --> extra copies as learners, the right group's ids and places minted   entry.split
    ReportSplit --> two entries: [low, at) a generation on, [at, high) new            split.done; right.left
    SettleSplit --> every right replica stands on its own: the left group lets go     as if never split

A split is true once it is committed in the left group's log, whatever stands here: a report is taken even if the plan
is gone. Whoever hears of it late finds the left group, which says that the key is not its own any more.
"""

import msgspec

from keystead_core.catalog import indexes
from keystead_core.catalog.commands import PlanSplit, RefuseSplit, ReportSplit, SettleSplit
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.groups import placement_rule, split_copies, without_plan
from keystead_core.catalog.results import (
    INSUFFICIENT_NODES,
    INSUFFICIENT_ZONES,
    INVALID,
    LIMIT_EXCEEDED,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
    CatalogReply,
    Refused,
)
from keystead_core.cluster_map import (
    CATALOG_TABLE,
    PartitionEntry,
    ReplicaTarget,
    SplitPlan,
    TableDefinition,
    in_ranges,
)
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.ledger import sites_of
from keystead_core.placement import InsufficientNodes, InsufficientZones, place
from keystead_core.split.record import Split, SplitError, decode_split


def plan(contents: Contents, command: PlanSplit) -> CatalogReply:
    """Gives the right half its ids and places, and the left group learners where the rows are not yet."""
    entry = contents.partitions.get(command.partition)
    if entry is None or entry.table == CATALOG_TABLE:
        raise Refused(RESOURCE_NOT_FOUND, f"there is no partition {command.partition} that could be split")
    table = contents.tables[entry.table]
    _check(contents, entry, table, command.at, command.reason)
    meta = contents.meta
    members = []
    for node in _nodes_of_right(contents, entry, table):
        members.append(ReplicaTarget(ReplicaId(meta.next_replica), node, contents.nodes[node].zone, "voter"))
        meta.next_replica += 1
    right = PartitionId(meta.next_partition)
    meta.next_partition += 1
    target = list(entry.target)
    held = {place.node for place in target}
    for member in members:
        if member.node not in held:
            target.append(ReplicaTarget(ReplicaId(meta.next_replica), member.node, member.zone, "learner"))
            meta.next_replica += 1
    split = SplitPlan(right=right, at=command.at, members=members, reason=command.reason)
    contents.put_partition(msgspec.structs.replace(entry, target=target, split=split, split_refusal=""))
    return CatalogReply(counters=[right])


def _check(contents: Contents, entry: PartitionEntry, table: TableDefinition, at: bytes, reason: str) -> None:
    name = f"partition {entry.id} of {table.name}"
    if entry.is_recovering:
        raise Refused(RESOURCE_IN_USE, f"{name} is being recovered")
    if entry.split is not None or entry.left:
        raise Refused(RESOURCE_IN_USE, f"{name} is being split already")
    filling = indexes.being_filled(contents.tables, table)
    if filling:
        raise Refused(RESOURCE_IN_USE, f"{name} cannot be split while index {filling} is being filled")
    if entry.epoch == 0:
        raise Refused(RESOURCE_IN_USE, f"{name} has no master yet")
    if at and (at <= entry.low or (entry.high is not None and at >= entry.high)):
        raise Refused(INVALID, f"{name} does not hold the key at which it should be split, or begins with it")
    count = contents.partitions_to_be(table.name)
    if reason != "request" and 0 < table.partitions_max <= count:
        raise Refused(LIMIT_EXCEEDED, f"{table.name} has the {table.partitions_max} partitions that it may have")
    settings = contents.meta.settings
    if count >= settings.partitions_per_table_max:
        raise Refused(LIMIT_EXCEEDED, f"{table.name} has {settings.partitions_per_table_max} partitions, the most")
    if contents.partitions_to_be() >= settings.partitions_max:
        raise Refused(LIMIT_EXCEEDED, f"the cluster has {settings.partitions_max} partitions, the most")


def _nodes_of_right(contents: Contents, entry: PartitionEntry, table: TableDefinition) -> list[NodeId]:
    """As a new partition would be placed; not on a node that has the left one's log without its rows."""
    rule = placement_rule(contents)
    without_rows = {place.node for place in (*entry.target, *entry.members) if place.role == "log-only"}
    sites = [s for s in sites_of(list(contents.nodes.values()), rule) if s.active and s.node not in without_rows]
    try:
        return place(1, table.replicas, table.durable_zones, sites, contents.ledger, rule)[0]
    except InsufficientNodes as error:
        raise Refused(INSUFFICIENT_NODES, f"the right half cannot be placed: {error}") from error
    except InsufficientZones as error:
        raise Refused(INSUFFICIENT_ZONES, f"the right half cannot be placed: {error}") from error


def refuse(contents: Contents, command: RefuseSplit) -> CatalogReply:
    """Takes a plan back, with the reason, unless it is done."""
    entry = contents.partitions.get(command.partition)
    if entry is not None and entry.split is not None and entry.split.right == command.right and not entry.split.done:
        contents.put_partition(without_plan(entry, command.reason))
    return CatalogReply()


def report(contents: Contents, command: ReportSplit) -> CatalogReply:
    """Two entries in the place of one. Idempotent; of a table that is gone the right half goes as well."""
    try:
        split = decode_split(command.split)
    except SplitError as error:
        raise Refused(INVALID, str(error)) from error
    entry = contents.partitions.get(command.partition)
    if split.right in contents.partitions or in_ranges(contents.deleted, split.right):
        return CatalogReply()
    if entry is None:
        if not in_ranges(contents.deleted, command.partition):
            raise Refused(RESOURCE_NOT_FOUND, f"there is no partition {command.partition}")
        contents.delete_unborn(split.right)
        return CatalogReply()
    if (split.low, split.high) != (entry.low, entry.high):
        raise Refused(INVALID, f"partition {entry.id} has not the range that it says was split")
    contents.put_partition(_right_of(entry, split, command.epoch))
    known, target = _done(entry, split), _with_copies(contents, entry, split)
    contents.put_partition(
        msgspec.structs.replace(
            entry, high=split.at, generation=entry.generation + 1, target=target, split=known, split_refusal=""
        )
    )
    indexes.inherit_filling(contents, entry.table, entry.id, split.right)
    return CatalogReply()


def _done(entry: PartitionEntry, split: Split) -> SplitPlan:
    """The plan once its split is reported. A plan made since, in the place of one that was taken back, stays as it is:
    its turn comes when this split is settled."""
    plan = entry.split
    if plan is None:
        plan = SplitPlan(right=split.right, at=split.at, members=list(split.members), reason="")
    return plan if plan.right != split.right else msgspec.structs.replace(plan, at=split.at, done=True)


def _with_copies(contents: Contents, entry: PartitionEntry, split: Split) -> list[ReplicaTarget]:
    """The target with every node from whose rows the right half is made. One that was to go when the split committed,
    as the plan had been taken back, gets a copy again: if most did not make it, the right group would never begin."""
    target, meta = list(entry.target), contents.meta
    held = {place.node for place in target}
    for member in split.members:
        if member.node not in held and contents.nodes[member.node].state != "left":
            target.append(ReplicaTarget(ReplicaId(meta.next_replica), member.node, member.zone, "learner"))
            meta.next_replica += 1
    return target


def _right_of(entry: PartitionEntry, split: Split, epoch: int) -> PartitionEntry:
    members = list(split.members)
    return PartitionEntry(
        id=split.right,
        table=entry.table,
        low=split.at,
        high=entry.high,
        generation=entry.generation + 1,
        founders=members,
        target=members,
        members=members,
        write_quorum=entry.write_quorum,
        durable_zones=entry.durable_zones,
        founding_write_quorum=split.write_quorum_min,
        founding_durable_zones=split.durable_zones,
        founding_lease_ms=split.lease // 1000,
        founding_epoch=epoch,
        left=entry.id,
    )


def settle(contents: Contents, command: SettleSplit) -> CatalogReply:
    """The right group needs nothing of the left one any more."""
    right = contents.partitions.get(command.right)
    if right is None or not right.left:
        return CatalogReply()
    left = contents.partitions.get(right.left)
    contents.put_partition(msgspec.structs.replace(right, left=PartitionId(0)))
    if left is not None and left.split is not None:
        is_all = left.split.right == right.id
        contents.put_partition(without_plan(left) if is_all else _without_copies(left, right))
    return CatalogReply()


def _without_copies(left: PartitionEntry, right: PartitionEntry) -> PartitionEntry:
    """The copies of a split go that was reported behind another plan: but for those which that one has, too."""
    nodes, kept = {place.node for place in right.founders}, split_copies(left)
    target = [place for place in left.target if place.role != "learner" or place.node not in nodes or place in kept]
    return msgspec.structs.replace(left, target=target)
