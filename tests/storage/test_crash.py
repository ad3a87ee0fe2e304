"""Power failures at any moment, with any part of the unsynced writes lost: nothing synced is lost or comes back."""

import random

import pytest

from keystead_core.log.entries import AppendEntry, RecoveredReplica
from keystead_node.storage.geometry import Geometry
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.recovery import recover
from tests.storage.log_model import NODE, SMALL, Model, new_log, write_batch
from tests.storage.mem_disk import MemDisk


def difference_with_damage_in_flight(after: Model, before: Model, replicas: list[RecoveredReplica]) -> str:
    """ "" where the replicas hold `after`, but for records that `before` lacks, which may be damaged and named."""
    for replica in replicas:
        old = {record.hash for record in before.records[replica.partition]}
        whole = {record.lsn: record for record in after.records[replica.partition]}
        for damaged in replica.damaged:
            lost = whole.get(damaged.lsn)
            if lost is None or lost.hash != damaged.hash:
                return f"{damaged} never was in partition {replica.partition}"
            if damaged.hash in old:
                return f"{damaged} of partition {replica.partition} was synced"
        gone = {damaged.lsn for damaged in replica.damaged}
        after.records[replica.partition] = [record for lsn, record in whole.items() if lsn not in gone]
        replica.damaged = []
    return after.difference(replicas)


def repair(disk: MemDisk, log: HotLog, model: Model, replicas: list[RecoveredReplica]) -> None:
    """Writes the damaged records again, as if peers had sent them."""
    for replica in replicas:
        gone = {damaged.lsn for damaged in replica.damaged}
        lost = [record for record in model.records[replica.partition] if record.lsn in gone]
        if lost:
            write_batch(disk, log, AppendEntry(replica.partition, 0, lost))


@pytest.mark.parametrize("seed", range(24))
def test_a_crash_at_any_write_loses_at_most_what_was_not_synced(seed: int) -> None:
    chance = random.Random(seed)
    geometry = SMALL if seed % 2 else Geometry(segment_blocks=32, segment_count=8, ring_blocks=8)
    disk, log = new_log(geometry)
    model = Model(seed, body_bytes_max=chance.choice([200, 3000]))
    for _ in range(150):
        before = model.copy()
        writes = log.append(model.entries(chance.randint(0, 3)))
        crashes = chance.random() < 0.25
        if crashes:
            disk.write_all(writes[: chance.randint(0, len(writes))])
            share = chance.choice([0.0, 0.5, 0.9, 1.0])
            survives = [chance.random() < share for _ in range(4096)]
            disk = disk.crash(lambda number, survives=survives: survives[number])  # type: ignore[misc]
            log, replicas = recover(disk, NODE, model.sealed)
            as_after = difference_with_damage_in_flight(model.copy(), before, [*map(copy_of, replicas)])
            as_before = before.difference(replicas)
            assert not as_after or not as_before, f"neither after ({as_after}) nor before ({as_before}) the batch"
            if as_after:
                go_back(model, before)
            else:
                repair(disk, log, model, replicas)
        else:
            disk.write_all(writes)
            disk.sync()
            log.synced(log.last_batch)
        for partition in model.records:
            if len(model.records[partition]) > 8:
                model.seal(log, partition)
    _, replicas = recover(disk, NODE, model.sealed)
    assert model.difference(replicas) == ""


def copy_of(replica: RecoveredReplica) -> RecoveredReplica:
    return RecoveredReplica(
        replica.partition,
        replica.state,
        list(replica.records),
        replica.commit_lsn,
        0,
        damaged=list(replica.damaged),
        damaged_unknown=replica.damaged_unknown,
    )


def go_back(model: Model, before: Model) -> None:
    model.records, model.states = before.records, before.states
    model.commits, model.sealed = before.commits, before.sealed


def test_a_crash_while_segments_are_moved_loses_nothing_for_any_set_of_surviving_sectors() -> None:
    """Every batch from the first move on is cut off in many ways; the log that results must hold what was synced."""
    chance = random.Random(5)
    disk, log = new_log()
    model = Model(5, body_bytes_max=2500)
    idle = list(model.records)[:2]
    write_batch(disk, log, *model.entries(6, idle))
    busy = list(model.records)[2:]
    cut = 0
    while cut < 30:
        before = model.copy()
        oldest = log._oldest
        entries = model.entries(1, busy)
        is_moving = log.free_blocks < 2 * SMALL.reserve_blocks
        writes = log.append(entries)
        if is_moving:
            cut += 1
            for share in (0.0, 0.3, 0.7, 0.95):
                half = disk.copy()
                half.write_all(writes[: chance.randint(0, len(writes))])
                survives = [chance.random() < share for _ in range(4096)]
                half = half.crash(lambda number, survives=survives: survives[number])  # type: ignore[misc]
                _, replicas = recover(half, NODE, model.sealed)
                after = difference_with_damage_in_flight(model.copy(), before, [*map(copy_of, replicas)])
                assert not after or not before.difference(replicas)
        disk.write_all(writes)
        disk.sync()
        log.synced(log.last_batch)
        assert log._oldest >= oldest
        for partition in busy:
            model.seal(log, partition)
