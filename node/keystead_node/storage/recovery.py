"""Reads a hot log back after a stop of any kind: what each replica holds, and what of it is damaged.

1. Scan. Every block of the file is checked; a block below the highest `oldest` that any good block names is stale.
2. The chain. From the newest batch downwards each batch names the one before it (`prev_batch`). A batch that is passed
   over was declared torn by an earlier recovery and is void.
3. Torn or damaged. A batch of which a block is bad, stale or missing is DAMAGED if its index copy exists or if a block
   names it as synced; else it is torn, was never acknowledged, and is dropped. That a later batch exists proves
   nothing: batches that were made together share one sync. Where the index copy is all that speaks for a batch, its
   lost records are `doubtful`: nobody can tell which it was. A batch says so before one names theirs as synced.
4. Replay, in the order of the items' origins. A snip kills what was written before it; a later write of an LSN
   replaces an earlier one. What another replica of the partition wrote, before the present one was here, is dead.
5. Per partition, from the base or the cold log's end upwards: what does not chain by hash is dropped, and snipped by
   the log's next batch. Above a damaged record the log goes on; above any other gap it does not.

Damage is named by (partition, LSN, hash) from the batch's own index or its copy. Where neither is whole, every replica
that was there before is `damaged_unknown` until it writes its state after that was found out: so the core must write
its StateEntry (ineligible, "damaged") for each replica that it is told so of, before anything else.
"""

from collections.abc import Mapping
from typing import Final, assert_never

import msgspec

from keystead_core.ids import Lsn, NodeId, PartitionId
from keystead_core.log.entries import EMPTY_LOG, DamagedRecord, LogPoint, RecoveredReplica
from keystead_core.log.record import Record
from keystead_node.storage.batch import (
    ORDER_BITS,
    Chunk,
    DamagedItem,
    Item,
    Order,
    RescuedItem,
    RunItem,
    SnipItem,
    StateItem,
    UnknownItem,
)
from keystead_node.storage.batch_reader import BatchReader, ReadBatch
from keystead_node.storage.block import (
    BLOCK_BYTES,
    RULES,
    BlockError,
    BlockHeader,
    BlockRules,
    Disk,
    Fault,
    decode_block,
)
from keystead_node.storage.geometry import Geometry, read_super
from keystead_node.storage.hot_index import HotIndex, Lost
from keystead_node.storage.hot_log import HotLog, Position, Report, node_number
from keystead_node.storage.index_ring import read_ring

_READ_BLOCKS: Final = 512
_UNREPORTED: Final = 1 << 200


class FoundBatch(msgspec.Struct):
    """A batch of which a block or an index copy was found. `have` counts its good blocks."""

    number: int
    start: int
    blocks: int
    prev: int
    have: int = 0
    copies: list[Chunk] = []

    @property
    def is_whole(self) -> bool:
        return self.have == self.blocks

    @property
    def has_copy(self) -> bool:
        """Is the copy of its index whole? Where parts of that are missing too, it is torn: damage is of one place."""
        return bool(self.copies) and len({copy.number for copy in self.copies}) == self.copies[0].count


class BadBlock(msgspec.Struct, frozen=True):
    """A block that holds something else than a good block of this file; `place` is its number in the file."""

    place: int
    fault: Fault
    message: str


class Scan(msgspec.Struct):
    """All that step 1 finds."""

    geometry: Geometry
    batches: dict[int, FoundBatch]
    bad_blocks: list[BadBlock]
    oldest: int
    synced: int
    next_slot: int
    last_named: int

    def heed(self, header: BlockHeader) -> None:
        """Takes what a good block, however old, says of the whole log."""
        self.oldest = max(self.oldest, header.oldest)
        self.synced = max(self.synced, header.synced)
        self.last_named = max(self.last_named, header.batch, header.prev_batch)


class Held(msgspec.Struct):
    """One LSN of one partition while it is replayed: the record, or the hash of a damaged one, maybe a doubtful one."""

    order: Order
    hash: int
    record: Record | None
    doubtful: bool = False


class Recovery:
    """The rules of recovery, one method each. `recover` runs them."""

    def __init__(
        self, disk: Disk, node: int, block_rules: BlockRules = RULES, sealed: Mapping[PartitionId, Lsn] | None = None
    ) -> None:
        self._disk = disk
        self._node = node
        self._rules = block_rules
        self._sealed = sealed or {}
        self.report = Report()
        self.rescues: list[tuple[int, int, int]] = []
        self.voids: list[int] = []

    def scan(self) -> Scan:
        """Step 1. Raises BlockError if both superblocks are gone."""
        geometry = read_super(self._disk, self._node, self._rules)
        scan = Scan(geometry, {}, [], geometry.first_block, 0, 0, 0)
        first = 1 + geometry.ring_blocks
        last = first + geometry.log_blocks
        for begin in range(first, last, _READ_BLOCKS):
            count = min(_READ_BLOCKS, last - begin)
            data = self._disk.read(begin * BLOCK_BYTES, count * BLOCK_BYTES)
            for number in range(count):
                self._scan_block(scan, data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES], begin + number)
        chunks = self._scan_ring(scan)
        current = self._rules.is_current
        scan.batches = {n: found for n, found in scan.batches.items() if current(found.start, scan.oldest)}
        for chunk in chunks:
            if current(chunk.start, scan.oldest) and 0 < chunk.blocks <= scan.geometry.log_blocks:
                found = scan.batches.get(chunk.batch)
                if found is None:
                    found = scan.batches[chunk.batch] = FoundBatch(chunk.batch, chunk.start, chunk.blocks, chunk.prev)
                found.copies.append(chunk)
        return scan

    def _scan_block(self, scan: Scan, data: bytes, place: int) -> None:
        try:
            header = decode_block(data, self._node, place, self._rules)
        except BlockError as error:
            if error.fault != Fault.EMPTY:
                scan.bad_blocks.append(BadBlock(place, error.fault, str(error)))
            return
        logical = scan.geometry.logical_of(place, header.generation)
        if logical is None or not header.batch_block < header.batch_blocks <= scan.geometry.log_blocks:
            scan.bad_blocks.append(BadBlock(place, Fault.FORMAT, f"block {place} has an impossible header"))
            return
        scan.heed(header)
        start = logical - header.batch_block
        found = scan.batches.get(header.batch)
        if found is None:
            found = FoundBatch(header.batch, start, header.batch_blocks, header.prev_batch)
            scan.batches[header.batch] = found
        if (found.start, found.blocks) == (start, header.batch_blocks):
            found.have += 1

    def _scan_ring(self, scan: Scan) -> list[Chunk]:
        chunks: list[Chunk] = []
        for place, header, in_slot in read_ring(self._disk, self._node, scan.geometry, self._rules):
            if isinstance(header, BlockError):
                if header.fault != Fault.EMPTY:
                    scan.bad_blocks.append(BadBlock(place, header.fault, str(header)))
                continue
            scan.heed(header)
            scan.next_slot = max(scan.next_slot, header.generation + 2)
            chunks += in_slot
        return chunks

    def chain(self, scan: Scan) -> list[FoundBatch]:
        """Steps 2 and 3: the batches that are part of the log, oldest first; notes torn, damaged and unknown ones."""
        chained: list[FoundBatch] = []
        numbers = sorted(scan.batches)
        newest = numbers[-1] if numbers else 0
        if scan.last_named > newest:
            self.report.unknown.append(scan.last_named)
        while numbers:
            found = scan.batches[numbers.pop()]
            if found.is_whole or self.is_damage(found, scan.synced):
                chained.append(found)
                if not found.is_whole:
                    self.report.damaged.append(found.number)
                if not found.is_whole and found.number > scan.synced:
                    self.report.doubtful.append(found.number)
            else:
                self.report.torn.append(found.number)
                if chained:
                    self.voids.append(found.number)  # A newer one names it: else it is passed over from now on.
            while numbers and numbers[-1] > found.prev:
                numbers.pop()
            is_missing = found.start > scan.oldest and (not numbers or numbers[-1] < found.prev)
            if is_missing and found.prev <= scan.synced:
                self.report.unknown.append(found.prev)
            elif is_missing:
                self.voids.append(found.prev)
        chained.reverse()
        self.report.batches = len(chained)
        return chained

    def is_damage(self, found: FoundBatch, synced: int) -> bool:
        """Whether a batch that is not whole was there once: else its write was never finished, nor acknowledged."""
        return found.has_copy or found.number <= synced

    def read_items(self, scan: Scan, chained: list[FoundBatch]) -> list[tuple[Order, int, Item, list[Record | None]]]:
        """(order, start of the batch that holds it, item, records of a run) of all batches, in the order of origin."""
        reader = BatchReader(self._disk, self._node, scan.geometry, self._rules)
        items: list[tuple[Order, int, Item, list[Record | None]]] = []
        rescued: set[int] = set()
        for found in reversed(chained):
            batch = reader.read(found.number, found.start, found.blocks, found.copies, self._sealed)
            if found.number in rescued and is_void(found, batch):
                self.report.damaged.remove(found.number)
                self.report.doubtful = [batch for batch in self.report.doubtful if batch != found.number]
                self.report.torn.append(found.number)
                continue
            rescued.update(item.batch for item in batch.items if isinstance(item, RescuedItem))
            if not batch.index_whole:
                self.report.unknown.append(found.number)
            if not batch.index_own:
                self.rescues.append((found.number, found.start, found.blocks))
            records = {id(run): in_run for run, in_run in batch.runs}
            items += [(item.order, found.start, item, records.get(id(item), [])) for item in batch.items]
        self.report.unknown = [batch for batch in self.report.unknown if batch not in rescued]
        self.rescues = [rescue for rescue in self.rescues if rescue[0] not in rescued]
        items.sort(key=lambda entry: entry[:2])
        return items


def is_void(found: FoundBatch, batch: ReadBatch) -> bool:
    """Of a batch that a newer one calls rescued: was it torn, so that nothing of it counts?

    Else its index copy was whole, and its own index was not.
    """
    return not found.is_whole and (batch.index_own or not batch.index_whole)


class Replay:
    """Step 4: what is left of each partition, and the index of the log.

    `births`: since when each partition's present replica is here; what is older was another's, or dropped with it.
    """

    def __init__(self, index: HotIndex, births: Mapping[PartitionId, Order]) -> None:
        self.index = index
        self._births = births
        self.held: dict[PartitionId, dict[Lsn, Held]] = {}

    def take(self, start: int, item: Item, records: list[Record | None]) -> None:
        if isinstance(item, RunItem | SnipItem | DamagedItem) and item.order < self._births.get(item.partition, 0):
            return
        match item:
            case RunItem():
                self._take_run(start, item, records)
            case SnipItem():
                self.snip(item.partition, item.first_lsn)
                self.index.saw_snip(item.partition, item.first_lsn, item.epoch, item.order, start)
            case StateItem():
                born = self._births[item.partition]
                self.index.saw_state(item.partition, item.state, item.order, start, born)
            case DamagedItem():
                self._hold(item.partition, item.lsn, Held(item.order, item.hash, None, item.doubtful))
            case UnknownItem():
                self.index.unknown[item.batch] = (item.order, start)
            case RescuedItem():
                self.index.rescued.add(item.batch)
            case _:
                assert_never(item)

    def snip(self, partition: PartitionId, first_lsn: Lsn) -> None:
        """Kills what was written before."""
        held = self.held.get(partition, {})
        for lsn in [lsn for lsn in held if lsn >= first_lsn]:
            del held[lsn]

    def _take_run(self, start: int, run: RunItem, records: list[Record | None]) -> None:
        if run.commit_lsn:
            self.index.saw_commit(run.partition, run.commit_lsn, run.order, start)
        self.index.of(run.partition)
        for number, record in enumerate(records):
            self._hold(run.partition, run.first_lsn + number, Held(run.order, run.pairs[number][0], record))

    def _hold(self, partition: PartitionId, lsn: Lsn, new: Held) -> None:
        """A later write replaces an earlier one; of two copies of one write the good one counts."""
        held = self.held.setdefault(partition, {})
        old = held.get(lsn)
        if old is None or old.order < new.order or old.record is None:
            held[lsn] = new
        if old is not None and old.record is None and new.record is not None:
            self.index.of(partition).repaired.add(lsn)


class Chained(msgspec.Struct):
    """Step 5 of one partition. `dropped_from`: the first LSN of what does not chain, 0 if all does."""

    records: list[Record]
    damaged: list[DamagedRecord]
    dropped_from: Lsn


def chain_records(held: dict[Lsn, Held], begin: LogPoint | None, keep_above_gaps: bool) -> Chained:
    """Keeps what chains by hash from `begin` on (None: from the first record there is).

    `keep_above_gaps` where damage of unknown extent may have made the gap: then the newer of two that do not fit stays.
    """
    kept: list[tuple[Lsn, Held]] = []
    for lsn in sorted(lsn for lsn in held if begin is None or lsn > begin.lsn):
        here = held[lsn]
        last_lsn, last_hash = (kept[-1][0], kept[-1][1].hash) if kept else (begin.lsn, begin.hash) if begin else (0, 0)
        is_next = lsn == last_lsn + 1
        is_free = not kept and begin is None
        fits = is_free or (is_next and (here.record is None or here.record.prev_hash == last_hash))
        if fits or (keep_above_gaps and not is_next):
            kept.append((lsn, here))
        elif keep_above_gaps and kept and here.order > kept[-1][1].order:
            kept[-1] = (lsn, here)
        else:
            return _split_kept(kept, lsn)
    return _split_kept(kept, 0)


def _split_kept(kept: list[tuple[Lsn, Held]], dropped_from: Lsn) -> Chained:
    records = [here.record for _, here in kept if here.record is not None]
    damaged = [DamagedRecord(lsn, here.hash) for lsn, here in kept if here.record is None]
    return Chained(records, damaged, dropped_from)


def recover(
    disk: Disk,
    node_id: NodeId,
    cold_ends: Mapping[PartitionId, LogPoint] | None = None,
    *,
    read_only: bool = False,
    block_rules: BlockRules = RULES,
) -> tuple[HotLog, list[RecoveredReplica]]:
    """Recovers the log on `disk`; its `report` attribute tells what was seen.

    `cold_ends` gives the last sealed point of each partition that has one: what is at or below it is released, and the
    records must go on from it. None: not known, then records count from the first there is. The disk is synced first,
    because what a killed process wrote may be readable and not yet durable. Raises BlockError if the log has no
    readable superblock.
    """
    if not read_only:
        disk.sync()
    sealed = {partition: end.lsn for partition, end in (cold_ends or {}).items()}
    recovery = Recovery(disk, node_number(node_id), block_rules, sealed)
    scan = recovery.scan()
    chained = recovery.chain(scan)
    index = HotIndex()
    items = recovery.read_items(scan, chained)
    replay = Replay(index, {item.partition: item.born for _, _, item, _ in items if isinstance(item, StateItem)})
    for found in chained:
        index.saw_batch(found.start // scan.geometry.segment_blocks, found.number, found.start)
    for _, start, item, records in items:
        if isinstance(item, RunItem) and item.pairs:
            segment = index.segments[start // scan.geometry.segment_blocks]
            last_lsn = item.first_lsn + len(item.pairs) - 1
            index.saw_records(item.partition, segment, last_lsn, sum(length for _, length in item.pairs))
        replay.take(start, item, records)
    report = recovery.report
    unnamed = [*recovery.voids, *report.doubtful]
    log = _log_of(disk, node_number(node_id), scan, chained, index, block_rules, unnamed)
    replicas = [_replica_of(partition, replay, report, cold_ends) for partition in sorted(index.partitions)]
    unreported = [batch for batch in report.unknown if batch not in index.unknown]
    bare = [(found.start, found.blocks) for found in chained if found.number > scan.synced and not found.has_copy]
    log.resume(report.dropped_tails, unreported, recovery.rescues, recovery.voids, bare, bool(report.doubtful))
    log.report = report
    if not read_only:
        log.rescue()
    return log, replicas


def _log_of(
    disk: Disk,
    node: int,
    scan: Scan,
    chained: list[FoundBatch],
    index: HotIndex,
    rules: BlockRules,
    unnamed: list[int],
) -> HotLog:
    """What recovery found is synced; but a batch that tells what is void or doubtful must not name that so: were it
    torn in its turn, what is left of it would make certain damage of it."""
    newest = max(scan.last_named, scan.synced, *scan.batches, 0)
    synced = min([newest + 1, *unnamed]) - 1
    prev = chained[-1].number if chained else 0
    head = chained[-1].start + chained[-1].blocks if chained else scan.oldest
    position = Position(head, newest + 1, prev, synced, scan.oldest, scan.next_slot)
    return HotLog(disk, node, scan.geometry, index, position, BatchReader(disk, node, scan.geometry, rules))


def _replica_of(
    partition: PartitionId, replay: Replay, report: Report, cold_ends: Mapping[PartitionId, LogPoint] | None
) -> RecoveredReplica:
    tracked = replay.index.of(partition)
    state = tracked.state
    base = state.base if state is not None else EMPTY_LOG
    cold_end = (cold_ends or {}).get(partition, EMPTY_LOG)
    begin = cold_end if cold_end.lsn > base.lsn else base
    is_unknown = is_damage_unknown(report.unknown, replay.index, partition)
    is_begin_known = cold_ends is not None or begin.lsn > 0
    chained = chain_records(replay.held.get(partition, {}), begin if is_begin_known else None, is_unknown)
    replay.index.release(partition, begin.lsn)
    for damaged in chained.damaged:
        here = replay.held[partition][damaged.lsn]
        doubtful = here.doubtful or here.order >> ORDER_BITS in report.doubtful
        tracked.damaged[damaged.lsn] = Lost(here.order, here.hash, doubtful)
    if chained.dropped_from and not is_unknown:
        report.dropped_tails[partition] = chained.dropped_from
    return RecoveredReplica(
        partition=partition,
        state=state,
        records=chained.records,
        commit_lsn=tracked.commit_lsn,
        applied_lsn=0,
        cold_end=cold_end,
        damaged=[DamagedRecord(d.lsn, d.hash, tracked.damaged[d.lsn].doubtful) for d in chained.damaged],
        damaged_unknown=is_unknown,
    )


def is_damage_unknown(unknown: list[int], index: HotIndex, partition: PartitionId) -> bool:
    """Whether damage of unknown content may concern the partition, and its state was not written since it was found."""
    tracked = index.of(partition)
    for batch in {*unknown, *index.unknown}:
        found_at, _ = index.unknown.get(batch, (_UNREPORTED, 0))
        if tracked.born >> 24 <= batch and tracked.state_order < found_at:
            return True
    return False
