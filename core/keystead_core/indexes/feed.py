"""How changes of a table's rows reach its global indexes: the formats, and what is due.

A partition of a table with global indexes keeps each change of a row, old and new value, beside its rows (storage.md)
until its master has brought it into the indexes. It brings them in order, in batches that name where they begin:

    INDEX_FEED record, of a partition of an index    body = source:u64 upto:u64 change*        (ops.py)
    CHANGES_READ record, of a partition of a table   body = upto:u64

The index's partition keeps, in the same write as the entries, up to where it has taken the changes of each source. It
takes a batch only if that begins right there. A source's log is one history, so whoever reads it makes the same
changes: of two masters that both believe to lead, each batch is taken once, from whichever comes first.

A partition that a split made goes on with the log of another: what it keeps up to the split is that one's history, as
much as what the left half keeps, and goes out in its name, from whoever comes first (`forebears`). Before an index's
partition hears of the new one for the first time, it has the forebear's changes up to the split: what comes late from
there does not fit any more. A partition of an index that is divided takes the places of all sources with it, as of the
split.
"""

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.ops import Change, ChangesError, decode_changes, encode_change, keys_of

_FEED_HEAD: Final = struct.Struct("<QQ")
_LSN: Final = struct.Struct("<Q")


class Forebear(msgspec.Struct, frozen=True, array_like=True):
    """A partition whose log another's goes on from: changes up to `upto` are those of `partition`."""

    partition: PartitionId
    upto: Lsn


def source_of(lsn: Lsn, forebears: Sequence[Forebear]) -> Forebear | None:
    """In whose name a change at this LSN goes out, and up to where; None: in the partition's own.

    `forebears`: in order, the oldest first.
    """
    return next((forebear for forebear in forebears if lsn <= forebear.upto), None)


def before(source: PartitionId, forebears: Sequence[Forebear]) -> list[Forebear]:
    """Those that an index's partition has to have heard out before it hears of `source`: one of them, or their heir."""
    names = [forebear.partition for forebear in forebears]
    return list(forebears[: names.index(source)] if source in names else forebears)


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


def keys_of_feed(body: bytes) -> list[bytes]:
    """The keys of the entries that it changes. For what was made here: nothing is checked."""
    return keys_of(body, _FEED_HEAD.size)


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
