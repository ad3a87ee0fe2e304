"""Reads one batch back, as much of it as is good, with the help of its index copy where its own index is not."""

from collections.abc import Mapping, Sequence

import msgspec

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.record import Record, RecordError, decode_record
from keystead_node.storage.batch import Chunk, Item, RunItem, decode_chunk, index_bytes_of
from keystead_node.storage.block import (
    BLOCK_BYTES,
    PAYLOAD_BYTES,
    RULES,
    BlockError,
    BlockRules,
    Disk,
    decode_block,
    payload_of,
)
from keystead_node.storage.geometry import Geometry
from keystead_node.storage.index_ring import read_ring


class ReadBatch(msgspec.Struct):
    """`runs` holds, for each run, its records, None where the bytes are gone.

    `index_whole`: every item is here. `index_own`: from the batch itself, not from the ring's copy.
    """

    items: list[Item]
    runs: list[tuple[RunItem, list[Record | None]]]
    index_whole: bool
    index_own: bool
    bad_blocks: list[int]


class BatchReader:
    """Knows where a batch's blocks stand in the file."""

    def __init__(self, disk: Disk, node: int, geometry: Geometry, rules: BlockRules = RULES) -> None:
        self._disk = disk
        self._node = node
        self._geometry = geometry
        self._rules = rules

    def read(
        self,
        batch: int,
        start: int,
        blocks: int,
        copies: Sequence[Chunk] = (),
        sealed: Mapping[PartitionId, Lsn] | None = None,
    ) -> ReadBatch:
        """Reads batch `batch`, which lies at logical blocks [start, start + blocks). Never raises on bad content.

        Runs that end at or below their partition's LSN in `sealed` are not decoded and have no records here.
        """
        payloads = self._payloads(batch, start, blocks)
        bad = [number for number, payload in enumerate(payloads) if payload is None]
        stream = b"".join(b"\0" * PAYLOAD_BYTES if payload is None else payload for payload in payloads)
        items = self._own_index(payloads, stream, batch)
        is_own = whole = items is not None
        if items is None:
            items, whole = _copied_index([copy for copy in copies if copy.batch == batch and copy.start == start])
        bad_set = frozenset(bad)
        skip = sealed or {}
        runs = [
            (item, _records(stream, bad_set, item))
            for item in items
            if isinstance(item, RunItem) and item.first_lsn + len(item.pairs) - 1 > skip.get(item.partition, -1)
        ]
        return ReadBatch(items, runs, whole, is_own, [start + number for number in bad])

    def copies_of(self, batch: int) -> list[Chunk]:
        """What the ring still holds of one batch's index. Reads the whole ring."""
        slots = read_ring(self._disk, self._node, self._geometry, self._rules)
        return [chunk for _, _, chunks in slots for chunk in chunks if chunk.batch == batch]

    def _payloads(self, batch: int, start: int, blocks: int) -> list[bytes | None]:
        payloads: list[bytes | None] = []
        logical, end = start, start + blocks
        while logical < end:
            place = self._geometry.place_of(logical)
            count = min(end - logical, self._geometry.log_blocks - logical % self._geometry.log_blocks)
            data = self._disk.read(place * BLOCK_BYTES, count * BLOCK_BYTES)
            for number in range(count):
                block = data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
                payloads.append(self._payload(block, place + number, batch, logical + number - start))
            logical += count
        return payloads

    def _payload(self, data: bytes, place: int, batch: int, batch_block: int) -> bytes | None:
        try:
            header = decode_block(data, self._node, place, self._rules)
        except BlockError:
            return None
        if header.batch != batch or header.batch_block != batch_block:
            return None
        return payload_of(data, header)

    def _own_index(self, payloads: list[bytes | None], stream: bytes, batch: int) -> list[Item] | None:
        if payloads[0] is None:
            return None
        try:
            index_blocks = -(-index_bytes_of(payloads[0]) // PAYLOAD_BYTES)
            if any(payload is None for payload in payloads[:index_blocks]):
                return None
            chunk = decode_chunk(stream)
            return chunk.items() if chunk.batch == batch else None
        except BlockError:
            return None


def _copied_index(copies: list[Chunk]) -> tuple[list[Item], bool]:
    """The items of all parts that decode, and whether no part is missing."""
    parts: dict[int, list[Item]] = {}
    for copy in copies:
        try:
            parts[copy.number] = copy.items()
        except BlockError:
            continue
    whole = bool(parts) and len(parts) == copies[0].count
    return [item for number in sorted(parts) for item in parts[number]], whole


def _records(stream: bytes, bad_blocks: frozenset[int], run: RunItem) -> list[Record | None]:
    records: list[Record | None] = []
    pos = run.data_pos
    for number, (hash_, length) in enumerate(run.pairs):
        record = None
        if not bad_blocks or bad_blocks.isdisjoint(
            range(pos // PAYLOAD_BYTES, (pos + length - 1) // PAYLOAD_BYTES + 1)
        ):
            record = _record_at(stream, pos, length)
        if record is not None and (record.hash, record.lsn) != (hash_, run.first_lsn + number):
            record = None
        records.append(record if record is None or record.partition == run.partition else None)
        pos += length
    return records


def _record_at(stream: bytes, pos: int, length: int) -> Record | None:
    try:
        record = decode_record(stream, pos)
    except RecordError:
        return None
    return record if len(record.raw) == length else None
