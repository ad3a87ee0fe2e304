"""Moves what is alive out of the oldest segments of the hot log, so that they can be reused.

Everything keeps its origin when it is moved, so a move changes nothing of what the log means; and while one is under
way, snips, new states and releases go on as usual. The content of one segment may travel in several batches. The
batch that completes it is noted in `moved`; only when that one is synced may the log name a new oldest block.

A record whose bytes went bad travels as its name (`damaged`); a batch whose index went bad, as `unknown`.
"""

from typing import Final

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import DamagedRecord
from keystead_core.log.record import Record
from keystead_node.storage.batch import ORDER_BITS, BatchBuilder, DamagedItem, Order
from keystead_node.storage.batch_reader import BatchReader, ReadBatch
from keystead_node.storage.block import PAYLOAD_BYTES
from keystead_node.storage.geometry import Geometry
from keystead_node.storage.hot_index import HotIndex, Lost, Segment

MOVE_BLOCKS: Final = 8
RECORD_OVERHEAD: Final = 56
ENTRY_OVERHEAD: Final = 320


class _Move:
    """The move of one segment's live content: `next` is the first of its batches that is not done."""

    __slots__ = ("generation", "next")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.next = 0


class Mover:
    """`moved` is (batch that completed a move, the oldest block once that batch is synced), None once it is."""

    def __init__(self, index: HotIndex, reader: BatchReader, geometry: Geometry) -> None:
        self.moved: tuple[int, int] | None = None
        self.damage_found: list[tuple[PartitionId, DamagedRecord]] = []
        self._index = index
        self._reader = reader
        self._geometry = geometry
        self._move: _Move | None = None

    @property
    def is_moving(self) -> bool:
        return self._move is not None

    def move_some(self, builder: BatchBuilder, segment: Segment, start: int, free_blocks: int, synced: int) -> None:
        """Adds to the batch a share of what is alive in the oldest segments, as many of them as room is wanted for."""
        if self.moved is not None:
            return
        budget = self._budget(builder.stream_bytes // PAYLOAD_BYTES + 1, free_blocks)
        free_after = free_blocks - builder.stream_bytes // PAYLOAD_BYTES
        after = -1
        while budget > 0:
            move = self._move or self._begin_move(start, after, synced, free_after)
            if move is None:
                return
            budget = self._go_on(move, builder, segment, start, budget, free_blocks)
            old = self._index.segments[move.generation]
            room = (free_blocks - 2) * PAYLOAD_BYTES - builder.stream_bytes
            if move.next < len(old.starts) or self.states_bound() > room:
                return
            new_oldest = self._index.first_start_from(move.generation + 1)
            assert new_oldest is not None and new_oldest <= start
            self._move_states(builder, start, range(new_oldest))
            self._move = None
            self.moved = (builder.batch, new_oldest)
            after = move.generation
            free_after += self._geometry.segment_blocks

    def _budget(self, own_blocks: int, free_blocks: int) -> int:
        """Blocks to look at for one batch: several times its own, so that moving wins while half of them are dead."""
        reserve = self._geometry.reserve_blocks
        if free_blocks > reserve * 3 // 2:
            return max(MOVE_BLOCKS, 4 * own_blocks)
        return max(MOVE_BLOCKS * 4 if free_blocks > reserve else MOVE_BLOCKS * 16, 8 * own_blocks)

    def _go_on(
        self, move: _Move, builder: BatchBuilder, segment: Segment, start: int, budget: int, free_blocks: int
    ) -> int:
        """Moves batches of one segment while there is budget (in blocks) and room; returns the budget that is left."""
        old = self._index.segments[move.generation]
        room = (free_blocks - 2) * PAYLOAD_BYTES
        while move.next < len(old.starts) and budget > 0:
            blocks = self._blocks_of(old, move)
            if builder.stream_bytes + blocks * PAYLOAD_BYTES > room:
                return 0
            self._move_batch(builder, segment, start, old.numbers[move.next], old.starts[move.next], blocks)
            budget -= blocks
            move.next += 1
        return budget

    def states_bound(self) -> int:
        """At most so many bytes go into a batch for everything that is not a record."""
        index = self._index
        states = [t.state for t in index.partitions.values() if t.state] + [t.state for t in index.tombstones.values()]
        bound = sum(len(state.base_membership) + ENTRY_OVERHEAD for state in states)
        lost = sum(len(tracked.damaged) for tracked in index.partitions.values())
        return bound + (len(index.partitions) + len(index.unknown) + lost) * RECORD_OVERHEAD

    def _begin_move(self, start: int, after: int, synced: int, free_after: int) -> _Move | None:
        """Begins with the oldest segment above generation `after`, if all of it is synced and it is not in use."""
        generation = min(generation for generation in self._index.segments if generation > after)
        old = self._index.segments[generation]
        if generation >= start // self._geometry.segment_blocks or old.numbers[-1] > synced:
            return None
        if free_after >= 2 * self._geometry.reserve_blocks:
            return None
        self._move = _Move(generation)
        if not self._index.live_usage(generation) and not any(t.damaged for t in self._index.partitions.values()):
            self._move.next = len(old.starts)
        return self._move

    def _blocks_of(self, old: Segment, move: _Move) -> int:
        if move.next + 1 < len(old.starts):
            return old.starts[move.next + 1] - old.starts[move.next]
        end = self._index.first_start_from(move.generation + 1)
        assert end is not None
        return end - old.starts[move.next]

    def _move_batch(
        self, builder: BatchBuilder, segment: Segment, start: int, number: int, old_start: int, blocks: int
    ) -> None:
        if number in self._index.rescued:
            return
        batch = self._reader.read(number, old_start, blocks)
        if not batch.index_whole:
            batch = self._reader.read(number, old_start, blocks, self._reader.copies_of(number))
        if not batch.index_whole and number not in self._index.unknown:
            self._lose_batch(builder, number, start)
        for item in batch.items:
            if isinstance(item, DamagedItem):
                self._move_damaged(builder, item)
        self._move_runs(builder, segment, batch)

    def _lose_batch(self, builder: BatchBuilder, number: int, start: int) -> None:
        """A batch that went bad behind our back: what was in it is not known, and that is kept."""
        self._index.unknown[number] = (builder.next_order, start)
        builder.add_unknown(number, builder.next_order)

    def _move_damaged(self, builder: BatchBuilder, item: DamagedItem) -> None:
        """Damage that is open still, with what is known of it by now."""
        tracked = self._index.partitions.get(item.partition)
        lost = tracked.damaged.get(item.lsn) if tracked is not None else None
        if lost is not None and (lost.order, lost.hash) == (item.order, item.hash):
            builder.add_damaged(item.partition, item.lsn, lost.hash, lost.order, lost.doubtful)

    def _move_runs(self, builder: BatchBuilder, segment: Segment, batch: ReadBatch) -> None:
        for run, records in batch.runs:
            alive: list[Record] = []
            for number, record in enumerate(records):
                lsn = run.first_lsn + number
                is_live = self._index.is_live(run.partition, lsn, run.order)
                if is_live and record is not None:
                    alive.append(record)
                    continue
                self._move_run(builder, segment, alive, run.order)
                alive = []
                if is_live:
                    self._lose_record(builder, run.partition, lsn, run.pairs[number][0], run.order)
            self._move_run(builder, segment, alive, run.order)

    def _move_run(self, builder: BatchBuilder, segment: Segment, records: list[Record], order: Order) -> None:
        if not records:
            return
        before = builder.data_bytes
        partition, first = records[0].partition, records[0].lsn
        builder.add_run(partition, 0, first, [r.raw for r in records], [r.hash for r in records], order)
        self._index.saw_records(partition, segment, records[-1].lsn, builder.data_bytes - before)

    def _lose_record(self, builder: BatchBuilder, partition: PartitionId, lsn: Lsn, hash_: int, order: Order) -> None:
        tracked = self._index.of(partition)
        if lsn in tracked.repaired:
            return
        if lsn not in tracked.damaged:
            tracked.damaged[lsn] = Lost(order, hash_, doubtful=False)
            self.damage_found.append((partition, DamagedRecord(lsn, hash_)))
        builder.add_damaged(partition, lsn, hash_, order, tracked.damaged[lsn] == (order, hash_, True))

    def _move_states(self, builder: BatchBuilder, start: int, old: range) -> None:
        """Adds what has its newest copy in a batch that starts in `old`: states, tombstones, commit bounds, damage."""
        for (partition, _), tombstone in self._index.tombstones.items():
            if tombstone.start in old:
                builder.add_state(partition, tombstone.state, tombstone.order, tombstone.order)
                tombstone.start = start
        for partition, tracked in self._index.partitions.items():
            state = tracked.state
            if state is not None and tracked.state_start in old:
                if not state.dropped:
                    builder.add_state(partition, state, tracked.state_order, tracked.born)
                tracked.state_start = start
            if tracked.commit_lsn and tracked.commit_start in old:
                builder.add_run(partition, tracked.commit_lsn, 0, [], [], builder.next_order)
                tracked.commit_start = start
        for number, (order, item_start) in self._index.unknown.items():
            if item_start in old:
                builder.add_unknown(number, order)
                self._index.unknown[number] = (order, start)

    def rescue(
        self, builder: BatchBuilder, segment: Segment, start: int, number: int, old_start: int, blocks: int
    ) -> None:
        """Writes again what only the ring still tells of a batch, before the ring is overwritten."""
        self._move_batch(builder, segment, start, number, old_start, blocks)
        self.repeat(builder, start, old_start)
        builder.add_rescued(number)
        self._index.rescued.add(number)

    def tell_doubtful(self, builder: BatchBuilder) -> None:
        """Writes which records are lost and may never have been synced; of a batch that was rescued that is said."""
        for partition, tracked in self._index.partitions.items():
            for lsn, lost in tracked.damaged.items():
                if lost.doubtful and lost.order >> ORDER_BITS not in self._index.rescued:
                    builder.add_damaged(partition, lsn, lost.hash, lost.order, lost.doubtful)

    def repeat(self, builder: BatchBuilder, start: int, old_start: int) -> None:
        """Writes the states and snips of a batch a second time. A record that is lost later is asked of the others; a
        promise, or that there is a replica at all, nobody else knows."""
        self._move_states(builder, start, range(old_start, old_start + 1))
        for partition, tracked in self._index.partitions.items():
            for place, snip in enumerate(tracked.snips):
                if snip.start == old_start:
                    builder.add_snip(partition, snip.first_lsn, snip.epoch, snip.order)
                    tracked.snips[place] = snip._replace(start=start)
