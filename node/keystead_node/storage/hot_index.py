"""What in the hot log is still needed: kept in memory, per partition and per segment, never per record.

A record is dead once it is sealed (`release`) or at or below its replica's base, once a snip or a new replica of its
partition was written after it, or once its replica was dropped. Whatever is not dead is copied forward before its
segment is reused. Duplicates of an LSN need no tracking: an item keeps its origin when it is moved, and at recovery
the later origin counts.

A snip needs no copy: segments are given up oldest first, so that everything a snip kills stands before it in the file
and is given up before it or with it.
"""

from array import array
from typing import NamedTuple

from keystead_core.ids import Lsn, PartitionId, ReplicaId
from keystead_core.log.entries import ReplicaState
from keystead_node.storage.batch import Order


class Snip(NamedTuple):
    """Kills what was written before `order` from `first_lsn` on; stands in the batch that starts at `start`."""

    order: Order
    first_lsn: Lsn
    epoch: int
    start: int


class Lost(NamedTuple):
    """A damaged record: its origin and hash. `doubtful`: nothing named its batch as synced when that was found."""

    order: Order
    hash: int
    doubtful: bool


class Tracked:
    """What is known of one partition. `*_start` is the logical block of the batch that holds the newest copy."""

    __slots__ = (
        "born",
        "commit_lsn",
        "commit_start",
        "damaged",
        "released",
        "repaired",
        "snips",
        "state",
        "state_order",
        "state_start",
    )

    def __init__(self) -> None:
        self.born: Order = 0
        self.released: Lsn = 0
        self.commit_lsn: Lsn = 0
        self.commit_start = 0
        self.state: ReplicaState | None = None
        self.state_order: Order = 0
        self.state_start = 0
        self.snips: list[Snip] = []
        self.damaged: dict[Lsn, Lost] = {}
        self.repaired: set[Lsn] = set()


class Tombstone:
    """A replica that was dropped: kept for ever. What is older than its own order is dead."""

    __slots__ = ("order", "start", "state")

    def __init__(self, order: Order, start: int, state: ReplicaState) -> None:
        self.order = order
        self.start = start
        self.state = state


class Segment:
    """One use of a segment: its batches in order, and per partition (highest LSN, bytes of records)."""

    __slots__ = ("numbers", "starts", "usage")

    def __init__(self) -> None:
        self.starts = array("Q")
        self.numbers = array("Q")
        self.usage: dict[PartitionId, tuple[Lsn, int]] = {}


class HotIndex:
    """See the module. Every `saw_*` is told in write order, at append as at recovery."""

    def __init__(self) -> None:
        self.partitions: dict[PartitionId, Tracked] = {}
        self.tombstones: dict[tuple[PartitionId, ReplicaId], Tombstone] = {}
        self.segments: dict[int, Segment] = {}
        self.unknown: dict[int, tuple[Order, int]] = {}
        self.rescued: set[int] = set()

    def of(self, partition: PartitionId) -> Tracked:
        tracked = self.partitions.get(partition)
        if tracked is None:
            tracked = self.partitions[partition] = Tracked()
        return tracked

    def saw_batch(self, generation: int, batch: int, start: int) -> Segment:
        segment = self.segments.get(generation)
        if segment is None:
            segment = self.segments[generation] = Segment()
        segment.starts.append(start)
        segment.numbers.append(batch)
        return segment

    def saw_records(self, partition: PartitionId, segment: Segment, last_lsn: Lsn, length: int) -> None:
        """Counts records of a batch that starts in `segment`."""
        used = segment.usage.get(partition)
        if used is None:
            segment.usage[partition] = (last_lsn, length)
        else:
            segment.usage[partition] = (max(used[0], last_lsn), used[1] + length)

    def saw_commit(self, partition: PartitionId, commit_lsn: Lsn, order: Order, start: int) -> None:
        tracked = self.of(partition)
        if order >= tracked.born and commit_lsn >= tracked.commit_lsn:
            tracked.commit_lsn = commit_lsn
            tracked.commit_start = max(start, tracked.commit_start)

    def saw_snip(self, partition: PartitionId, first_lsn: Lsn, epoch: int, order: Order, start: int) -> None:
        tracked = self.of(partition)
        tracked.snips.append(Snip(order, first_lsn, epoch, start))
        for lsn in [lsn for lsn in tracked.damaged if lsn >= first_lsn]:
            del tracked.damaged[lsn]

    def saw_state(
        self, partition: PartitionId, state: ReplicaState, order: Order, start: int, born: Order | None = None
    ) -> Order:
        """Returns since when the partition's present replica is here.

        At recovery the latest state tells it (`born`), and nothing older than that is told.
        """
        tracked = self.of(partition)
        if state.dropped:
            self.tombstones[partition, state.replica] = Tombstone(order, start, state)
        if order < tracked.state_order:
            return tracked.born
        is_other = tracked.state is not None and tracked.state.replica != state.replica
        if is_other or state.dropped:
            tracked.released = 0
        if born is not None:
            tracked.born = born
        elif is_other or state.dropped:
            tracked.born = order
            tracked.commit_lsn = 0
            tracked.damaged.clear()
        tracked.state, tracked.state_order, tracked.state_start = state, order, start
        self.release(partition, state.base.lsn)
        return tracked.born

    def release(self, partition: PartitionId, upto_lsn: Lsn) -> None:
        """Nothing up to that LSN is needed from here any more."""
        tracked = self.of(partition)
        if upto_lsn > tracked.released:
            tracked.released = upto_lsn
            for lsn in [lsn for lsn in tracked.damaged if lsn <= upto_lsn]:
                del tracked.damaged[lsn]

    def is_live(self, partition: PartitionId, lsn: Lsn, order: Order) -> bool:
        """Whether a record must be copied forward."""
        tracked = self.partitions.get(partition)
        if tracked is None or lsn <= tracked.released or order < tracked.born:
            return False
        if tracked.state is not None and tracked.state.dropped:
            return False
        return not any(self.snip_kills(snip, lsn, order) for snip in tracked.snips)

    def snip_kills(self, snip: Snip, lsn: Lsn, order: Order) -> bool:
        """A snip kills what was written before it, from its first LSN on."""
        return snip.order > order and lsn >= snip.first_lsn

    def live_usage(self, generation: int) -> dict[PartitionId, int]:
        """Bytes of records by partition that may still be needed from one segment (an upper bound)."""
        segment = self.segments.get(generation)
        if segment is None:
            return {}
        live = {}
        for partition, (last_lsn, length) in segment.usage.items():
            tracked = self.partitions.get(partition)
            dropped = tracked is not None and tracked.state is not None and tracked.state.dropped
            if tracked is None or (last_lsn > tracked.released and not dropped):
                live[partition] = length
        return live

    def first_start_from(self, generation: int) -> int | None:
        """The first batch that starts in that generation of segments or a later one."""
        starts = [
            segment.starts[0] for number, segment in self.segments.items() if number >= generation and segment.starts
        ]
        return min(starts, default=None)

    def forget_before(self, oldest: int, segment_blocks: int) -> None:
        """Drops what is known of the segments and snips that are given up."""
        for generation in [generation for generation in self.segments if generation < oldest // segment_blocks]:
            del self.segments[generation]
        for tracked in self.partitions.values():
            if tracked.snips:
                tracked.snips = [snip for snip in tracked.snips if snip.start >= oldest]
