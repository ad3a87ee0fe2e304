"""A data directory can be read by people: running, stopped or damaged, and nothing in it changes."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from keystead_core.ids import PartitionId
from keystead_core.log.entries import AppendEntry, SnipEntry, StateEntry
from keystead_node.storage.cold_log import ColdLog, DirectoryStore
from keystead_node.storage.disk import FileDisk, Volume
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.log_dump import dump
from tests.storage.log_model import chain_of, state_of

P1, P2 = PartitionId(1), PartitionId(2)
ONE = chain_of(1, 20, body_bytes=800)


def write(disk: FileDisk, log: HotLog, *entries: AppendEntry | SnipEntry | StateEntry) -> None:
    disk.write_all(log.append(list(entries)))
    disk.sync()
    log.synced(log.last_batch)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """An open volume with two partitions, the first of which is sealed up to LSN 10."""
    opened = Volume.open(tmp_path, "c1")
    disk = FileDisk.open(tmp_path / "hot.log", 4 << 20)
    log = HotLog.create(disk, opened.node_id)
    write(disk, log, StateEntry(P1, state_of(7)), AppendEntry(P1, 15, ONE))
    write(disk, log, AppendEntry(P2, 0, chain_of(2, 4)), SnipEntry(P2, 4, 2))
    ColdLog(DirectoryStore(tmp_path / "partitions" / "1" / "cold"), P1).seal(ONE[:10])
    return opened


def digest(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_a_running_node_can_be_dumped_without_changing_a_byte(volume: Volume) -> None:
    before = digest(volume.directory)
    found = dump(volume.directory)
    assert digest(volume.directory) == before
    assert (found.node, found.cluster, found.boot, found.damages) == (volume.node_id, "c1", 1, [])
    assert [[entry.kind for entry in batch.entries] for batch in found.batches] == [["state", "run"], ["run", "snip"]]
    first = found.partitions[0]
    assert [r.lsn for r in first.records] == list(range(11, 21))
    assert (first.cold[0].first_lsn, first.cold[0].last_lsn, first.commit_lsn) == (1, 10, 15)
    assert [r.lsn for r in found.partitions[1].records] == [1, 2, 3]


def test_a_dump_is_json(volume: Volume) -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(dump(volume.directory)))
    assert decoded["batches"][0]["entries"][1]["records"][0]["hash"] == f"{ONE[0].hash:016x}"


def test_a_dump_of_one_partition_shows_only_that(volume: Volume) -> None:
    found = dump(volume.directory, P2)
    assert [partition.partition for partition in found.partitions] == [2]
    assert {entry.partition for batch in found.batches for entry in batch.entries} == {2}


def test_damage_in_both_logs_is_told(volume: Volume) -> None:
    for name, at in (("hot.log", 0), ("partitions/1/cold", 60)):
        path = volume.directory / name
        path = path if path.is_file() else next(path.iterdir())
        data = bytearray(path.read_bytes())
        if not at:
            at = data.index(ONE[14].raw[100:140])
        data[at] ^= 1
        path.write_bytes(data)
    found = dump(volume.directory)
    told = "\n".join(found.damages)
    assert "batch 1 is damaged" in told
    assert f"partition 1: LSN 15 (hash {ONE[14].hash:016x}) is damaged" in told
    assert "cold segment" in told


def test_a_directory_without_a_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dump(tmp_path)


def test_a_lost_hot_log_is_told(volume: Volume) -> None:
    (volume.directory / "hot.log").unlink()
    assert dump(volume.directory).damages == ["hot.log is gone"]
