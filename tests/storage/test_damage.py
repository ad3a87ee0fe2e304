"""Torn, rotten, misdirected and stale blocks: each is seen, and is called torn or damaged as it should be."""

import itertools
from collections.abc import Callable

import pytest

from keystead_core.ids import PartitionId
from keystead_core.log.entries import EMPTY_LOG, AppendEntry, DamagedRecord, LogPoint, SnipEntry, StateEntry
from keystead_core.log.record import Record
from keystead_node.storage.block import BLOCK_BYTES
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.recovery import recover
from tests.storage.log_model import NODE, SMALL, chain_of, new_log, record_after, state_of, write_batch
from tests.storage.mem_disk import MemDisk

P1, P2, P3 = PartitionId(1), PartitionId(2), PartitionId(3)
ONE, TWO = chain_of(1, 8, body_bytes=1500), chain_of(2, 6, body_bytes=100)


def small_log() -> tuple[MemDisk, HotLog, list[int]]:
    """Four batches of 1, 5, 1 and 2 blocks; returns the logical blocks at which they begin, and their end."""
    disk, log = new_log()
    starts = []
    for entries in (
        [StateEntry(P1, state_of(7)), StateEntry(P2, state_of(8))],
        [StateEntry(P1, state_of(7, 2)), AppendEntry(P1, 3, ONE)],
        [AppendEntry(P2, 2, TWO[:3])],
        [SnipEntry(P2, 9, 4), AppendEntry(P2, 3, TWO[3:])],
    ):
        starts.append(log._head)
        write_batch(disk, log, *entries)
    return disk, log, [*starts, log._head]


def place_of(logical_block: int) -> int:
    return SMALL.place_of(logical_block) * BLOCK_BYTES


def flip(disk: MemDisk, offset: int) -> None:
    disk.flip_bit(offset + 1000, 3)


def tear(disk: MemDisk, offset: int) -> None:
    for data in (disk.durable, disk.visible):
        data[offset + 512 : offset + 1024] = bytes(512)
        data[offset + 30] ^= 0xFF


def misdirect(disk: MemDisk, offset: int) -> None:
    other = place_of(SMALL.first_block) if offset != place_of(SMALL.first_block) else BLOCK_BYTES
    for data in (disk.durable, disk.visible):
        data[offset : offset + BLOCK_BYTES] = data[other : other + BLOCK_BYTES]


def lose(disk: MemDisk, offset: int) -> None:
    for data in (disk.durable, disk.visible):
        data[offset : offset + BLOCK_BYTES] = bytes(BLOCK_BYTES)


FAULTS = [flip, tear, misdirect, lose]
LOG_BLOCKS = range(9)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", LOG_BLOCKS)
def test_a_bad_block_names_its_records_and_touches_nothing_else(
    fault: Callable[[MemDisk, int], None], number: int
) -> None:
    disk, _, starts = small_log()
    assert starts[-1] - starts[0] == len(LOG_BLOCKS)
    fault(disk, place_of(starts[0] + number))
    log, replicas = recover(disk, NODE, {})
    assert [replica.state for replica in replicas] == [state_of(7, 2), state_of(8)]
    assert [replica.commit_lsn for replica in replicas] == [3, 3]
    for replica, whole in zip(replicas, (ONE, TWO), strict=True):
        assert not replica.damaged_unknown
        good = {record.lsn: record.raw for record in replica.records}
        bad = {damaged.lsn: damaged.hash for damaged in replica.damaged}
        assert good.keys() | bad.keys() == {record.lsn for record in whole}
        assert not good.keys() & bad.keys()
        assert all(good.get(r.lsn, r.raw) == r.raw and bad.get(r.lsn, r.hash) == r.hash for r in whole)
    batch = next(n for n, (a, b) in enumerate(itertools.pairwise(starts), 1) if a <= starts[0] + number < b)
    assert (log.report.damaged, log.report.torn) == ([batch], [])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("slot", range(SMALL.ring_blocks))
def test_a_bad_index_copy_costs_nothing(fault: Callable[[MemDisk, int], None], slot: int) -> None:
    disk, _, _ = small_log()
    fault(disk, (1 + slot) * BLOCK_BYTES)
    log, replicas = recover(disk, NODE, {})
    assert [len(replica.records) for replica in replicas] == [8, 6]
    assert not any(replica.damaged or replica.damaged_unknown for replica in replicas)
    assert log.report.damaged == []


def lose_ring(disk: MemDisk) -> None:
    for slot in range(SMALL.ring_blocks):
        lose(disk, (1 + slot) * BLOCK_BYTES)


def test_what_the_index_copy_alone_has_kept_is_in_a_second_place_before_anybody_relies_on_it() -> None:
    """Found by the simulator (142588): a power loss left the copy alone; when that rotted, a promise was gone."""
    disk, log, starts = small_log()
    write_batch(disk, log, StateEntry(P1, state_of(7, 3)))
    lose(disk, place_of(starts[-1]))
    recover(disk, NODE, {})
    lose_ring(disk)
    _, replicas = recover(disk, NODE, {})
    promised = {replica.partition: replica.state.promised for replica in replicas if replica.state}
    assert promised[P1] == state_of(7, 3).promised


def test_what_stands_without_an_index_copy_is_known_to_be_lost_if_it_rots_after_a_start() -> None:
    """Found by the simulator (754729, 777450): a power loss left the block alone, or the copy had rotted; when the
    block rotted too, it was taken for torn, and the promise was gone."""
    disk, log, starts = small_log()
    write_batch(disk, log, StateEntry(P1, state_of(7, 3)))
    lose_ring(disk)
    _, replicas = recover(disk, NODE, {})
    assert {r.partition: r.state.promised for r in replicas if r.state}[P1] == state_of(7, 3).promised
    lose(disk, place_of(starts[-1]))
    _, replicas = recover(disk, NODE, {})
    assert all(replica.damaged_unknown for replica in replicas)
    assert {r.partition: r.state.promised for r in replicas if r.state}[P1] == state_of(7, 3).promised


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [7, 8])
def test_the_last_batch_without_an_index_copy_is_torn_and_dropped(
    fault: Callable[[MemDisk, int], None], number: int
) -> None:
    disk, _, starts = small_log()
    lose_ring(disk)
    fault(disk, place_of(starts[0] + number))
    log, replicas = recover(disk, NODE, {})
    assert (log.report.torn, log.report.damaged) == ([4], [])
    assert [r.lsn for r in replicas[1].records] == [1, 2, 3]
    assert not replicas[1].damaged


def test_a_torn_batch_stays_dropped_when_the_log_goes_on() -> None:
    disk, _, starts = small_log()
    lose_ring(disk)
    lose(disk, place_of(starts[3] + 1))
    log, _ = recover(disk, NODE, {})
    other = record_after(TWO[2], 2, b"other", epoch=5)
    write_batch(disk, log, AppendEntry(P2, 3, [other]))
    log, replicas = recover(disk, NODE, {})
    assert (log.report.torn, log.report.damaged, log.report.unknown) == ([], [], [])
    assert [r.raw for r in replicas[1].records] == [*[r.raw for r in TWO[:3]], other.raw]


@pytest.mark.parametrize("number", [0, 1, 6])
def test_a_bad_index_without_a_copy_leaves_every_replica_in_doubt(number: int) -> None:
    disk, _, starts = small_log()
    lose_ring(disk)
    flip(disk, place_of(starts[0] + number))
    log, replicas = recover(disk, NODE, {})
    assert all(replica.damaged_unknown for replica in replicas)
    assert log.report.torn == []


def test_a_batch_that_is_gone_without_a_trace_is_noticed_by_the_next_one() -> None:
    disk, _, starts = small_log()
    lose_ring(disk)
    lose(disk, place_of(starts[2]))
    log, replicas = recover(disk, NODE, {})
    assert log.report.unknown == [3]
    assert [replica.damaged_unknown for replica in replicas] == [True, True]
    assert [r.lsn for r in replicas[1].records] == [4, 5, 6]


def test_doubt_ends_for_a_replica_that_has_written_its_state_since_it_was_found() -> None:
    disk, _, starts = small_log()
    lose_ring(disk)
    lose(disk, place_of(starts[2]))
    log, _ = recover(disk, NODE, {})
    write_batch(disk, log, StateEntry(P1, state_of(7, 3)))
    log, replicas = recover(disk, NODE, {})
    assert [replica.damaged_unknown for replica in replicas] == [False, True]
    write_batch(disk, log, AppendEntry(P2, 0, []))
    _, replicas = recover(disk, NODE, {})
    assert [replica.damaged_unknown for replica in replicas] == [False, True]


def test_a_replica_founded_after_the_damage_is_not_in_doubt() -> None:
    disk, log, starts = small_log()
    write_batch(disk, log, StateEntry(P2, state_of(8, dropped=True)))
    write_batch(disk, log, StateEntry(P2, state_of(9)))
    lose_ring(disk)
    lose(disk, place_of(starts[2]))
    _, replicas = recover(disk, NODE, {})
    assert [replica.damaged_unknown for replica in replicas] == [True, False]


def test_damage_below_the_cold_end_is_none() -> None:
    disk, _, starts = small_log()
    flip(disk, place_of(starts[1] + 2))
    _, replicas = recover(disk, NODE, {P1: LogPoint(1, 8, ONE[7].hash)})
    assert (replicas[0].damaged, replicas[0].records) == ([], [])


def test_damage_stays_known_when_its_segment_is_reused_and_ends_when_the_record_is_back() -> None:
    disk, _, starts = small_log()
    flip(disk, place_of(starts[1] + 2))
    log, replicas = recover(disk, NODE, {})
    damaged = replicas[0].damaged
    assert damaged
    log, filler = go_round(disk, log)
    _, replicas = recover(disk, NODE, {P3: filler}, read_only=True)
    assert replicas[0].damaged == damaged
    lost = [record for record in ONE if DamagedRecord(record.lsn, record.hash) in damaged]
    write_batch(disk, log, AppendEntry(P1, 0, lost))
    for _ in range(2):
        log, replicas = recover(disk, NODE, {P3: filler})
        assert ([r.raw for r in replicas[0].records], replicas[0].damaged) == ([r.raw for r in ONE], [])
        log, filler = go_round(disk, log, filler)
        assert log.take_damage() == []


def test_rot_found_while_a_segment_is_moved_is_told_and_kept() -> None:
    disk, log, starts = small_log()
    flip(disk, place_of(starts[1] + 2))
    log, filler = go_round(disk, log)
    told = log.take_damage()
    assert told and all(partition == P1 for partition, _ in told)
    _, replicas = recover(disk, NODE, {P3: filler})
    assert replicas[0].damaged == [damaged for _, damaged in told]


def go_round(disk: MemDisk, log: HotLog, previous: LogPoint = EMPTY_LOG) -> tuple[HotLog, LogPoint]:
    """Writes until every segment has been reused."""
    end = log._head + 2 * SMALL.log_blocks
    while log._head < end:
        record = record_after(previous, 3, bytes(2500))
        previous = LogPoint(record.epoch, record.lsn, record.hash)
        write_batch(disk, log, AppendEntry(P3, record.lsn, [record]))
        log.release(P3, record.lsn)
    return log, previous


def test_a_lost_rewrite_of_a_reused_block_is_damage_and_not_the_old_content() -> None:
    disk, log, _ = small_log()
    log, filler = go_round(disk, log)
    before = disk.copy()
    at = log._head
    last = record_after(filler, 3, b"last")
    write_batch(disk, log, AppendEntry(P3, filler.lsn, [last]))
    offset = place_of(at)
    stale = before.durable[offset : offset + BLOCK_BYTES]
    assert any(stale)
    disk.durable[offset : offset + BLOCK_BYTES] = stale
    disk.visible[:] = disk.durable
    _, replicas = recover(disk, NODE, {P3: filler})
    assert replicas[2].damaged == [DamagedRecord(last.lsn, last.hash, doubtful=True)]


def test_batches_of_one_sync_are_torn_together() -> None:
    """A later batch that reached the disk does not prove that the one before, of the same sync, ever did."""
    disk, log, _ = small_log()
    before = log.last_batch
    long = chain_of(3, 40, body_bytes=2000)
    disk.write_all(log.append([AppendEntry(P3, record.lsn, [record]) for record in long]))
    assert log.last_batch > before + 1
    kept_from = sum(len(data) // 512 for _, data in disk.pending[:-2])  # The last batch's blocks and its index copy.
    after = disk.crash(lambda number: number >= kept_from)
    recovered, replicas = recover(after, NODE)
    assert recovered.report.unknown == [] and recovered.report.damaged == []
    assert not any(replica.damaged_unknown for replica in replicas)


@pytest.mark.parametrize("left", ["nothing", "its index", "a later block"])
def test_what_was_torn_stays_torn_at_the_next_start_and_is_not_taken_for_damage(left: str) -> None:
    """Found by the simulator (165553, 224703): the batch behind it had left its index copy, and what the node wrote
    next named both as synced."""
    disk, log, _ = small_log()
    long = chain_of(3, 40, body_bytes=2000)
    torn = log.last_batch + 1
    disk.write_all(log.append([AppendEntry(P3, record.lsn, [record]) for record in long]))
    last_batch_from = 34
    kept_from = sum(len(data) // 512 for _, data in disk.pending[:-1])  # The last batch's index copy.
    block = {"nothing": range(0), "its index": range(8), "a later block": range(8, 16)}[left]
    after = disk.crash(lambda number: number >= kept_from or number in block)
    log, _ = recover(after, NODE)
    for _ in range(2):
        write_batch(after, log, StateEntry(P1, state_of(7, 3)))
        log, replicas = recover(after, NODE)
        assert log.report.unknown == [] and torn not in log.report.damaged
        assert not any(replica.damaged_unknown for replica in replicas)
        lost = [damaged.lsn for damaged in replicas[2].damaged]
        assert lost and min(lost) == last_batch_from  # What the index copy tells is in doubt; the rest never was.


def test_the_word_that_something_was_torn_may_itself_be_torn() -> None:
    """What is left of it must not name as synced what it would have told to be torn."""
    disk, log, _ = small_log()
    long = chain_of(3, 40, body_bytes=2000)
    disk.write_all(log.append([AppendEntry(P3, record.lsn, [record]) for record in long]))
    kept_from = sum(len(data) // 512 for _, data in disk.pending[:-1])
    after = disk.crash(lambda number: number >= kept_from or number in range(8))
    log, _ = recover(after, NODE, read_only=True)
    after.write_all(log.append([AppendEntry(P2, 3, chain_of(2, 20, body_bytes=1500)[6:])]))
    later = after.crash(lambda number: number in range(8, 16))
    log, replicas = recover(later, NODE)
    assert log.report.unknown == [] and log.report.damaged == log.report.doubtful
    assert not any(replica.damaged_unknown for replica in replicas)


def doubtful_log(kept_blocks: int) -> tuple[MemDisk, list[list[DamagedRecord]]]:
    """Of the last batch, two blocks with a record of each partition, so many blocks are left, and its index copy.

    Returns what is in doubt of each partition.
    """
    disk, log, starts = small_log()
    one, two = record_after(end_of(ONE), 1, bytes(3000)), record_after(end_of(TWO), 2, bytes(4000))
    write_batch(disk, log, AppendEntry(P1, 8, [one]), AppendEntry(P2, 6, [two]))
    for number in range(kept_blocks, log._head - starts[-1]):
        lose(disk, place_of(starts[-1] + number))
    doubtful = [DamagedRecord(record.lsn, record.hash, doubtful=True) for record in (one, two)]
    return disk, [doubtful[:1] if kept_blocks == 0 else [], doubtful[1:]]


def end_of(records: list[Record]) -> LogPoint:
    return LogPoint(records[-1].epoch, records[-1].lsn, records[-1].hash)


@pytest.mark.parametrize("kept_blocks", [0, 1])
def test_damage_stays_in_doubt_at_later_starts_and_when_its_segment_is_reused(kept_blocks: int) -> None:
    """Found by the simulator (873289): a group's only voter lost its power again before it had dropped the record. At
    the second start that counted as synced, and the group had ended for ever."""
    disk, lost = doubtful_log(kept_blocks)
    for _ in range(3):
        log, replicas = recover(disk, NODE, {})
        assert [replica.damaged for replica in replicas] == lost
    log, filler = go_round(disk, log)
    _, replicas = recover(disk, NODE, {P3: filler})
    assert [replica.damaged for replica in replicas[:2]] == lost


@pytest.mark.parametrize("kept_blocks", [0, 1])
def test_what_is_in_doubt_is_known_however_the_word_of_it_is_torn(kept_blocks: int) -> None:
    disk, lost = doubtful_log(kept_blocks)
    log, _ = recover(disk, NODE, read_only=True)
    before = disk.copy()
    disk.write_all(log.append([AppendEntry(P3, 0, chain_of(3, 20, body_bytes=1500))]))
    sectors = sum(len(data) // 512 for _, data in disk.pending)
    for block in range(0, sectors, 8):
        torn = before.copy()
        torn.write_all(disk.pending)
        _, replicas = recover(torn.crash(lambda number, block=block: block <= number < block + 8), NODE)
        assert [replica.damaged for replica in replicas[:2]] == lost


def test_what_was_whole_at_a_start_is_not_in_doubt_when_it_rots_later() -> None:
    disk, lost = doubtful_log(kept_blocks=1)
    recover(disk, NODE, {})
    _, _, starts = small_log()
    lose(disk, place_of(starts[-1]))
    _, replicas = recover(disk, NODE, {})
    assert [[(d.lsn, d.doubtful) for d in replica.damaged] for replica in replicas] == [[(9, False)], [(7, True)]]
    assert replicas[1].damaged == lost[1]
