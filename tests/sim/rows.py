"""A replica's row store in simulation: batches with their LSN, of which a crash keeps a flushed prefix.

The digest is the XOR of a hash of each row, so that two stores that hold the same rows have the same digest, whatever
way they came to them; invariant 8 compares it with the digest of the committed log.
"""

import msgspec
import xxhash

from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.record import Kind, Record
from keystead_core.replication.membership import Membership, decode_membership

Key = int
Value = int
Write = tuple[Key, Value]

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Write] = msgspec.msgpack.Decoder(Write)


def encode_write(key: Key, value: Value) -> bytes:
    return _encode((key, value))


def decode_write(body: bytes) -> Write:
    return _decoder.decode(body)


def row_digest(key: Key, value: Value, lsn: int) -> int:
    return xxhash.xxh3_64_intdigest(b"%d %d %d" % (key, value, lsn))


class RowState:
    """Rows with the LSN that they hold everything up to; `membership` is the last committed one among them."""

    __slots__ = ("digest", "membership", "point", "rows")

    def __init__(self) -> None:
        self.rows: dict[Key, tuple[Value, int]] = {}
        self.digest = 0
        self.point: LogPoint = EMPTY_LOG
        self.membership: Membership | None = None

    def apply(self, record: Record) -> None:
        if record.kind == Kind.DATA:
            key, value = decode_write(record.body)
            old = self.rows.get(key)
            if old is not None:
                self.digest ^= row_digest(key, *old)
            self.rows[key] = (value, record.lsn)
            self.digest ^= row_digest(key, value, record.lsn)
        elif record.kind == Kind.MEMBERSHIP:
            self.membership = decode_membership(record.body)
        self.point = LogPoint(record.epoch, record.lsn, record.hash)

    def copy(self) -> "RowState":
        other = RowState()
        other.rows = dict(self.rows)
        other.digest = self.digest
        other.point = self.point
        other.membership = self.membership
        return other


class RowStore:
    """`live` is what a reader sees; `flushed` is what a crash leaves. `staged`: copies that arrived, by token."""

    def __init__(self) -> None:
        self.live = RowState()
        self.flushed = RowState()
        self.staged: dict[int, RowState] = {}

    def flush(self) -> None:
        self.flushed = self.live.copy()

    def crash(self) -> None:
        self.live = self.flushed.copy()
        self.staged.clear()
