"""The catalog's rows: what its row store holds, and all that its state is made from.

    key                            value (msgpack)
    "m"                            Meta
    "n" node id                    [version, NodeEntry]
    "t" table name                 [version, TableDefinition]
    "p" partition id:u64be         [version, PartitionEntry]
    "l" partition id:u64be         Lock
    "d" first partition id:u64be   last partition id: a range of deleted partitions
    "r" table name                 version at which the table was removed
    "q" partition id:u64be         version at which the partition was removed

A version is that of the map at which the thing last changed; "r" and "q" rows serve deltas and are let go when there
are many, "d" rows are for ever.
"""

import struct
from typing import Any, Final

import msgspec

from keystead_core.cluster_map import ClusterSettings, NodeEntry, PartitionEntry, TableDefinition
from keystead_core.ids import Boot, NodeId

META_KEY: Final = b"m"
_NUMBER: Final = struct.Struct(">Q")


class Meta(msgspec.Struct, kw_only=True):
    """Single values. `delta_floor`: deltas since an older version are whole maps. `next_*`: the next id to mint."""

    cluster: str = ""
    settings: ClusterSettings = ClusterSettings()
    version: int = 0
    delta_floor: int = 0
    next_partition: int = 2
    next_replica: int = 1
    fence: int = 0
    fence_holder: str = ""


class Lock(msgspec.Struct, frozen=True, array_like=True):
    """A group's lock: a counter that names its last taker."""

    counter: int
    taker: NodeId
    boot: Boot


NodeRow = tuple[int, NodeEntry]
TableRow = tuple[int, TableDefinition]
PartitionRow = tuple[int, PartitionEntry]


class CatalogRowError(ValueError):
    """A row is none of the catalog's, or damaged."""


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[bytes, msgspec.msgpack.Decoder[Any]] = {
    b"m": msgspec.msgpack.Decoder(Meta),
    b"n": msgspec.msgpack.Decoder(NodeRow),
    b"t": msgspec.msgpack.Decoder(TableRow),
    b"p": msgspec.msgpack.Decoder(PartitionRow),
    b"l": msgspec.msgpack.Decoder(Lock),
    b"d": msgspec.msgpack.Decoder(int),
    b"r": msgspec.msgpack.Decoder(int),
    b"q": msgspec.msgpack.Decoder(int),
}
_NUMBERED: Final = (b"p", b"l", b"d", b"q")


def row_key(kind: bytes, name: str | int) -> bytes:
    """The key of a row of the kind (a letter of the table above)."""
    return kind + (_NUMBER.pack(name) if isinstance(name, int) else name.encode())


def encode_row(value: object) -> bytes:
    """A row's value."""
    return _encoder.encode(value)


def decode_row(key: bytes, value: bytes) -> tuple[bytes, str | int, Any]:
    """A row's kind, the name or number in its key, and its value. Raises CatalogRowError."""
    kind = key[:1]
    decoder = _decoders.get(kind)
    if decoder is None:
        raise CatalogRowError(f"{key[:40]!r} is no key of a catalog row")
    try:
        name: str | int = _NUMBER.unpack(key[1:])[0] if kind in _NUMBERED else key[1:].decode()
        return kind, name, decoder.decode(value)
    except (struct.error, UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise CatalogRowError(f"the catalog row {key[:40]!r} is damaged: {error}") from error
