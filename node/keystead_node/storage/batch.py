"""The batch: everything that one append hands over, laid over consecutive blocks, and its index.

    batch  = index records            as one stream over the payloads of its blocks; where the index holds states or
                                      snips the records begin in a block of their own, and its blocks' purpose is STATE
    index  = chunk                    in the batch; `chunk+` (parts of it) in the ring of index copies
    chunk  = batch:u64 prev_batch:u64 start:u64 blocks:u32 items:u32 items_bytes:u32 number:u16 count:u16
             data_pos:u64 item*
    item   = kind:u8 flags:u8 reserved:u16 count:u32 partition:u64 a:u64 b:u64 origin_batch:u64 origin_index:u32 more

    kind          count            a               b                 more
    1 run         of records       first LSN       commit LSN        (hash:u64 length:u32) per record
    2 snip        0                first LSN       epoch             nothing
    3 state       length of more   replica id      born              ReplicaState as MessagePack
    4 damaged     0                LSN             hash              nothing
    5 unknown     0                damaged batch   0                 nothing
    6 rescued     0                damaged batch   0                 nothing

The bytes of the runs' records follow each other in the order of the items, from `data_pos` of the stream on. An item
is ordered by its origin, (batch, index in the batch) where it was first written: moving it to a newer segment changes
nothing of what it means. A run of no records names a commit LSN. `born` is the origin of the first state of that
replica id, where another one of the partition was here before: what is older was another's. `damaged` and `unknown`
keep damage known when the segment in which it was found is reused. `rescued` says that of a batch whose own index is
bad all that its index copy told stands here again, because the ring will be overwritten. Flag 1 of `damaged`: doubtful,
nothing named the record's batch as synced when the damage was found.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import ReplicaState
from keystead_core.log.record import Record
from keystead_node.storage.block import PAYLOAD_BYTES, BlockError, Fault

CHUNK: Final = struct.Struct("<QQQIIIHHQ")
ITEM: Final = struct.Struct("<BBHIQQQQI")
PAIR: Final = struct.Struct("<QI")
ORDER_BITS: Final = 24
_RUN, _SNIP, _STATE, _DAMAGED, _UNKNOWN, _RESCUED = 1, 2, 3, 4, 5, 6
_IS_DOUBTFUL: Final = 1
_ROOM: Final = PAYLOAD_BYTES - CHUNK.size
_RUN_RECORDS_MAX: Final = 128
_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(ReplicaState).decode

Order = int
"""Where an item was first written: batch << 24 | index in the batch."""


class RunItem(msgspec.Struct, frozen=True):
    """Records of one partition with consecutive LSNs; `pairs` holds (hash, length), `data_pos` is in the stream."""

    order: Order
    partition: PartitionId
    first_lsn: Lsn
    commit_lsn: Lsn
    pairs: list[tuple[int, int]]
    data_pos: int


class SnipItem(msgspec.Struct, frozen=True):
    order: Order
    partition: PartitionId
    first_lsn: Lsn
    epoch: int


class StateItem(msgspec.Struct, frozen=True):
    order: Order
    partition: PartitionId
    state: ReplicaState
    born: Order


class DamagedItem(msgspec.Struct, frozen=True):
    order: Order
    partition: PartitionId
    lsn: Lsn
    hash: int
    doubtful: bool


class UnknownItem(msgspec.Struct, frozen=True):
    """Batch `batch` is damaged and no index says what it held; `order` is when that was found out."""

    order: Order
    batch: int


class RescuedItem(msgspec.Struct, frozen=True):
    """What could be known of batch `batch`, whose own index is bad, stands in this batch again."""

    order: Order
    batch: int


Item = RunItem | SnipItem | StateItem | DamagedItem | UnknownItem | RescuedItem


class Chunk(msgspec.Struct, frozen=True):
    """An index, or the `number`th of `count` parts of it, with its items not decoded yet.

    `start` is the batch's first logical block, `stream[begin:end]` the items' bytes.
    """

    batch: int
    prev: int
    start: int
    blocks: int
    number: int
    count: int
    item_count: int
    data_pos: int
    stream: bytes
    begin: int
    end: int

    def items(self) -> list[Item]:
        """Decodes the items. Raises BlockError; allocates no more than the stream holds."""
        items = list(_decode_items(self.stream, self.begin, self.end, self.data_pos))
        if len(items) != self.item_count:
            raise BlockError(Fault.CONTENT, f"an index has {len(items)} items, not {self.item_count}")
        return items


class BatchBuilder:
    """Collects one batch. The order of the calls is the order of the items."""

    def __init__(self, batch: int, prev: int) -> None:
        self.batch = batch
        self.prev = prev
        self.raws: list[bytes] = []
        self.data_bytes = 0
        self.items_bytes = 0
        self.has_state = False
        self._items: list[bytes] = []
        self._item_data: list[int] = []
        self._index = 0

    @property
    def next_order(self) -> Order:
        """The order of the next item that is new."""
        return self.batch << ORDER_BITS | self._index

    def __len__(self) -> int:
        return len(self._items)

    @property
    def stream_bytes(self) -> int:
        """At most so many bytes, without the padding to a block."""
        return CHUNK.size + self.items_bytes + self.data_bytes

    def add_records(self, partition: PartitionId, commit_lsn: Lsn, records: Sequence[Record]) -> None:
        """Adds new records, whose bytes are kept as they are, as runs of consecutive LSNs."""
        start, end = 0, len(records)
        if not end:
            self.add_run(partition, commit_lsn, 0, [], [], self.next_order)
        while start < end:
            first_lsn = records[start].lsn
            stop = start + 1
            limit = min(end, start + _RUN_RECORDS_MAX)
            while stop < limit and records[stop].lsn == first_lsn + stop - start:
                stop += 1
            run = records if not start and stop == end else records[start:stop]
            self.add_run(partition, commit_lsn, first_lsn, [r.raw for r in run], [r.hash for r in run], self.next_order)
            start = stop

    def add_run(
        self,
        partition: PartitionId,
        commit_lsn: Lsn,
        first_lsn: Lsn,
        raws: list[bytes],
        hashes: list[int],
        order: Order,
    ) -> None:
        """Adds one run; `order` is `next_order`, or the origin of a run that is moved here."""
        assert len(raws) == len(hashes) <= _RUN_RECORDS_MAX
        pair = PAIR.pack
        size = 0
        more = []
        for raw, hash_ in zip(raws, hashes, strict=True):
            length = len(raw)
            size += length
            more.append(pair(hash_, length))
        self._add(_RUN, len(raws), partition, first_lsn, commit_lsn, order, b"".join(more), size)
        self.raws += raws

    def add_snip(self, partition: PartitionId, first_lsn: Lsn, epoch: int, order: Order) -> None:
        self._add(_SNIP, 0, partition, first_lsn, epoch, order)
        self.has_state = True

    def add_state(self, partition: PartitionId, state: ReplicaState, order: Order, born: Order) -> None:
        more = _encode_state(state)
        self._add(_STATE, len(more), partition, state.replica, born, order, more)
        self.has_state = True

    def add_damaged(self, partition: PartitionId, lsn: Lsn, hash_: int, order: Order, doubtful: bool) -> None:
        self._add(_DAMAGED, 0, partition, lsn, hash_, order, flags=_IS_DOUBTFUL if doubtful else 0)

    def add_unknown(self, damaged_batch: int, order: Order) -> None:
        self._add(_UNKNOWN, 0, 0, damaged_batch, 0, order)

    def add_rescued(self, damaged_batch: int) -> None:
        self._add(_RESCUED, 0, 0, damaged_batch, 0, self.next_order)

    def _add(
        self,
        kind: int,
        count: int,
        partition: int,
        a: int,
        b: int,
        order: Order,
        more: bytes = b"",
        size: int = 0,
        flags: int = 0,
    ) -> None:
        head = ITEM.pack(kind, flags, 0, count, partition, a, b, order >> ORDER_BITS, order & 0xFFFFFF)
        self._items.append(head + more)
        self._item_data.append(size)
        self.items_bytes += ITEM.size + len(more)
        self.data_bytes += size
        self._index += 1

    def _head_bytes(self) -> int:
        """Where the records begin in the stream."""
        index_bytes = CHUNK.size + self.items_bytes
        if self.has_state and self.data_bytes:
            return -(-index_bytes // PAYLOAD_BYTES) * PAYLOAD_BYTES
        return index_bytes

    def stream(self, start: int) -> tuple[bytes, int, int]:
        """Lays the batch out from logical block `start` on: (stream, bytes of its index, length in blocks)."""
        index_bytes = CHUNK.size + self.items_bytes
        head_bytes = self._head_bytes()
        blocks = -(-(head_bytes + self.data_bytes) // PAYLOAD_BYTES)
        head = CHUNK.pack(self.batch, self.prev, start, blocks, len(self._items), self.items_bytes, 0, 1, head_bytes)
        parts = [head, *self._items]
        if head_bytes > index_bytes:
            parts.append(bytes(head_bytes - index_bytes))
        return b"".join(parts + self.raws), index_bytes, blocks

    def split_index(self, start: int, blocks: int) -> list[bytes]:
        """The index as chunks of which each fits into a block. A state larger than that is left out of the copy."""
        data_pos = self._head_bytes()
        groups: list[tuple[list[bytes], int]] = []
        items: list[bytes] = []
        size, group_pos, pos = 0, data_pos, data_pos
        for item, item_data in zip(self._items, self._item_data, strict=True):
            if size + len(item) > _ROOM and items:
                groups.append((items, group_pos))
                items, size, group_pos = [], 0, pos
            if len(item) <= _ROOM:
                items.append(item)
                size += len(item)
            pos += item_data
        groups.append((items, group_pos))
        count = len(groups) + (1 if any(len(item) > _ROOM for item in self._items) else 0)
        return [
            _chunk(self.batch, self.prev, start, blocks, len(items), number, count, pos, b"".join(items))
            for number, (items, pos) in enumerate(groups)
        ]


def _chunk(
    batch: int, prev: int, start: int, blocks: int, count: int, number: int, of: int, data_pos: int, items: bytes
) -> bytes:
    return CHUNK.pack(batch, prev, start, blocks, count, len(items), number, of, data_pos) + items


def decode_chunk(stream: bytes, offset: int = 0) -> Chunk:
    """Finds the chunk at `offset`; the next one begins at its `end`. Raises BlockError."""
    if len(stream) - offset < CHUNK.size:
        raise BlockError(Fault.CONTENT, "an index is cut short")
    batch, prev, start, blocks, count, items_bytes, number, of, data_pos = CHUNK.unpack_from(stream, offset)
    begin = offset + CHUNK.size
    end = begin + items_bytes
    if end > len(stream) or number >= of or count * ITEM.size > items_bytes:
        raise BlockError(Fault.CONTENT, "an index is longer than its block")
    return Chunk(batch, prev, start, blocks, number, of, count, data_pos, stream, begin, end)


def index_bytes_of(first_payload: bytes) -> int:
    """How many bytes of the stream the index takes, from the first block's payload alone. Raises BlockError."""
    if len(first_payload) < CHUNK.size:
        raise BlockError(Fault.CONTENT, "an index is cut short")
    return CHUNK.size + int(CHUNK.unpack_from(first_payload)[5])


def _decode_items(stream: bytes, offset: int, end: int, data_pos: int) -> Iterator[Item]:
    while offset < end:
        if end - offset < ITEM.size:
            raise BlockError(Fault.CONTENT, "an item of an index is cut short")
        kind, flags, _, count, partition, a, b, origin, index = ITEM.unpack_from(stream, offset)
        offset += ITEM.size
        more = PAIR.size * count if kind == _RUN else count if kind == _STATE else 0
        if more > end - offset:
            raise BlockError(Fault.CONTENT, "an item of an index is cut short")
        order = origin << ORDER_BITS | index
        if kind == _RUN:
            pairs = list(PAIR.iter_unpack(stream[offset : offset + more]))
            yield RunItem(order, PartitionId(partition), a, b, pairs, data_pos)
            for pair in pairs:
                data_pos += pair[1]
        elif kind == _SNIP:
            yield SnipItem(order, PartitionId(partition), a, b)
        elif kind == _STATE:
            yield StateItem(order, PartitionId(partition), _state_of(stream[offset : offset + more]), b)
        elif kind == _DAMAGED:
            yield DamagedItem(order, PartitionId(partition), a, b, bool(flags & _IS_DOUBTFUL))
        elif kind == _UNKNOWN:
            yield UnknownItem(order, a)
        elif kind == _RESCUED:
            yield RescuedItem(order, a)
        else:
            raise BlockError(Fault.CONTENT, f"an index has an item of kind {kind}, which is not known")
        offset += more


def _state_of(data: bytes) -> ReplicaState:
    try:
        return _decode_state(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BlockError(Fault.CONTENT, f"a replica's state does not decode: {error}") from error
