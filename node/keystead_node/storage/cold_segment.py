"""A segment of the cold log: a range of one partition's records, gapless, in LSN order, never changed.

    segment = magic:"KsCold\\x00\\x01" block* index footer
    block   = a zstd frame of records laid end to end
    index   = (first_lsn:u64 offset:u64 packed:u32 unpacked:u32 crc32c:u32) per block        (28 bytes each)
    footer  = partition:u64 first_lsn:u64 last_lsn:u64 prev_hash:u64 last_epoch:u64 last_hash:u64
              index_offset:u64 blocks:u32 crc32c:u32 magic:"KsCold\\x00\\x01"                  (72 bytes)

The index's crc32c covers the packed block; the footer's covers index and footer up to itself. `prev_hash` is the hash
of the record before the segment, `last_hash` names the whole history up to its end. Reading a range takes the footer,
the index and the blocks of the range; whatever is wrong anywhere is a ColdError.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import google_crc32c
import msgspec
import zstandard

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import LogPoint
from keystead_core.log.record import BODY_BYTES_MAX, HEADER_BYTES, Record, RecordError, decode_records

MAGIC: Final = b"KsCold\x00\x01"
BLOCK_TARGET_BYTES: Final = 128 * 1024
_INDEX: Final = struct.Struct("<QQIII")
_FOOTER: Final = struct.Struct("<QQQQQQQII8s")
_CRC_AT: Final = _FOOTER.size - 12
_UNPACKED_MAX: Final = BLOCK_TARGET_BYTES + BODY_BYTES_MAX + HEADER_BYTES
_crc = google_crc32c.value
LEVEL: Final = -1
"""Compression takes the processor from writes, and the cold log is short-lived: fast before small."""


class ColdError(ValueError):
    """The bytes are no good segment, or the records cannot make one."""


class SegmentFooter(msgspec.Struct, frozen=True):
    """What a segment says of itself."""

    partition: PartitionId
    first_lsn: Lsn
    last_lsn: Lsn
    prev_hash: int
    last_epoch: int
    last_hash: int
    index_offset: int
    blocks: int

    @property
    def end(self) -> LogPoint:
        return LogPoint(self.last_epoch, self.last_lsn, self.last_hash)


def check_chain(records: Sequence[Record], prev_hash: int | None = None) -> None:
    """Raises ColdError unless the records are of one partition and follow each other by LSN and hash."""
    for number, record in enumerate(records):
        expected = records[number - 1].hash if number else prev_hash
        if record.lsn != records[0].lsn + number or record.partition != records[0].partition:
            raise ColdError(f"record {record!r} does not follow {records[number - 1]!r}")
        if expected is not None and record.prev_hash != expected:
            raise ColdError(f"record {record!r} does not chain to the one before")


def encode_segment(records: Sequence[Record]) -> bytes:
    """The bytes of a segment. Raises ColdError if the records are none, or no gapless chain of one partition."""
    if not records:
        raise ColdError("a segment needs a record")
    check_chain(records)
    parts, index = [MAGIC], []
    offset = len(MAGIC)
    for group in _groups(records):
        unpacked = b"".join([record.raw for record in group])
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(unpacked)
        index.append(_INDEX.pack(group[0].lsn, offset, len(packed), len(unpacked), _crc(packed)))
        parts.append(packed)
        offset += len(packed)
    first, last = records[0], records[-1]
    fields = (first.partition, first.lsn, last.lsn, first.prev_hash, last.epoch, last.hash, offset, len(index))
    tail = b"".join(index) + _FOOTER.pack(*fields, 0, MAGIC)[:_CRC_AT]
    crc: int = _crc(tail)
    return b"".join(parts) + tail + crc.to_bytes(4, "little") + MAGIC


def _groups(records: Sequence[Record]) -> Iterator[list[Record]]:
    group: list[Record] = []
    size = 0
    for record in records:
        if group and size + len(record.raw) > BLOCK_TARGET_BYTES:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record.raw)
    yield group


class SegmentReader:
    """Reads one segment through `read(offset, length)`. Making it checks the footer and the index."""

    def __init__(self, read: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._read = read
        if size_bytes < len(MAGIC) + _FOOTER.size:
            raise ColdError(f"{size_bytes} bytes are too few for a segment")
        tail = read(size_bytes - _FOOTER.size, _FOOTER.size)
        *fields, crc, magic = _FOOTER.unpack(tail)
        self.footer = SegmentFooter(*fields)
        index_bytes = size_bytes - _FOOTER.size - self.footer.index_offset
        if magic != MAGIC or self.footer.blocks < 1 or index_bytes != self.footer.blocks * _INDEX.size:
            raise ColdError("the footer of a segment is wrong")
        index = read(self.footer.index_offset, index_bytes)
        if _crc(index + tail[:_CRC_AT]) != crc:
            raise ColdError("the checksum of a segment's index is wrong")
        self._index = list(_INDEX.iter_unpack(index))
        self._first_lsns = [entry[0] for entry in self._index]

    def read_from(self, lsn: Lsn, bytes_max: int) -> list[Record]:
        """Records from `lsn` on, at least one and then at most `bytes_max`. Raises ColdError."""
        if not self.footer.first_lsn <= lsn <= self.footer.last_lsn:
            raise ColdError(f"LSN {lsn} is not in the segment {self.footer.first_lsn}-{self.footer.last_lsn}")
        records: list[Record] = []
        size = 0
        for number in range(bisect_right(self._first_lsns, lsn) - 1, len(self._index)):
            for record in self._block(number):
                if record.lsn < lsn:
                    continue
                if records and size + len(record.raw) > bytes_max:
                    return records
                records.append(record)
                size += len(record.raw)
            if size >= bytes_max:
                return records
        return records

    def verify(self) -> None:
        """Reads all of it and follows the chain from end to end. Raises ColdError."""
        if self._read(0, len(MAGIC)) != MAGIC:
            raise ColdError("a segment begins wrongly")
        hash_ = self.footer.prev_hash
        for number in range(len(self._index)):
            records = self._block(number)
            check_chain(records, hash_)
            hash_ = records[-1].hash
        if (hash_, records[-1].epoch) != (self.footer.last_hash, self.footer.last_epoch):
            raise ColdError("a segment does not end where its footer says")

    def verify_holds(self, records: Sequence[Record]) -> None:
        """Reads all of it and compares it byte by byte with the chain that it was made of. Raises ColdError."""
        if self._read(0, len(MAGIC)) != MAGIC:
            raise ColdError("a segment begins wrongly")
        parts = [self._unpacked(number) for number in range(len(self._index))]
        if b"".join(parts) != b"".join([record.raw for record in records]):
            raise ColdError("a segment holds other bytes than were written")
        first, last = records[0], records[-1]
        expected = SegmentFooter(
            first.partition,
            first.lsn,
            last.lsn,
            first.prev_hash,
            last.epoch,
            last.hash,
            self.footer.index_offset,
            len(parts),
        )
        if self.footer != expected:
            raise ColdError("the footer of a segment is not what was written")

    def _unpacked(self, number: int) -> bytes:
        _, offset, packed_bytes, unpacked_bytes, crc = self._index[number]
        if offset + packed_bytes > self.footer.index_offset or unpacked_bytes > _UNPACKED_MAX:
            raise ColdError(f"block {number} of a segment is not where the index says")
        packed = self._read(offset, packed_bytes)
        if _crc(packed) != crc:
            raise ColdError(f"the checksum of block {number} of a segment is wrong")
        try:
            if zstandard.frame_content_size(packed) != unpacked_bytes:
                raise ColdError(f"block {number} of a segment has another length than the index says")
            unpacked: bytes = zstandard.ZstdDecompressor().decompress(packed, max_output_size=unpacked_bytes)
            return unpacked
        except zstandard.ZstdError as error:
            raise ColdError(f"block {number} of a segment does not decode: {error}") from error

    def _block(self, number: int) -> list[Record]:
        first_lsn = self._first_lsns[number]
        try:
            records = decode_records(self._unpacked(number))
        except RecordError as error:
            raise ColdError(f"block {number} of a segment does not decode: {error}") from error
        end = self._first_lsns[number + 1] if number + 1 < len(self._index) else self.footer.last_lsn + 1
        if not records or records[0].lsn != first_lsn or records[-1].lsn != end - 1:
            raise ColdError(f"block {number} of a segment holds other records than the index says")
        check_chain(records)
        if records[0].partition != self.footer.partition:
            raise ColdError(f"block {number} of a segment is of another partition")
        return records


def reader_of(data: bytes) -> SegmentReader:
    """A reader over bytes in memory. Raises ColdError."""
    return SegmentReader(lambda offset, length: data[offset : offset + length], len(data))
