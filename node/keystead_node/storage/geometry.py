"""Where things stand in the hot log's file, and the superblock that says so.

    file      = super ring segments super                                       (blocks of 4096 bytes)
    ring      = ring_blocks blocks of index copies
    segments  = segment_count segments of segment_blocks blocks

The segments are one ring: logical block L belongs to generation L // segment_blocks and stands in segment
generation % segment_count. Logical blocks are never used twice; their places are.

    super payload = segment_blocks:u32 segment_count:u32 ring_blocks:u32 first_generation:u64
"""

import struct
from typing import Final

import msgspec

from keystead_node.storage.block import (
    BLOCK_BYTES,
    RULES,
    BlockError,
    BlockHeader,
    BlockRules,
    Disk,
    Fault,
    Purpose,
    decode_block,
    encode_block,
    payload_of,
)

_SUPER: Final = struct.Struct("<IIIQ")
SEGMENTS_MIN: Final = 8
RING_BLOCKS_MIN: Final = 8


class Geometry(msgspec.Struct, frozen=True):
    """The layout of one hot log. All numbers count blocks, but `segment_count`."""

    segment_blocks: int
    segment_count: int
    ring_blocks: int
    first_generation: int = 1

    @property
    def log_blocks(self) -> int:
        return self.segment_blocks * self.segment_count

    @property
    def total_blocks(self) -> int:
        return 2 + self.ring_blocks + self.log_blocks

    @property
    def first_block(self) -> int:
        """The first logical block."""
        return self.first_generation * self.segment_blocks

    @property
    def batch_blocks_max(self) -> int:
        """No batch is longer, so that moving one never needs more than the reserve."""
        return self.log_blocks // 16

    @property
    def reserve_blocks(self) -> int:
        """What records may not use: room for moving a segment's live content, and for promises, snips, eligibility."""
        return self.segment_blocks + self.log_blocks // 8

    def place_of(self, logical_block: int) -> int:
        """The number in the file of a logical block."""
        return 1 + self.ring_blocks + logical_block % self.log_blocks

    def logical_of(self, place: int, generation: int) -> int | None:
        """The logical block of a block found at `place`; None if a block of that generation cannot stand there."""
        in_log = place - 1 - self.ring_blocks
        segment, in_segment = divmod(in_log, self.segment_blocks)
        if generation < self.first_generation or generation % self.segment_count != segment:
            return None
        return generation * self.segment_blocks + in_segment

    def ring_place(self, slot: int) -> int:
        return 1 + slot % self.ring_blocks


def fit_geometry(size_bytes: int) -> Geometry:
    """The layout for a file of that size. Raises ValueError where it is too small for any log."""
    blocks = size_bytes // BLOCK_BYTES - 2
    ring_blocks = max(RING_BLOCKS_MIN, blocks // 16 // 2 * 2)
    segment_count = 32 if blocks >= 32 * 64 else SEGMENTS_MIN
    segment_blocks = (blocks - ring_blocks) // segment_count
    if segment_blocks < SEGMENTS_MIN:
        raise ValueError(f"{size_bytes} bytes are too few for a hot log")
    return Geometry(segment_blocks, segment_count, ring_blocks)


def write_super(disk: Disk, node: int, geometry: Geometry) -> None:
    """Writes both superblocks; the caller syncs."""
    if geometry.total_blocks * BLOCK_BYTES > disk.size_bytes:
        raise ValueError(f"a hot log of {geometry.total_blocks} blocks does not fit into {disk.size_bytes} bytes")
    payload = _SUPER.pack(
        geometry.segment_blocks, geometry.segment_count, geometry.ring_blocks, geometry.first_generation
    )
    for place in (0, disk.size_bytes // BLOCK_BYTES - 1):
        header = BlockHeader(Purpose.SUPER, len(payload), node, 0, place, 0, 0, 0, 0, 0, 1)
        disk.write(place * BLOCK_BYTES, encode_block(header, payload))


def read_super(disk: Disk, node: int, rules: BlockRules = RULES) -> Geometry:
    """Reads the layout from whichever superblock is good. Raises the first one's BlockError if neither is."""
    try:
        return _read_super(disk, node, 0, rules)
    except BlockError as first:
        try:
            return _read_super(disk, node, disk.size_bytes // BLOCK_BYTES - 1, rules)
        except BlockError:
            raise first from None


def _read_super(disk: Disk, node: int, place: int, rules: BlockRules) -> Geometry:
    data = disk.read(place * BLOCK_BYTES, BLOCK_BYTES)
    header = decode_block(data, node, place, rules)
    payload = payload_of(data, header)
    if header.purpose != Purpose.SUPER or len(payload) != _SUPER.size:
        raise BlockError(Fault.CONTENT, f"block {place} is no superblock")
    geometry = Geometry(*_SUPER.unpack(payload))
    fits = geometry.total_blocks * BLOCK_BYTES <= disk.size_bytes
    if geometry.segment_count < 1 or geometry.segment_blocks < 1 or geometry.ring_blocks < 1 or not fits:
        raise BlockError(Fault.CONTENT, f"superblock {place} describes a log that is not there")
    return geometry
