"""Decodes a data directory, also that of a running or damaged node, without writing or locking anything.

`dump` returns plain structs: `keystead log dump` prints them as text or as JSON. A running node's newest batch may be
caught half written and then looks torn.
"""

from pathlib import Path

import msgspec

from keystead_core.ids import NodeId, PartitionId
from keystead_core.log.entries import ReplicaState
from keystead_core.log.record import Kind, Record
from keystead_node.storage.batch import (
    DamagedItem,
    Item,
    RescuedItem,
    RunItem,
    SnipItem,
    StateItem,
    UnknownItem,
)
from keystead_node.storage.batch_reader import BatchReader
from keystead_node.storage.block import BlockError
from keystead_node.storage.cold_log import ColdLog, SegmentDamaged
from keystead_node.storage.cold_store import DirectoryStore
from keystead_node.storage.disk import HOT_LOG, FileDisk, partitions_of, read_identity
from keystead_node.storage.faults import DiskFailed, FileIo
from keystead_node.storage.hot_log import node_number
from keystead_node.storage.recovery import Recovery, Scan, recover


class DumpedRecord(msgspec.Struct):
    partition: int
    lsn: int
    epoch: int
    kind: str
    membership_version: int
    clock: int
    bytes: int
    hash: str


class DumpedEntry(msgspec.Struct, omit_defaults=True):
    """One item of a batch: `kind` is run | snip | state | damaged | unknown | rescued. `moved`: an older item."""

    kind: str
    partition: int = 0
    moved: bool = False
    first_lsn: int = 0
    commit_lsn: int = 0
    epoch: int = 0
    state: ReplicaState | None = None
    records: list[DumpedRecord] = []
    damaged_lsns: list[int] = []
    batch: int = 0


class DumpedBatch(msgspec.Struct):
    number: int
    block: int
    blocks: int
    status: str
    entries: list[DumpedEntry]


class DumpedSegment(msgspec.Struct):
    file: str
    first_lsn: int
    last_lsn: int
    bytes: int
    error: str


class DumpedPartition(msgspec.Struct):
    """What a node would recover of a partition now: `records` of the hot log, `cold` below it."""

    partition: int
    state: ReplicaState | None
    commit_lsn: int
    cold: list[DumpedSegment]
    records: list[DumpedRecord]


class Dump(msgspec.Struct):
    """A whole data directory. `damages` are sentences, empty where nothing is wrong."""

    node: str
    cluster: str
    boot: int
    batches: list[DumpedBatch]
    partitions: list[DumpedPartition]
    damages: list[str]


def dump(data: Path, partition: PartitionId | None = None) -> Dump:
    """Decodes the directory, or one partition of it.

    Raises FileNotFoundError where there is no volume, VolumeError where its identity cannot be read, DiskFailed.
    """
    identity = read_identity(data)
    if identity is None:
        raise FileNotFoundError(f"{data} is no data directory of a node")
    damages: list[str] = []
    ids = [partition] if partition is not None else partitions_of(data)
    cold = {each: _dump_cold(data, each, damages) for each in ids}
    batches: list[DumpedBatch] = []
    recovered: dict[PartitionId, DumpedPartition] = {}
    try:
        disk = FileDisk.open_read_only(data / HOT_LOG)
        try:
            batches = _dump_batches(disk, node_number(identity.node_id), partition, damages)
            recovered = _dump_replicas(disk, data, identity.node_id, partition, damages)
        finally:
            disk.close()
    except FileNotFoundError:
        damages.append("hot.log is gone")
    except BlockError as error:
        damages.append(f"hot.log cannot be read: {error}")
    for each in sorted({*cold, *recovered}):
        entry = recovered.setdefault(each, DumpedPartition(each, None, 0, [], []))
        entry.cold = cold.get(each) or _dump_cold(data, each, damages)
    return Dump(
        identity.node_id,
        identity.cluster,
        identity.boot,
        batches,
        [recovered[each] for each in sorted(recovered)],
        damages,
    )


def _cold_log(data: Path, partition: PartitionId) -> tuple[DirectoryStore, ColdLog]:
    store = DirectoryStore(data / "partitions" / str(partition) / "cold", FileIo(), read_only=True)
    return store, ColdLog(store, partition)


def _dump_cold(data: Path, partition: PartitionId, damages: list[str]) -> list[DumpedSegment]:
    store, log = _cold_log(data, partition)
    for first, last in log.missing:
        damages.append(f"partition {partition}: no cold segment holds LSN {first} to {last}")
    segments = []
    for name in log.segments:
        error = ""
        try:
            log.verify(name)
        except (SegmentDamaged, DiskFailed) as damage:
            error = str(damage)
            damages.append(f"partition {partition}: {error}")
        segments.append(DumpedSegment(name.file, name.first_lsn, name.end.lsn, store.size_bytes(name.file), error))
    return segments


def _dump_batches(disk: FileDisk, node: int, partition: PartitionId | None, damages: list[str]) -> list[DumpedBatch]:
    recovery = Recovery(disk, node)
    scan = recovery.scan()
    chained = recovery.chain(scan)
    _tell_of_blocks(scan, damages)
    reader = BatchReader(disk, node, scan.geometry)
    batches = []
    for found in chained:
        batch = reader.read(found.number, found.start, found.blocks, found.copies)
        runs = {id(run): records for run, records in batch.runs}
        entries = [
            _dump_item(item, runs.get(id(item), []), found.number)
            for item in batch.items
            if partition is None or getattr(item, "partition", partition) == partition
        ]
        status = "good" if found.is_whole else "damaged" if batch.index_whole else "damaged, its index too"
        if not found.is_whole:
            damages.append(f"hot.log: batch {found.number} is {status} (blocks {batch.bad_blocks})")
        if entries or partition is None:
            batches.append(DumpedBatch(found.number, found.start, found.blocks, status, entries))
    for number in recovery.report.torn:
        batches.append(DumpedBatch(number, scan.batches[number].start, scan.batches[number].blocks, "torn", []))
    for number in recovery.report.unknown:
        damages.append(f"hot.log: nothing is left of batch {number}")
    return batches


def _tell_of_blocks(scan: Scan, damages: list[str]) -> None:
    """Bad blocks in the ring cost nothing alone; those of batches are told with their batch."""
    for bad in scan.bad_blocks:
        if 1 <= bad.place <= scan.geometry.ring_blocks:
            damages.append(f"hot.log: {bad.message} (an index copy)")


def _dump_item(item: Item, records: list[Record | None], batch: int) -> DumpedEntry:
    moved = item.order >> 24 != batch
    match item:
        case RunItem():
            return DumpedEntry(
                "run",
                item.partition,
                moved,
                item.first_lsn,
                item.commit_lsn,
                records=[_dump_record(record) for record in records if record is not None],
                damaged_lsns=[item.first_lsn + n for n, record in enumerate(records) if record is None],
            )
        case SnipItem():
            return DumpedEntry("snip", item.partition, moved, item.first_lsn, epoch=item.epoch)
        case StateItem():
            return DumpedEntry("state", item.partition, moved, state=item.state)
        case DamagedItem():
            return DumpedEntry("damaged", item.partition, moved, damaged_lsns=[item.lsn])
        case UnknownItem():
            return DumpedEntry("unknown", moved=moved, batch=item.batch)
        case RescuedItem():
            return DumpedEntry("rescued", moved=moved, batch=item.batch)


def _dump_record(record: Record) -> DumpedRecord:
    return DumpedRecord(
        record.partition,
        record.lsn,
        record.epoch,
        Kind(record.kind).name.lower(),
        record.membership_version,
        record.clock,
        len(record.raw),
        f"{record.hash:016x}",
    )


def _dump_replicas(
    disk: FileDisk, data: Path, node: NodeId, partition: PartitionId | None, damages: list[str]
) -> dict[PartitionId, DumpedPartition]:
    ends = {each: _cold_log(data, each)[1].end for each in partitions_of(data)}
    _, replicas = recover(disk, node, {k: v for k, v in ends.items() if v.lsn}, read_only=True)
    dumped = {}
    for replica in replicas:
        if partition is not None and replica.partition != partition:
            continue
        for lost in replica.damaged:
            damages.append(f"partition {replica.partition}: LSN {lost.lsn} (hash {lost.hash:016x}) is damaged")
        if replica.damaged_unknown:
            damages.append(f"partition {replica.partition}: may have lost records or promises that no index names")
        records = [_dump_record(record) for record in replica.records]
        dumped[replica.partition] = DumpedPartition(replica.partition, replica.state, replica.commit_lsn, [], records)
    return dumped
