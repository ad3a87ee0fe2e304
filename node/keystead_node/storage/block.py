"""The block: 4 KiB that describe themselves, the unit of everything in the hot log's file.

    block   = header payload zeros                                              (4096 bytes, little-endian)
    header  = crc32c:u32 magic:"KsBk" version:u16 purpose:u8 flags:u8 used:u32
              node:u64 generation:u64 block:u64 batch:u64 prev_batch:u64 synced:u64 oldest:u64
              batch_block:u32 batch_blocks:u32                                  (80 bytes)

`crc32c` covers all 4092 bytes behind itself and so tells a torn or rotten block; `block` is the block's own number in
the file and `node` the node's id, which tell a misdirected write; `generation` counts the uses of a segment (of a
slot, in the ring of index copies) and tells a stale block. `batch` is the batch that the block belongs to, `prev_batch`
the valid batch before it, `batch_block` and `batch_blocks` its place in the batch and the batch's length. `synced` is
the last batch known durable, and `oldest` the first block (counted through all generations) that is still needed.

`decode_block` returns or raises BlockError. Each check is a method of BlockRules, so that the simulator can take one
away and show that it is missed.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

import google_crc32c

BLOCK_BYTES: Final = 4096
BLOCK_VERSION: Final = 1
MAGIC: Final = b"KsBk"
HEADER: Final = struct.Struct("<I4sHBBIQQQQQQQII")
HEADER_BYTES: Final = HEADER.size
PAYLOAD_BYTES: Final = BLOCK_BYTES - HEADER_BYTES
_AFTER_CRC: Final = struct.Struct("<4sHBBIQQQQQQQII")
_CRC: Final = struct.Struct("<I")
_EMPTY: Final = bytes(BLOCK_BYTES)
_crc = google_crc32c.value


class Purpose(IntEnum):
    """What a block is for. Numbers are never reused."""

    SUPER = 1
    INDEX = 2
    DATA = 3
    STATE = 4


class Fault(IntEnum):
    """Why bytes are not the block that was expected."""

    SHORT = 1
    EMPTY = 2
    CHECKSUM = 3
    FORMAT = 4
    MISPLACED = 5
    CONTENT = 6


class BlockError(ValueError):
    """The bytes are not the block (or the batch, or the index) that should stand there; `fault` says in which way."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class Disk(Protocol):
    """The file that holds the hot log, as much of it as the log needs. Offsets and lengths are in bytes.

    `write` is not durable before a `sync` that began after it. A disk that fails raises its own error, which nothing
    here catches.
    """

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None: ...

    def sync(self) -> None: ...


class BlockHeader(NamedTuple):
    """The fields of a block's header that vary."""

    purpose: int
    used: int
    node: int
    generation: int
    block: int
    batch: int
    prev_batch: int
    synced: int
    oldest: int
    batch_block: int
    batch_blocks: int


HeaderFields = BlockHeader | tuple[int, int, int, int, int, int, int, int, int, int, int]


class BlockRules:
    """The checks that a block must pass before anything in it is believed."""

    def sum_is_right(self, data: bytes) -> bool:
        """A torn or rotten block has another sum than its header says."""
        return bool(_crc(data[4:]) == int.from_bytes(data[:4], "little"))

    def is_in_place(self, header: BlockHeader, node: int, block: int) -> bool:
        """A block that was written to another place, or by another node, names that place or node."""
        return header.block == block and header.node == node

    def is_current(self, logical_block: int, oldest: int) -> bool:
        """A segment is reused without zeroing: what was written before `oldest` is stale."""
        return logical_block >= oldest


RULES: Final = BlockRules()


def encode_block(header: HeaderFields, payload: bytes) -> bytes:
    """Returns the 4096 bytes of a block. `header.used` must be the payload's length, at most PAYLOAD_BYTES.

    `header` may be a plain tuple of the same fields, which is cheaper to make.
    """
    purpose, used, node, generation, block, batch, prev, synced, oldest, batch_block, batch_blocks = header
    rest = _AFTER_CRC.pack(
        MAGIC,
        BLOCK_VERSION,
        purpose,
        0,
        used,
        node,
        generation,
        block,
        batch,
        prev,
        synced,
        oldest,
        batch_block,
        batch_blocks,
    ) + payload.ljust(PAYLOAD_BYTES, b"\0")
    assert len(rest) == BLOCK_BYTES - 4
    return _CRC.pack(_crc(rest)) + rest


def decode_block(data: bytes, node: int, block: int, rules: BlockRules = RULES) -> BlockHeader:
    """Checks the block that was read from place `block` of `node`'s file; its payload is `payload_of(data, header)`.

    Raises BlockError. Whether the block is stale is the caller's question: it needs to know the oldest live block.
    """
    if len(data) != BLOCK_BYTES:
        raise BlockError(Fault.SHORT, f"{len(data)} bytes are no block")
    if data[4:8] != MAGIC:
        if data == _EMPTY:
            raise BlockError(Fault.EMPTY, f"block {block} was never written")
        raise BlockError(Fault.CHECKSUM, f"block {block} is no block")
    if not rules.sum_is_right(data):
        raise BlockError(Fault.CHECKSUM, f"checksum of block {block} is wrong")
    fields = HEADER.unpack_from(data)
    if fields[2] != BLOCK_VERSION:
        raise BlockError(Fault.FORMAT, f"block {block} has format version {fields[2]}, which is not known")
    header = BlockHeader._make((fields[3], *fields[5:]))
    if header.used > PAYLOAD_BYTES or not Purpose.SUPER <= header.purpose <= Purpose.STATE:
        raise BlockError(Fault.FORMAT, f"block {block} has an impossible header")
    if not rules.is_in_place(header, node, block):
        raise BlockError(
            Fault.MISPLACED, f"block {block} of node {node:016x} holds block {header.block} of node {header.node:016x}"
        )
    return header


def payload_of(data: bytes, header: BlockHeader) -> bytes:
    """The used bytes of a block that `decode_block` has accepted."""
    return data[HEADER_BYTES : HEADER_BYTES + header.used]
