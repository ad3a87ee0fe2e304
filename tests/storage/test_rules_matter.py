"""Each rule of the storage is a method that a test build can take away; without it, stored data goes wrong."""

import pytest

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import EMPTY_LOG, AppendEntry, LogPoint, RecoveredReplica, SnipEntry, StateEntry
from keystead_node.storage import recovery
from keystead_node.storage.block import BLOCK_BYTES, BlockRules
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.recovery import recover
from tests.storage.log_model import NODE, SMALL, chain_of, new_log, record_after, state_of, write_batch
from tests.storage.mem_disk import MemDisk

P1, P2 = PartitionId(1), PartitionId(2)
KEPT = chain_of(1, 9, body_bytes=200)


def reused_log_with_a_snip() -> tuple[MemDisk, HotLog, LogPoint]:
    """LSN 10 was snipped; then other records filled the log until the snip's segment was given up."""
    disk, log = new_log()
    write_batch(disk, log, StateEntry(P1, state_of(7)), AppendEntry(P1, 9, KEPT))
    write_batch(disk, log, AppendEntry(P1, 9, [record_after(KEPT[8], 1, b"snipped")]))
    write_batch(disk, log, SnipEntry(P1, 10, 2))
    filler = EMPTY_LOG
    while log._oldest <= SMALL.first_block:
        record = record_after(filler, 2, bytes(2500))
        filler = LogPoint(record.epoch, record.lsn, record.hash)
        write_batch(disk, log, AppendEntry(P2, record.lsn, [record]))
        log.release(P2, record.lsn)
    write_batch(disk, log, StateEntry(P2, state_of(8)))
    return disk, log, filler


def lsns_of_one(replicas: list[RecoveredReplica]) -> list[Lsn]:
    return [record.lsn for record in replicas[0].records]


def test_a_stale_segment_that_is_accepted_shows_as_what_never_happened() -> None:
    class StaleAccepted(BlockRules):
        def is_current(self, logical_block: int, oldest: int) -> bool:
            return True

    disk, _, filler = reused_log_with_a_snip()
    right, _ = recover(disk.copy(), NODE, {P2: filler})
    wrong, _ = recover(disk.copy(), NODE, {P2: filler}, block_rules=StaleAccepted())
    assert right.report.damaged == right.report.unknown == []
    assert wrong.report.batches > right.report.batches


def test_a_torn_block_that_is_accepted_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, log = new_log()
    write_batch(disk, log, AppendEntry(P1, 0, KEPT[:3]))
    write_batch(disk, log, AppendEntry(P1, 0, KEPT[3:]))
    disk.flip_bit(SMALL.place_of(SMALL.first_block) * BLOCK_BYTES + 600)
    right, _ = recover(disk.copy(), NODE, {})
    assert right.report.damaged == [1]
    monkeypatch.setattr(BlockRules, "sum_is_right", lambda self, data: True)
    wrong, _ = recover(disk.copy(), NODE, {})
    assert wrong.report.damaged == []


def test_a_misdirected_write_is_seen_twice_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where blocks are not asked for their place, the chain of batches misses the batch that was overwritten."""
    disk, log = new_log()
    for begin in (0, 3, 6):
        write_batch(disk, log, AppendEntry(P1, 0, KEPT[begin : begin + 3]))
    source, target = (SMALL.place_of(SMALL.first_block + number) * BLOCK_BYTES for number in (2, 1))
    for data in (disk.durable, disk.visible):
        data[target : target + BLOCK_BYTES] = data[source : source + BLOCK_BYTES]
    for is_planted in (False, True):
        if is_planted:
            monkeypatch.setattr(BlockRules, "is_in_place", lambda self, header, node, block: True)
        log, replicas = recover(disk.copy(), NODE, {})
        assert log.report.damaged == [2]
        assert [damaged.lsn for damaged in replicas[0].damaged] == [4, 5, 6]


def test_damage_taken_for_torn_loses_what_was_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedule 14."""
    disk, log = new_log()
    write_batch(disk, log, AppendEntry(P1, 0, KEPT[:3]))
    write_batch(disk, log, AppendEntry(P1, 0, KEPT[3:]))
    disk.flip_bit(SMALL.place_of(SMALL.first_block + 1) * BLOCK_BYTES + 2000)
    _, replicas = recover(disk.copy(), NODE, {})
    assert replicas[0].damaged
    monkeypatch.setattr(recovery.Recovery, "is_damage", lambda self, found, synced: False)
    _, replicas = recover(disk.copy(), NODE, {})
    assert (lsns_of_one(replicas), replicas[0].damaged) == ([1, 2, 3], [])


def test_a_snip_that_is_not_durable_brings_the_dead_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedule 7."""

    def forgotten(self: HotLog, *arguments: object) -> None:
        return None

    for is_planted in (False, True):
        if is_planted:
            monkeypatch.setattr(HotLog, "_add_snip", forgotten)
        disk, log = new_log()
        write_batch(disk, log, AppendEntry(P1, 9, KEPT))
        write_batch(disk, log, SnipEntry(P1, 8, 2))
        _, replicas = recover(disk, NODE, {})
        assert lsns_of_one(replicas) == list(range(1, 10 if is_planted else 8))
