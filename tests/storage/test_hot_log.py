"""The hot log gives back what it was given, however often its segments are reused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.ids import PartitionId
from keystead_core.log.entries import EMPTY_LOG, AppendEntry, LogPoint, SnipEntry, StateEntry
from keystead_node.storage.block import PAYLOAD_BYTES
from keystead_node.storage.geometry import Geometry
from keystead_node.storage.hot_log import HotLog, HotLogFull, RecordTooLarge
from keystead_node.storage.recovery import recover
from tests.storage.log_model import NODE, Model, chain_of, new_log, record_after, state_of, write_batch
from tests.storage.mem_disk import MemDisk

P1, P2 = PartitionId(1), PartitionId(2)


def test_a_small_batch_is_one_block_and_its_index_copy() -> None:
    _, log = new_log()
    writes = log.append([AppendEntry(P1, 0, chain_of(1, 3))])
    assert [len(data) for _, data in writes] == [4096, 4096]
    assert abs(writes[0][0] - writes[1][0]) >= 2 * 4096


def test_a_new_log_recovers_empty() -> None:
    disk, _ = new_log()
    log, replicas = recover(disk, NODE)
    assert (replicas, log.last_batch) == ([], 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30))
def test_what_was_appended_comes_back(seed: int, batches: int) -> None:
    disk, log = new_log()
    model = Model(seed, body_bytes_max=500)
    for _ in range(batches):
        write_batch(disk, log, *model.entries(model.random.randint(1, 3)))
    recovered, replicas = recover(disk.copy(), NODE, {})
    assert model.difference(replicas) == ""
    assert recovered.last_batch == log.last_batch


@pytest.mark.parametrize("seed", range(12))
def test_segments_are_reused_many_times_while_an_idle_partition_keeps_its_records(seed: int) -> None:
    disk, log = new_log()
    model = Model(seed)
    idle = PartitionId(4)
    write_batch(disk, log, *model.entries(4, [idle]))
    busy = [partition for partition in model.records if partition != idle]
    for number in range(1200):
        write_batch(disk, log, *model.entries(2, busy))
        for partition in busy:
            if len(model.records[partition]) > 6:
                model.seal(log, partition)
        if number % 150 == 77:
            log, replicas = recover(disk.copy() if number % 2 else disk, NODE, model.sealed)
            assert model.difference(replicas) == ""
            if number % 2:
                log, _ = recover(disk, NODE, model.sealed)
    _, replicas = recover(disk, NODE, model.sealed)
    assert model.difference(replicas) == ""
    assert log.last_batch > 1200 * 0.9


def test_a_large_record_spans_segments_and_survives_reuse() -> None:
    geometry = Geometry(segment_blocks=64, segment_count=32, ring_blocks=64)
    disk, log = new_log(geometry)
    large = record_after(EMPTY_LOG, 1, bytes(range(256)) * 1600)
    write_batch(disk, log, AppendEntry(P1, 0, [large]))
    previous = EMPTY_LOG
    for _ in range(100):
        record = record_after(previous, 2, bytes(300_000))
        previous = LogPoint(record.epoch, record.lsn, record.hash)
        write_batch(disk, log, AppendEntry(P2, record.lsn, [record]))
        log.release(P2, record.lsn)
    _, replicas = recover(disk, NODE, {P2: previous})
    assert [r.raw for r in replicas[0].records] == [large.raw]
    assert replicas[1].records == []


def test_an_append_larger_than_a_batch_is_cut_into_batches() -> None:
    disk, log = new_log(Geometry(segment_blocks=64, segment_count=8, ring_blocks=32))
    records = chain_of(1, 60, body_bytes=4000)
    write_batch(disk, log, StateEntry(P1, state_of(7)), AppendEntry(P1, 0, records))
    assert log.last_batch > 1
    _, replicas = recover(disk, NODE)
    assert [r.lsn for r in replicas[0].records] == list(range(1, 61))


def test_a_record_that_no_batch_can_hold_is_refused() -> None:
    _, log = new_log()
    with pytest.raises(RecordTooLarge):
        log.append([AppendEntry(P1, 0, [record_after(EMPTY_LOG, 1, bytes(40_000))])])
    assert log.last_batch == 0


def test_a_full_log_refuses_records_but_takes_promises_and_recovers_after_a_release() -> None:
    disk, log = new_log()
    previous = EMPTY_LOG
    with pytest.raises(HotLogFull):
        while True:
            record = record_after(previous, 1, bytes(3000))
            write_batch(disk, log, AppendEntry(P1, record.lsn, [record]))
            previous = LogPoint(record.epoch, record.lsn, record.hash)
    for epoch in range(2, 9):
        write_batch(disk, log, StateEntry(P1, state_of(7, epoch)))
    assert log.space().pins[0][0] == P1
    assert log.space().is_scarce
    _, replicas = recover(disk.copy(), NODE)
    assert (replicas[0].records[-1].lsn, replicas[0].state) == (previous.lsn, state_of(7, 8))
    log.release(P1, previous.lsn)
    for _ in range(60):
        if not log.has_room:
            write_batch(disk, log)
    record = record_after(previous, 1, bytes(3000))
    write_batch(disk, log, AppendEntry(P1, 0, [record]))
    _, replicas = recover(disk, NODE, {P1: previous})
    assert [r.raw for r in replicas[0].records] == [record.raw]


def test_a_snip_kills_what_was_written_before_it_and_not_what_comes_after() -> None:
    disk, log = new_log()
    first = chain_of(1, 10, epoch=3)
    other = record_after(first[8], 1, b"other", epoch=2)
    later = record_after(other, 1, b"later", epoch=4)
    write_batch(disk, log, AppendEntry(P1, 9, first))
    write_batch(disk, log, SnipEntry(P1, 10, 2), AppendEntry(P1, 9, [other]))
    write_batch(disk, log, AppendEntry(P1, 9, [later]))
    _, replicas = recover(disk, NODE)
    assert [(r.lsn, r.epoch) for r in replicas[0].records[8:]] == [(9, 3), (10, 2), (11, 4)]


def test_a_snipped_record_does_not_come_back_however_far_the_log_goes_on() -> None:
    """Schedule 7: the snip outlives every block that it kills."""
    disk, log = new_log()
    first = chain_of(1, 10, epoch=3)
    write_batch(disk, log, AppendEntry(P1, 9, first))
    write_batch(disk, log, SnipEntry(P1, 10, 2))
    filler = EMPTY_LOG
    for _ in range(400):
        record = record_after(filler, 2, bytes(2500))
        filler = LogPoint(record.epoch, record.lsn, record.hash)
        write_batch(disk, log, AppendEntry(P2, record.lsn, [record]))
        log.release(P2, record.lsn)
        _, replicas = recover(disk, NODE, {P2: filler}, read_only=True)
        assert [r.lsn for r in replicas[0].records] == list(range(1, 10))


def test_a_later_write_of_an_lsn_replaces_the_earlier_one() -> None:
    disk, log = new_log()
    first = chain_of(1, 3, epoch=1)
    other = record_after(first[1], 1, b"other", epoch=2)
    write_batch(disk, log, AppendEntry(P1, 0, first))
    write_batch(disk, log, AppendEntry(P1, 0, [other]))
    _, replicas = recover(disk, NODE)
    assert [r.raw for r in replicas[0].records] == [first[0].raw, first[1].raw, other.raw]


def test_what_does_not_chain_is_dropped_and_stays_dropped() -> None:
    disk, log = new_log()
    first = chain_of(1, 3, epoch=1)
    other = record_after(first[0], 1, b"other", epoch=2)
    write_batch(disk, log, AppendEntry(P1, 0, first))
    write_batch(disk, log, AppendEntry(P1, 0, [other]))
    log, replicas = recover(disk, NODE)
    assert [r.raw for r in replicas[0].records] == [first[0].raw, other.raw]
    assert log.report.dropped_tails == {P1: 3}
    write_batch(disk, log, StateEntry(P1, state_of(7)))
    log, replicas = recover(disk, NODE)
    assert [r.raw for r in replicas[0].records] == [first[0].raw, other.raw]
    assert log.report.dropped_tails == {}


def test_a_record_above_a_gap_is_dropped_at_recovery() -> None:
    disk, log = new_log()
    records = chain_of(1, 5)
    write_batch(disk, log, AppendEntry(P1, 0, records[:2]), AppendEntry(P1, 0, records[3:]))
    _, replicas = recover(disk, NODE)
    assert [r.lsn for r in replicas[0].records] == [1, 2]


def test_a_gap_that_is_filled_later_loses_nothing() -> None:
    disk, log = new_log()
    records = chain_of(1, 5)
    write_batch(disk, log, AppendEntry(P1, 0, records[:2] + records[3:]))
    write_batch(disk, log, AppendEntry(P1, 0, records[2:3]))
    _, replicas = recover(disk, NODE)
    assert [r.lsn for r in replicas[0].records] == [1, 2, 3, 4, 5]


def test_a_new_replica_does_not_inherit_the_records_of_the_one_before() -> None:
    disk, log = new_log()
    write_batch(disk, log, StateEntry(P1, state_of(7)), AppendEntry(P1, 2, chain_of(1, 3)))
    write_batch(disk, log, StateEntry(P1, state_of(7, dropped=True)))
    write_batch(disk, log, StateEntry(P1, state_of(8)), AppendEntry(P1, 0, chain_of(1, 1, epoch=9)))
    log, replicas = recover(disk, NODE)
    assert [(r.lsn, r.epoch) for r in replicas[0].records] == [(1, 9)]
    assert (replicas[0].state, replicas[0].commit_lsn) == (state_of(8), 0)
    assert (P1, 7) in log.index.tombstones


def test_a_tombstone_is_kept_for_ever() -> None:
    disk, log = new_log()
    write_batch(disk, log, StateEntry(P1, state_of(7)), AppendEntry(P1, 3, chain_of(1, 3)))
    write_batch(disk, log, StateEntry(P1, state_of(7, dropped=True)))
    previous = EMPTY_LOG
    for _ in range(500):
        record = record_after(previous, 2, bytes(2500))
        previous = LogPoint(record.epoch, record.lsn, record.hash)
        write_batch(disk, log, AppendEntry(P2, record.lsn, [record]))
        log.release(P2, record.lsn)
    log, replicas = recover(disk, NODE, {P2: previous})
    assert replicas[0].state == state_of(7, dropped=True)
    assert replicas[0].records == []
    assert (P1, 7) in log.index.tombstones


def test_a_new_base_ends_the_log_below_it() -> None:
    disk, log = new_log()
    records = chain_of(1, 9)
    base = LogPoint(1, 6, records[5].hash)
    write_batch(disk, log, AppendEntry(P1, 0, records[:4]))
    write_batch(disk, log, StateEntry(P1, state_of(7, base=base)))
    write_batch(disk, log, AppendEntry(P1, 7, records[6:]))
    _, replicas = recover(disk, NODE, {})
    assert [r.lsn for r in replicas[0].records] == [7, 8, 9]


def test_the_disk_is_synced_before_anything_read_is_believed() -> None:
    disk, log = new_log()
    disk.write_all(log.append([AppendEntry(P1, 0, chain_of(1, 1))]))
    killed = disk.copy()
    recover(killed, NODE)
    assert killed.pending == []


def test_a_damaged_superblock_is_replaced_by_the_other_one() -> None:
    disk, log = new_log()
    write_batch(disk, log, AppendEntry(P1, 0, chain_of(1, 2)))
    disk.flip_bit(100)
    _, replicas = recover(disk, NODE)
    assert len(replicas[0].records) == 2


def test_the_log_of_another_node_is_not_read() -> None:
    disk = MemDisk(300 * 4096)
    HotLog.create(disk, NODE)
    with pytest.raises(ValueError, match="node"):
        recover(disk, "00000000000000a2")  # type: ignore[arg-type]


def test_payloads_fill_their_blocks() -> None:
    _, log = new_log(Geometry(segment_blocks=64, segment_count=8, ring_blocks=32))
    writes = log.append([AppendEntry(P1, 0, [record_after(EMPTY_LOG, 1, bytes(20 * PAYLOAD_BYTES))])])
    assert len(writes[0][1]) // 4096 == 21


def test_a_replica_keeps_its_records_where_its_first_state_is_overwritten_and_a_tombstone_of_another_is_not() -> None:
    """Found by the simulator (seeds 164, 187): the latest state was taken for the first, and all before it for dead."""
    disk, log = new_log()
    records = chain_of(1, 4)
    write_batch(disk, log, StateEntry(P1, state_of(4, dropped=True)))
    write_batch(disk, log, StateEntry(P1, state_of(8)))
    filler: LogPoint = EMPTY_LOG
    for number in range(200):
        record = record_after(filler, 2, bytes(2500))
        filler = LogPoint(record.epoch, record.lsn, record.hash)
        write_batch(disk, log, AppendEntry(P2, record.lsn, [record]))
        log.release(P2, record.lsn)
        if number == 20:
            write_batch(disk, log, AppendEntry(P1, 3, records))
        if number == 21:
            write_batch(disk, log, StateEntry(P1, state_of(8, promised=2)))
        _, replicas = recover(disk.copy(), NODE, {P2: filler})
        if number > 21:
            mine = next(replica for replica in replicas if replica.partition == P1)
            assert [r.lsn for r in mine.records] == [1, 2, 3, 4], f"after {number} batches"
            assert (mine.commit_lsn, mine.state) == (3, state_of(8, promised=2))
