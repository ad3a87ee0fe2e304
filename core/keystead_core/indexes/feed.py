"""How changes of a table's rows reach its global indexes: the formats, and what is due.

A partition of a table with global indexes keeps each change of a row, old and new value, beside its rows (storage.md)
until its master has brought it into the indexes. It brings them in order, in batches that name where they begin:

    INDEX_FEED record, of a partition of an index    body = source:u64 upto:u64 change*        (ops.py)
    CHANGES_READ record, of a partition of a table   body = upto:u64

The index's partition keeps, in the same write as the entries, up to where it has taken the changes of each source. It
takes a batch only if that begins right there. A source's log is one history, so whoever reads it makes the same
changes: of two masters that both believe to lead, each batch is taken once, from whichever comes first.
"""

import struct
from typing import Final

import msgspec

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.ops import Change, ChangesError, decode_changes, encode_change

_FEED_HEAD: Final = struct.Struct("<QQ")
_LSN: Final = struct.Struct("<Q")


class RowChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change of one row, kept until it is read. `clock`: of its record, microseconds since 1970."""

    row_key: bytes
    old: bytes | None
    new: bytes | None
    clock: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RowChanged).decode


def encode_row_changed(changed: RowChanged) -> bytes:
    return _encode(changed)


def decode_row_changed(data: bytes) -> RowChanged:
    """Raises msgspec.MsgspecError."""
    return _decode(data)


def encode_feed(source: PartitionId, upto: Lsn, changes: list[Change]) -> bytes:
    """The body of an INDEX_FEED record."""
    return _FEED_HEAD.pack(source, upto) + b"".join([encode_change(key, value) for key, value in changes])


def decode_feed(body: bytes) -> tuple[PartitionId, Lsn, list[Change]]:
    """Raises ChangesError."""
    if len(body) < _FEED_HEAD.size:
        raise ChangesError("a feed is cut short")
    source, upto = _FEED_HEAD.unpack_from(body)
    return PartitionId(source), upto, decode_changes(body, _FEED_HEAD.size)


def encode_changes_read(upto: Lsn) -> bytes:
    """The body of a CHANGES_READ record."""
    return _LSN.pack(upto)


def decode_changes_read(body: bytes) -> Lsn:
    """Raises ChangesError."""
    if len(body) != _LSN.size:
        raise ChangesError("no LSN")
    return int(_LSN.unpack(body)[0])
