"""Damage to the files of a node that is down: a rotten block in the hot log, and one in a sealed cold segment."""

import struct
from pathlib import Path

from keystead_node.storage.block import BLOCK_BYTES, HEADER, MAGIC, Purpose


def hot_data_blocks(volume: Path) -> list[tuple[int, int]]:
    """(batch, offset in bytes) of each block with records in a volume's hot log, the oldest batch first."""
    found = []
    with (volume / "hot.log").open("rb") as file:
        offset = 0
        while block := file.read(BLOCK_BYTES):
            if len(block) == BLOCK_BYTES and block[4:8] == MAGIC:
                fields = HEADER.unpack_from(block)
                purpose, batch = fields[3], fields[8]
                if purpose == Purpose.DATA:
                    found.append((int(batch), offset))
            offset += BLOCK_BYTES
    return sorted(found)


def corrupt_hot_block(volume: Path, blocks_from_the_end: int = 20) -> int:
    """Flips bits in a block of records that is not the last one. Its offset in the file."""
    blocks = hot_data_blocks(volume)
    assert len(blocks) > blocks_from_the_end, f"only {len(blocks)} blocks in {volume}"
    _, offset = blocks[-1 - blocks_from_the_end]
    _flip(volume / "hot.log", offset + BLOCK_BYTES // 2)
    return offset


def cold_segments(volume: Path) -> list[Path]:
    """Sealed segments of all partitions but the catalog's."""
    found = [path for path in volume.glob("partitions/*/cold/*") if path.parent.parent.name != "1"]
    return sorted(path for path in found if path.is_file() and path.stat().st_size > 4 * BLOCK_BYTES)


def corrupt_cold_segment(volume: Path) -> Path:
    """Flips bits in the middle of a sealed segment."""
    segments = cold_segments(volume)
    assert segments, f"no sealed segment in {volume}"
    _flip(segments[0], segments[0].stat().st_size // 2)
    return segments[0]


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        old = struct.unpack("<Q", file.read(8))[0]
        file.seek(offset)
        file.write(struct.pack("<Q", old ^ 0xA5A5_5A5A_DEAD_BEEF))
