"""The hot log of a node: one append-only ring of blocks for all its replicas.

Contract: `append(entries)` encodes a batch (or a few, where one would be too large) and returns the writes, as (offset,
bytes), that carry it: its blocks and the copy of its index. The caller issues all of them, then syncs the disk once,
then calls `synced(last_batch)`. A write may not be repeated after a failed sync; the process stops. Append again only
when what was appended before is synced: each block names what is, and recovery takes the rest for torn.

A segment is reused once nothing in it is needed: when less than two reserves are free, each append also moves a share
of what is still alive in the oldest segment (records that are not sealed, latest states, tombstones, commit bounds,
damage that is not resolved). When the batch that completes the move is synced, later batches name a new `oldest`
block; when one of those is synced, the segment is free. So idle partitions pin nothing, at the price of moving their
records each lap. `space().is_scarce` says much earlier, at half, that sealing would spare moves.

Records are refused with HotLogFull while they would use the reserve, which is left to promises, snips and eligibility
and to moving. A caller that meets it releases (seals) what `space()` names and calls `append([])` until there is room.

Deterministic and without I/O but for reading old segments through the Disk.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import msgspec

from keystead_core.ids import Lsn, NodeId, PartitionId
from keystead_core.log.entries import AppendEntry, DamagedRecord, LogEntry, SnipEntry, StateEntry
from keystead_core.log.record import Record
from keystead_node.storage.batch import BatchBuilder
from keystead_node.storage.batch_reader import BatchReader
from keystead_node.storage.block import BLOCK_BYTES, PAYLOAD_BYTES, Disk, Purpose, encode_block
from keystead_node.storage.geometry import Geometry, fit_geometry, write_super
from keystead_node.storage.hot_index import HotIndex, Segment
from keystead_node.storage.index_ring import IndexRing
from keystead_node.storage.mover import ENTRY_OVERHEAD, RECORD_OVERHEAD, Mover

Write = tuple[int, bytes]


class Report(msgspec.Struct):
    """What a recovery saw, as batch numbers. `unknown`: content lost; `dropped_tails`: first LSN that did not chain.

    `doubtful`: those that are damaged, and not named as synced by any block.
    """

    batches: int = 0
    doubtful: list[int] = []
    torn: list[int] = []
    damaged: list[int] = []
    unknown: list[int] = []
    dropped_tails: dict[PartitionId, Lsn] = {}


class HotLogFull(Exception):
    """There is no room for these records until something is released; nothing was taken."""


class RecordTooLarge(ValueError):
    """A record is longer than this log can hold in one batch; nothing was taken."""


class Space(msgspec.Struct, frozen=True):
    """How full the hot log is, in bytes. `pins`: what keeps the oldest segments, by partition, the largest first."""

    total_bytes: int
    free_bytes: int
    reserve_bytes: int
    oldest_live_bytes: int
    pins: list[tuple[PartitionId, int]]
    is_scarce: bool


class Position(msgspec.Struct):
    """Where the log goes on: `head` is the next logical block, `prev_batch` the last batch that is part of the log."""

    head: int
    next_batch: int
    prev_batch: int
    synced: int
    oldest: int
    next_slot: int


def node_number(node_id: NodeId) -> int:
    """The node id as it stands in blocks."""
    return int(node_id, 16)


class HotLog:
    """See the module. Made by `HotLog.create` or by `recovery.recover`."""

    def __init__(
        self, disk: Disk, node: int, geometry: Geometry, index: HotIndex, position: Position, reader: BatchReader
    ) -> None:
        self.geometry = geometry
        self.index = index
        self._disk = disk
        self._node = node
        self._ring = IndexRing(geometry, node, position.next_slot)
        self._head = position.head
        self._next_batch = position.next_batch
        self._prev_batch = position.prev_batch
        self._synced = position.synced
        self._oldest = self._oldest_durable = position.oldest
        self._named: deque[tuple[int, int]] = deque()
        self._mover = Mover(index, reader, geometry)
        self._segment_blocks = geometry.segment_blocks
        self._log_blocks = geometry.log_blocks
        self._reserve_blocks = geometry.reserve_blocks
        self._bytes_max = self.batch_bytes_max
        self._first_place = geometry.place_of(0)
        self._dropped_tails: list[tuple[PartitionId, Lsn]] = []
        self._unreported: list[int] = []
        self._rescues: list[tuple[int, int, int]] = []
        self._voids: list[int] = []
        self._bare: list[tuple[int, int]] = []
        self._has_doubts = False
        self.report = Report()

    @classmethod
    def create(cls, disk: Disk, node_id: NodeId, geometry: Geometry | None = None) -> "HotLog":
        """Lays a new log over the whole disk (which need not be zeroed for a node id never used) and syncs it."""
        geometry = geometry or fit_geometry(disk.size_bytes)
        node = node_number(node_id)
        write_super(disk, node, geometry)
        disk.sync()
        position = Position(geometry.first_block, 1, 0, 0, geometry.first_block, 0)
        return cls(disk, node, geometry, HotIndex(), position, BatchReader(disk, node, geometry))

    @property
    def last_batch(self) -> int:
        """The number of the last batch that `append` made; 0 before the first."""
        return self._next_batch - 1

    @property
    def synced_batch(self) -> int:
        return self._synced

    @property
    def batch_bytes_max(self) -> int:
        """More than that in one append is cut into several batches."""
        return (self.geometry.batch_blocks_max - 1) * PAYLOAD_BYTES

    @property
    def free_blocks(self) -> int:
        """Blocks that may be written before a segment must be given up."""
        oldest = self._oldest_durable
        return oldest - oldest % self._segment_blocks + self._log_blocks - self._head

    @property
    def has_room(self) -> bool:
        """Whether one more batch of records of the largest size would be taken."""
        return self.free_blocks - self.geometry.batch_blocks_max >= self.geometry.reserve_blocks

    def append(self, entries: Sequence[LogEntry]) -> list[Write]:
        """Encodes one batch and returns its writes: issue all, sync once, then call `synced(log.last_batch)`.

        An empty list makes a batch that only moves the oldest segment on. Raises HotLogFull or RecordTooLarge, and
        has taken nothing then.
        """
        size = sum([_size_bound(entry) for entry in entries])
        blocks = size // PAYLOAD_BYTES + 2
        if self._rescues or self._bare or self._has_doubts:
            again = [rescue[2] for rescue in self._rescues] + [old_blocks for _, old_blocks in self._bare]
            blocks += sum(again) + self._mover.states_bound() // PAYLOAD_BYTES
        reserve = 0
        for entry in entries:
            if isinstance(entry, AppendEntry):
                reserve = self._reserve_blocks
                break
        if self.free_blocks - blocks < reserve:
            raise HotLogFull(f"{blocks} blocks are needed beside a reserve of {reserve}, {self.free_blocks} are free")
        if size <= self._bytes_max:
            return self._append_batch(entries)
        groups = list(_split(entries, self._bytes_max))
        return [write for group in groups for write in self._append_batch(group)]

    def synced(self, batch: int) -> None:
        """Every batch up to `batch` is durable."""
        assert batch <= self.last_batch, f"batch {batch} was never made"
        self._synced = max(self._synced, batch)
        moved = self._mover.moved
        if moved is not None and moved[0] <= self._synced:
            self._oldest = moved[1]
            self._mover.moved = None
            self.index.forget_before(self._oldest, self.geometry.segment_blocks)
        while self._named and self._named[0][0] <= self._synced:
            self._oldest_durable = self._named.popleft()[1]

    def release(self, partition: PartitionId, upto_lsn: Lsn) -> None:
        """The records up to that LSN are sealed in the cold log (durable and verified): they need not stay here."""
        self.index.release(partition, upto_lsn)

    def take_damage(self) -> list[tuple[PartitionId, DamagedRecord]]:
        """Damage found while old segments were read, since the last call."""
        found, self._mover.damage_found = self._mover.damage_found, []
        return found

    def space(self) -> Space:
        """See Space. Goes over the oldest quarter of the segments: not for every request."""
        pins: dict[PartitionId, int] = {}
        generations = sorted(self.index.segments)
        for generation in generations[: max(1, self.geometry.segment_count // 4)]:
            for partition, length in self.index.live_usage(generation).items():
                pins[partition] = pins.get(partition, 0) + length
        oldest = self.index.live_usage(generations[0]) if generations else {}
        return Space(
            total_bytes=self.geometry.log_blocks * BLOCK_BYTES,
            free_bytes=self.free_blocks * BLOCK_BYTES,
            reserve_bytes=self.geometry.reserve_blocks * BLOCK_BYTES,
            oldest_live_bytes=sum(oldest.values()),
            pins=sorted(pins.items(), key=lambda pin: (-pin[1], pin[0])),
            is_scarce=self._is_scarce(),
        )

    def resume(
        self,
        dropped_tails: Mapping[PartitionId, Lsn],
        unreported: Sequence[int],
        rescues: Sequence[tuple[int, int, int]],
        voids: Sequence[int] = (),
        bare: Sequence[tuple[int, int]] = (),
        has_doubts: bool = False,
    ) -> None:
        """Recovery's word, which the next batch makes durable; `rescue` writes one at once.

        What it dropped (to be snipped); damage that no batch names yet; the batches, as (number, start, blocks),
        that are known only from the ring; those that were torn and that newer ones of the log name: later batches
        name all before them as synced, and would make damage of them; as (start, blocks), those that have no index
        copy, and that none names as synced: if such a one rotted now it would be taken for torn; and whether there is
        doubtful damage, which would be taken for certain once its batch is named as synced.
        """
        self._dropped_tails = list(dropped_tails.items())
        self._unreported = list(unreported)
        self._rescues = list(rescues)
        self._voids = list(voids)
        self._bare = list(bare)
        self._has_doubts = has_doubts

    def rescue(self) -> None:
        """Writes and syncs a batch with recovery's word, where it found batches that are known only from the ring, or
        only from their own blocks: what the node says from now on rests on them. Where it found torn ones in the log's
        midst, or doubtful damage, a second names as synced what the first could not. On a full log the next batches
        have to do."""
        for _ in range(2 if self._voids or self._has_doubts else 1 if self._rescues or self._bare else 0):
            try:
                writes = self.append([])
            except HotLogFull:
                return
            for offset, data in writes:
                self._disk.write(offset, data)
            self._disk.sync()
            self.synced(self.last_batch)

    def _is_scarce(self) -> bool:
        """Time to seal: what is sealed need not be moved."""
        return self.free_blocks < self._log_blocks // 2

    def _append_batch(self, entries: Sequence[LogEntry]) -> list[Write]:
        start, batch = self._head, self._next_batch
        builder = BatchBuilder(batch, self._prev_batch)
        segment = self.index.saw_batch(start // self._segment_blocks, batch, start)
        if self._dropped_tails or self._unreported or self._rescues or self._voids or self._bare or self._has_doubts:
            self._add_recovery_word(builder, segment, start)
        for entry in entries:
            match entry:
                case AppendEntry():
                    self._add_records(builder, segment, entry, start)
                case SnipEntry():
                    self._add_snip(builder, entry.partition, entry.first_lsn, entry.epoch, start)
                case StateEntry():
                    born = self.index.saw_state(entry.partition, entry.state, builder.next_order, start)
                    builder.add_state(entry.partition, entry.state, builder.next_order, born)
                case _:
                    assert_never(entry)
        if self._mover.is_moving or self.free_blocks < 2 * self._reserve_blocks:
            self._mover.move_some(builder, segment, start, self.free_blocks, self._synced)
        return self._lay_out(builder, start)

    def _add_records(self, builder: BatchBuilder, segment: Segment, entry: AppendEntry, start: int) -> None:
        partition, records, index = entry.partition, entry.records, self.index
        if entry.commit_lsn:
            index.saw_commit(partition, entry.commit_lsn, builder.next_order, start)
        tracked = index.of(partition)
        before = builder.data_bytes
        builder.add_records(partition, entry.commit_lsn, records)
        if records:
            index.saw_records(partition, segment, records[-1].lsn, builder.data_bytes - before)
        if tracked.damaged:
            for record in records:
                if tracked.damaged.pop(record.lsn, None):
                    tracked.repaired.add(record.lsn)

    def _add_snip(self, builder: BatchBuilder, partition: PartitionId, first_lsn: Lsn, epoch: int, start: int) -> None:
        """A snip is durable like a record: it is an item of the batch, in its place among the others."""
        self.index.saw_snip(partition, first_lsn, epoch, builder.next_order, start)
        builder.add_snip(partition, first_lsn, epoch, builder.next_order)

    def _add_recovery_word(self, builder: BatchBuilder, segment: Segment, start: int) -> None:
        for number, old_start, blocks in self._rescues:
            self._mover.rescue(builder, segment, start, number, old_start, blocks)
        for old_start, _ in self._bare:
            self._mover.repeat(builder, start, old_start)
        if self._has_doubts:
            self._mover.tell_doubtful(builder)
        for partition, first_lsn in self._dropped_tails:
            self._add_snip(builder, partition, first_lsn, 0, start)
        for damaged in self._unreported:
            self.index.unknown[damaged] = (builder.next_order, start)
            builder.add_unknown(damaged, builder.next_order)
        for void in self._voids:
            self.index.rescued.add(void)
            builder.add_rescued(void)
        self._dropped_tails, self._unreported, self._rescues, self._voids, self._bare = [], [], [], [], []
        self._has_doubts = False

    def _lay_out(self, builder: BatchBuilder, start: int) -> list[Write]:
        stream, index_bytes, blocks = builder.stream(start)
        assert blocks <= self.free_blocks, "a batch would overwrite what is still needed"
        encoded = self._blocks_of(stream, start, blocks, builder, index_bytes)
        if index_bytes <= PAYLOAD_BYTES:
            chunks = [stream[:index_bytes]]
        else:
            chunks = builder.split_index(start, blocks)
        batch, oldest = builder.batch, self._oldest
        copies = self._ring.write(chunks, batch, builder.prev, self._synced, oldest)
        if oldest != (self._named[-1][1] if self._named else self._oldest_durable):
            self._named.append((batch, oldest))
        self._head = start + blocks
        self._next_batch = batch + 1
        self._prev_batch = batch
        in_log = start % self._log_blocks
        before_wrap = self._log_blocks - in_log
        writes = [((self._first_place + in_log) * BLOCK_BYTES, b"".join(encoded[:before_wrap]))]
        if blocks > before_wrap:
            writes.append((self._first_place * BLOCK_BYTES, b"".join(encoded[before_wrap:])))
        writes += copies
        return writes

    def _blocks_of(
        self, stream: bytes, start: int, blocks: int, builder: BatchBuilder, index_bytes: int
    ) -> list[bytes]:
        state_bytes = index_bytes if builder.has_state else 0
        encoded = []
        for number in range(blocks):
            offset = number * PAYLOAD_BYTES
            payload = stream if blocks == 1 else stream[offset : offset + PAYLOAD_BYTES]
            logical = start + number
            header = (
                Purpose.STATE if offset < state_bytes else Purpose.DATA,
                len(payload),
                self._node,
                logical // self._segment_blocks,
                self._first_place + logical % self._log_blocks,
                builder.batch,
                builder.prev,
                self._synced,
                self._oldest,
                number,
                blocks,
            )
            encoded.append(encode_block(header, payload))
        return encoded


def _size_bound(entry: LogEntry) -> int:
    """At most so many bytes of a batch's stream."""
    if isinstance(entry, AppendEntry):
        return ENTRY_OVERHEAD + sum([len(record.raw) + RECORD_OVERHEAD for record in entry.records])
    if isinstance(entry, StateEntry):
        return ENTRY_OVERHEAD + len(entry.state.base_membership)
    return ENTRY_OVERHEAD


def _split(entries: Sequence[LogEntry], bytes_max: int) -> Iterator[list[LogEntry]]:
    """Cuts entries into groups of at most `bytes_max`, keeping their order. Raises RecordTooLarge."""
    group: list[LogEntry] = []
    size = 0
    for entry in entries:
        for part in _parts(entry, bytes_max):
            part_size = _size_bound(part)
            if part_size > bytes_max:
                raise RecordTooLarge(f"an entry of {part_size} bytes does not fit into a batch of {bytes_max}")
            if size + part_size > bytes_max:
                yield group
                group, size = [], 0
            group.append(part)
            size += part_size
    yield group


def _parts(entry: LogEntry, bytes_max: int) -> Iterator[LogEntry]:
    if not isinstance(entry, AppendEntry) or _size_bound(entry) <= bytes_max:
        yield entry
        return
    records: list[Record] = []
    size = ENTRY_OVERHEAD
    for record in entry.records:
        cost = len(record.raw) + RECORD_OVERHEAD
        if records and size + cost > bytes_max:
            yield AppendEntry(entry.partition, entry.commit_lsn, records)
            records, size = [], ENTRY_OVERHEAD
        records.append(record)
        size += cost
    yield AppendEntry(entry.partition, entry.commit_lsn, records)
