"""A log record: the unit of replication.

    record  = header body
    header  = crc32c:u32 length:u32 version:u8 kind:u8 flags:u16 membership_version:u32
              partition:u64 epoch:u64 lsn:u64 prev_hash:u64 clock:u64          (56 bytes, little-endian)

`crc32c` covers everything behind itself; `length` is that of header and body together; `prev_hash` is the hash of the
record at lsn - 1 (0 at the first), and a record's hash is xxh3-64 of all its bytes. So one hash names a whole
history, and the bytes that the master encoded are the very bytes on every wire and in every log.
`clock` is a hybrid clock: microseconds of the master's wall clock, never falling within a log.
"""

import struct
from enum import IntEnum
from typing import Final

import google_crc32c
import xxhash

from keystead_core.ids import Epoch, Lsn, PartitionId

FORMAT_VERSION: Final = 1
HEADER: Final = struct.Struct("<IIBBHIQQQQQ")
HEADER_BYTES: Final = HEADER.size
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
_AFTER_CRC: Final = struct.Struct("<IBBHIQQQQQ")
_CRC: Final = struct.Struct("<I")
_crc = google_crc32c.value
_hash = xxhash.xxh3_64_intdigest


class Kind(IntEnum):
    """What a record's body is. Numbers are never reused."""

    DATA = 1
    EPOCH = 2
    MEMBERSHIP = 3
    CATALOG = 4
    SPLIT = 5
    TRANSACTION = 6
    JOURNAL = 7
    SCHEMA = 8
    SNAPSHOT_POINT = 9
    PAGE_DELTA = 10
    WRITE_TRACKER = 11
    TABLE_DEFINITION = 12
    INDEX_FEED = 13
    CHANGES_READ = 14


_LAST_KIND: Final = max(Kind)


class RecordError(ValueError):
    """The bytes are no record: too short, wrong version, wrong length or wrong checksum."""


class Record:
    """One record, decoded; `raw` is all its bytes. Never changed after it is made."""

    __slots__ = ("clock", "epoch", "hash", "kind", "lsn", "membership_version", "partition", "prev_hash", "raw")

    def __init__(
        self,
        partition: PartitionId,
        epoch: Epoch,
        lsn: Lsn,
        kind: int,
        membership_version: int,
        prev_hash: int,
        clock: int,
        raw: bytes,
    ) -> None:
        self.partition = partition
        self.epoch = epoch
        self.lsn = lsn
        self.kind = kind
        self.membership_version = membership_version
        self.prev_hash = prev_hash
        self.clock = clock
        self.raw = raw
        self.hash: int = _hash(raw)

    @property
    def body(self) -> bytes:
        return self.raw[HEADER_BYTES:]

    def __repr__(self) -> str:
        return f"{self.lsn}(e{self.epoch},{Kind(self.kind).name.lower()})"


def make_record(
    partition: PartitionId,
    epoch: Epoch,
    lsn: Lsn,
    kind: int,
    membership_version: int,
    prev_hash: int,
    clock: int,
    body: bytes,
) -> Record:
    """Encodes a record: the only place where its bytes are made."""
    length = HEADER_BYTES + len(body)
    rest = _AFTER_CRC.pack(length, FORMAT_VERSION, kind, 0, membership_version, partition, epoch, lsn, prev_hash, clock)
    rest += body
    return Record(partition, epoch, lsn, kind, membership_version, prev_hash, clock, _CRC.pack(_crc(rest)) + rest)


def decode_record(data: bytes, offset: int = 0) -> Record:
    """Reads the record that starts at `offset`; its end is `offset + len(result.raw)`.

    Raises RecordError on anything but a whole record of a known version and kind with the right checksum.
    """
    available = len(data) - offset
    if available < HEADER_BYTES:
        raise RecordError(f"{available} bytes are too few for a record header")
    fields = HEADER.unpack_from(data, offset)
    crc, length, version, kind, _flags, membership_version, partition, epoch, lsn, prev_hash, clock = fields
    if version != FORMAT_VERSION:
        raise RecordError(f"record version {version} is not known")
    if not HEADER_BYTES <= length <= available:
        raise RecordError(f"record length {length} does not fit into {available} bytes")
    raw = bytes(data[offset : offset + length])
    if _crc(raw[4:]) != crc:
        raise RecordError(f"checksum of the record at byte {offset} is wrong")
    if not 1 <= kind <= _LAST_KIND:
        raise RecordError(f"record kind {kind} is not known")
    return Record(PartitionId(partition), epoch, lsn, kind, membership_version, prev_hash, clock, raw)


def decode_records(data: bytes) -> list[Record]:
    """Reads records laid end to end. Raises RecordError if any byte is left over or wrong."""
    records = []
    offset = 0
    while offset < len(data):
        record = decode_record(data, offset)
        records.append(record)
        offset += len(record.raw)
    return records
