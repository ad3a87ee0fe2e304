"""Planted bugs of the storage (storage.md): blocks that are believed, snips that are forgotten, rows that lie."""

from __future__ import annotations

import struct
from typing import Any

from keystead_core.log import record
from keystead_core.log.record import Record, RecordError
from keystead_node import partition_store
from keystead_node.storage import cold_segment, hot_log, recovery, row_store
from keystead_node.storage.block import BlockRules
from keystead_node.storage.hot_index import HotIndex
from tests.sim.planted.registry import plant


def _yes(*_arguments: Any) -> bool:
    return True


def _no(*_arguments: Any) -> bool:
    return False


plant("torn-block-accepted", "a block counts only with its checksum", (BlockRules, "sum_is_right", _yes))
plant("misdirected-block-accepted", "a block counts only in its place, of its node", (BlockRules, "is_in_place", _yes))
plant("stale-segment-accepted", "what stands below the oldest needed block is stale", (BlockRules, "is_current", _yes))
plant(
    "damage-taken-for-torn",
    "a bad block whose index copy exists, or whose batch is named as synced, is damage (schedule 14)",
    (recovery.Recovery, "is_damage", _no),
)


def _no_snip(self: hot_log.HotLog, *_arguments: Any) -> None:
    return None


plant(
    "snip-not-written",
    "a snip is an item of the log, before what replaces the tail (schedule 7)",
    (hot_log.HotLog, "_add_snip", _no_snip),
)
plant("snipped-records-moved", "what a snip killed is not copied forward", (HotIndex, "snip_kills", _no))


_resume = hot_log.HotLog.resume


def _resume_without_naming(self: hot_log.HotLog, *word: Any) -> None:
    _resume(self, *word[:-1])


plant(
    "batch-without-a-copy-not-named",
    "a batch without an index copy is named as synced at the next start, before anybody relies on it",
    (hot_log.HotLog, "resume", _resume_without_naming),
)


def _apply_in_two(self: row_store.RowStore, changes: Any, applied_lsn: int) -> None:
    batch = self._engine.WriteBatch(raw_mode=True)
    for key, value in changes:
        batch.put(row_store.ROW + key, value)
    self._write(batch)
    batch = self._engine.WriteBatch(raw_mode=True)
    batch.put(row_store._APPLIED, row_store._LSN.pack(applied_lsn))
    self._write(batch)
    self._applied = applied_lsn


plant(
    "applied-lsn-not-in-the-batch", "rows and applied LSN are one batch", (row_store.RowStore, "apply", _apply_in_two)
)


def _block_unchecked(self: cold_segment.SegmentReader, number: int) -> list[Record]:
    _, offset, packed_bytes, unpacked_bytes, _ = self._index[number]
    packed = self._read(offset, packed_bytes)
    try:
        unpacked = cold_segment.zstandard.ZstdDecompressor().decompress(packed, max_output_size=unpacked_bytes)
        return record.decode_records(unpacked)
    except (cold_segment.zstandard.ZstdError, struct.error, RecordError) as error:
        raise cold_segment.ColdError(str(error)) from error


def _decode_unchecked(data: bytes, offset: int = 0) -> Record:
    length = record.HEADER.unpack_from(data, offset)[1]
    raw = bytes(data[offset : offset + length])
    if len(raw) < record.HEADER_BYTES:
        raise RecordError("too short")
    _, _, _, kind, _, version, partition, epoch, lsn, prev_hash, clock = record.HEADER.unpack_from(raw)
    return Record(partition, epoch, lsn, kind, version, prev_hash, clock, raw)


plant(
    "catch-up-skips-the-record-check",
    "sealed blocks and records count only with their checksums",
    (cold_segment.SegmentReader, "_block", _block_unchecked),
    (record, "decode_record", _decode_unchecked),
)


def _floor_of_memory(self: partition_store.PartitionStore, keep_lsn: int) -> None:
    """Trims up to what is applied, not to what is durable."""
    rows = self._rows
    if rows is None:
        return
    excess = self.cold.size_bytes() - self._owner.cold_bytes_max
    upto_lsn = 0
    for name in self.cold.segments[:-1]:
        if excess <= 0 or name.end.lsn > rows.applied_lsn:
            break
        excess -= self.cold.size_of(name)
        upto_lsn = name.end.lsn
    if upto_lsn:
        self._owner.note_floor(self._partition, rows.applied_lsn)
        self.cold.trim(upto_lsn)


plant(
    "cold-log-trimmed-above-durable-rows",
    "the cold log keeps what the rows do not durably hold",
    (partition_store.PartitionStore, "_trim", _floor_of_memory),
)
