"""The ring of index copies: each batch's index a second time, elsewhere in the file.

Indexes of small batches gather in pairs of slots, a and b: the next index is added to what the last slot holds and the
whole is written to the OTHER slot, so that the copy of a synced batch is never the block that is being written. Where
the last slot is not known to be synced yet, and where a pair is full, a new pair begins. An index that is larger than
a block takes slots of its own.

    slot a:  1      1 2 3
    slot b:    1 2        1 2 3 4      -> next pair: 5 ...

The header's `generation` is the slot's number, counted on through every lap; `batch` is the newest batch in it.
"""

from collections.abc import Iterator

from keystead_node.storage.batch import Chunk, decode_chunk
from keystead_node.storage.block import (
    BLOCK_BYTES,
    PAYLOAD_BYTES,
    RULES,
    BlockError,
    BlockHeader,
    BlockRules,
    Disk,
    Purpose,
    decode_block,
    encode_block,
    payload_of,
)
from keystead_node.storage.geometry import Geometry


class IndexRing:
    """Decides which slot the next index copy goes to. `next_slot` is one that was never written."""

    def __init__(self, geometry: Geometry, node: int, next_slot: int) -> None:
        self._geometry = geometry
        self._node = node
        self._next_slot = next_slot
        self._pair = next_slot
        self._in_b = False
        self._gathered = b""
        self._last_batch = 0

    def write(self, chunks: list[bytes], batch: int, prev: int, synced: int, oldest: int) -> list[tuple[int, bytes]]:
        """Returns (offset, block) for the copies of one batch's index."""
        if len(chunks) == 1:
            slot = self._slot_for(chunks[0], synced)
            self._last_batch = batch
            return [self._block(slot, self._gathered, batch, prev, synced, oldest)]
        self._gathered = b""
        blocks = []
        for chunk in chunks[: self._geometry.ring_blocks // 2]:
            blocks.append(self._block(self._next_slot, chunk, batch, prev, synced, oldest))
            self._next_slot += 1
        return blocks

    def _slot_for(self, chunk: bytes, synced: int) -> int:
        if self._gathered and self._last_batch <= synced and len(self._gathered) + len(chunk) <= PAYLOAD_BYTES:
            self._gathered += chunk
            self._in_b = not self._in_b
        else:
            self._gathered = chunk
            self._in_b = False
            self._pair = self._next_slot
            self._next_slot += 2
        return self._pair + self._in_b

    def _block(self, slot: int, payload: bytes, batch: int, prev: int, synced: int, oldest: int) -> tuple[int, bytes]:
        place = self._geometry.ring_place(slot)
        header = (Purpose.INDEX, len(payload), self._node, slot, place, batch, prev, synced, oldest, 0, 1)
        return place * BLOCK_BYTES, encode_block(header, payload)


def read_ring(
    disk: Disk, node: int, geometry: Geometry, rules: BlockRules = RULES
) -> Iterator[tuple[int, BlockHeader | BlockError, list[Chunk]]]:
    """Reads every slot: (place, its header or why there is none, the index copies in it)."""
    data = disk.read(BLOCK_BYTES, geometry.ring_blocks * BLOCK_BYTES)
    for number in range(geometry.ring_blocks):
        place = 1 + number
        block = data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
        try:
            header = decode_block(block, node, place, rules)
            yield place, header, list(_chunks_of(payload_of(block, header)))
        except BlockError as error:
            yield place, error, []


def _chunks_of(payload: bytes) -> Iterator[Chunk]:
    offset = 0
    while offset < len(payload):
        chunk = decode_chunk(payload, offset)
        offset = chunk.end
        yield chunk
