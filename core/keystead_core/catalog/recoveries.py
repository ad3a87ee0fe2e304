"""Going on with a minority, as the catalog knows it (docs/decisions/0012).

    Recover       --> the lost nodes have left; nobody is to take part in the group any more     entry.recovery
    ReportRetired --> once every node has said so: another partition has the range, with one     recovery.old, source
                      replica, made of the newest log that is left
    ReportGroups  --> it has a master: what is left of the old one goes                          recovery.done

The old partition is not in the map then, but it is not deleted either, before the other has served: what is left of it
may be needed once more, if the node that was chosen is lost meanwhile (Recover says so).
"""

from collections.abc import Mapping

import msgspec

from keystead_core.catalog.commands import Recover, ReportGroups, ReportRetired
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.groups import without_plan
from keystead_core.catalog.results import (
    INVALID,
    NODE_LEFT,
    NODE_UNKNOWN,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
    CatalogReply,
    Refused,
)
from keystead_core.cluster_map import (
    CATALOG_TABLE,
    NodeEntry,
    PartitionEntry,
    Recovery,
    ReplicaTarget,
    Survivor,
    in_ranges,
)
from keystead_core.comeback import can_go_on
from keystead_core.ids import NodeId, PartitionId, ReplicaId


def recover(contents: Contents, command: Recover) -> CatalogReply:
    """Gives the group up with the nodes that are gone, or those nodes as well. The same again changes nothing."""
    entry = contents.partitions.get(command.partition)
    if entry is None:
        raise Refused(RESOURCE_NOT_FOUND, f"there is no partition {command.partition}")
    given_up = [_checked(contents, one.node, one.boot) for one in command.gone]
    known = entry.recovery if entry.is_recovering else None
    gone = sorted({*(known.gone if known is not None else ()), *(node.id for node in given_up)})
    if known is None:
        _check(contents, entry, gone, command.changing_to)
        recovery = Recovery(gone=gone, at=command.at)
    elif gone == known.gone:
        return CatalogReply(counters=[entry.id])
    else:
        recovery = msgspec.structs.replace(known, gone=gone)
        if recovery.old and not _best(contents, recovery):
            raise Refused(INVALID, f"nothing would be left to make partition {entry.id} of")
    for node in given_up:
        if node.state != "left":
            contents.put_node(msgspec.structs.replace(node, state="left"))
    if recovery.old and recovery.source is not None and recovery.source.node in gone:
        return CatalogReply(counters=[_choose(contents, entry, recovery)])
    contents.put_partition(msgspec.structs.replace(_without_split(contents, entry), recovery=recovery))
    look_again(contents)
    return CatalogReply(counters=[_holder_of(contents, entry.id)])


def _checked(contents: Contents, node: NodeId, boot: int) -> NodeEntry:
    known = contents.nodes.get(node)
    if known is None:
        raise Refused(NODE_UNKNOWN, f"no node {node} has ever registered")
    if known.state != "left" and known.boot != boot:
        raise Refused(RESOURCE_IN_USE, f"node {known.name} ({node}) has registered again meanwhile: it is not gone")
    return known


def _check(contents: Contents, entry: PartitionEntry, gone: list[NodeId], changing_to: list[NodeId]) -> None:
    if entry.table == CATALOG_TABLE:
        raise Refused(
            INVALID, "the catalog's own group cannot be recovered: it comes back with the majority of its volumes alone"
        )
    if entry.epoch == 0:
        raise Refused(INVALID, f"partition {entry.id} never had a master, and holds nothing")
    out = {*gone, *(node.id for node in contents.nodes.values() if node.state == "left")}
    if all(can_go_on(one, out) for one in stages_of(entry, changing_to, contents.nodes)):
        raise Refused(INVALID, f"partition {entry.id} needs no recovery: the voters that are not gone can go on")
    if all(place.node in out for place in (*entry.members, *entry.target)):
        raise Refused(INVALID, f"nothing would be left to make partition {entry.id} of")


def stages_of(
    entry: PartitionEntry, changing_to: list[NodeId], nodes: Mapping[NodeId, NodeEntry]
) -> list[PartitionEntry]:
    """The group as last reported and, where its log is changing its voters, as it would be then: until such a change is
    committed nothing is without a quorum of both."""
    if not changing_to:
        return [entry]
    roles = {place.node: place.role for place in (*entry.members, *entry.target)}
    voters = [
        ReplicaTarget(ReplicaId(number), node, nodes[node].zone, roles.get(node, "voter"))
        for number, node in enumerate(changing_to, 1)
        if node in nodes and roles.get(node) != "learner"
    ]
    return [entry, msgspec.structs.replace(entry, members=voters)]


def _without_split(contents: Contents, entry: PartitionEntry) -> PartitionEntry:
    """A split that the map does not know to be done is taken back: nobody was ever sent to its right half."""
    if entry.left:
        left = contents.partitions.get(entry.left)
        if left is not None and left.split is not None and left.split.right == entry.id:
            contents.put_partition(without_plan(left))
        entry = msgspec.structs.replace(entry, left=PartitionId(0))
    if entry.split is not None and not entry.split.done:
        right = entry.split.right
        entry = without_plan(entry, "the partition had to be recovered")
        if not in_ranges(contents.deleted, right):
            contents.delete_unborn(right)
    return entry


def report(contents: Contents, command: ReportRetired) -> CatalogReply:
    """Notes that a node takes part no more, and what it has; the last one decides."""
    entry = contents.partitions.get(command.partition)
    if entry is None or entry.recovery is None or not entry.is_recovering or entry.recovery.old:
        return CatalogReply()
    said = command.survivor
    node = contents.nodes.get(said.node)
    if node is None:
        raise Refused(NODE_UNKNOWN, f"no node {said.node} has ever registered")
    if node.state == "left":
        raise Refused(NODE_LEFT, f"node {node.name} ({node.id}) has left the cluster for good")
    recovery = entry.recovery
    survivors = [one for one in recovery.survivors if one.node != said.node] + ([said] if said.lsn else [])
    heard = sorted({*recovery.heard, said.node})
    recovery = msgspec.structs.replace(recovery, heard=heard, survivors=sorted(survivors, key=lambda one: one.node))
    if recovery != entry.recovery:
        contents.put_partition(msgspec.structs.replace(entry, recovery=recovery))
        look_again(contents)
    return CatalogReply()


def look_again(contents: Contents) -> None:
    """Chooses what to go on with wherever nobody is waited for any more."""
    for entry in [entry for entry in contents.partitions.values() if entry.is_recovering]:
        recovery = entry.recovery
        if recovery is None or recovery.old or not _best(contents, recovery):
            continue
        if all(node.state == "left" or node.id in recovery.heard for node in contents.nodes.values()):
            _choose(contents, entry, recovery)


def _best(contents: Contents, recovery: Recovery) -> Survivor | None:
    """The newest log that is left and has rows, as in any election; of equal ones the first node's."""
    there = [one for one in recovery.survivors if one.has_rows and contents.nodes[one.node].state != "left"]
    there = [one for one in there if one.node not in recovery.gone]
    return min(there, key=lambda one: (-one.epoch, -one.lsn, one.node), default=None)


def _choose(contents: Contents, entry: PartitionEntry, recovery: Recovery) -> PartitionId:
    """Another partition in the place of this one, with one replica, on the node whose log is the newest."""
    source = _best(contents, recovery)
    assert source is not None
    meta = contents.meta
    replica = ReplicaTarget(ReplicaId(meta.next_replica), source.node, contents.nodes[source.node].zone, "voter")
    meta.next_replica += 1
    made = PartitionEntry(
        id=PartitionId(meta.next_partition),
        table=entry.table,
        low=entry.low,
        high=entry.high,
        generation=entry.generation + 1,
        founders=[replica],
        target=[replica],
        members=[replica],
        write_quorum=entry.write_quorum,
        durable_zones=entry.durable_zones,
        founding_lease_ms=meta.settings.lease_ms,
        founding_epoch=source.epoch,
        recovery=msgspec.structs.replace(recovery, old=recovery.old or entry.id, source=source),
    )
    meta.next_partition += 1
    # One that was chosen before, and whose node is gone too, was never reported to have served.
    contents.replace_partition(entry.id, made, is_deleted=bool(recovery.old))
    _rename_in_indexes(contents, entry, made.id)
    return made.id


def _rename_in_indexes(contents: Contents, entry: PartitionEntry, new: PartitionId) -> None:
    """The older rows that an index does not have yet are the new partition's to bring."""
    table = contents.tables[entry.table]
    if not any(entry.id in index.filling for index in table.indexes):
        return
    indexes = [
        msgspec.structs.replace(index, filling=[new if one == entry.id else one for one in index.filling])
        for index in table.indexes
    ]
    contents.put_table(msgspec.structs.replace(table, indexes=indexes))


def _holder_of(contents: Contents, partition: PartitionId) -> PartitionId:
    """The partition that has the range now."""
    for entry in contents.partitions.values():
        if entry.recovery is not None and entry.recovery.old == partition:
            return entry.id
    return partition


def finish(contents: Contents, command: ReportGroups) -> None:
    """What has a master now needs nothing of the partition in whose place it came: that one is deleted."""
    for group in command.groups:
        entry = contents.partitions.get(group.partition)
        if entry is None or entry.recovery is None or not entry.is_recovering or not entry.epoch:
            continue
        recovery = entry.recovery
        if not recovery.old:
            continue
        contents.put_partition(
            msgspec.structs.replace(
                entry, recovery=msgspec.structs.replace(recovery, heard=[], survivors=[], done=True)
            )
        )
        contents.delete_unborn(recovery.old)
