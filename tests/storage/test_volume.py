"""A volume: one process, one cluster, one identity that dies with its log; and disks that fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keystead_core.ids import NodeId, PartitionId
from keystead_core.log.entries import AppendEntry
from keystead_node.storage.cold_log import ColdLog, DirectoryStore
from keystead_node.storage.disk import (
    DiskFailed,
    DiskFull,
    FileDisk,
    Volume,
    VolumeInUse,
    VolumeNotWritable,
    VolumeTooNew,
    WrongCluster,
)
from keystead_node.storage.faults import ENVIRONMENT
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.recovery import recover
from tests.storage.log_model import chain_of

P1 = PartitionId(1)
HOT_BYTES = 2 << 20


def form(path: Path) -> NodeId:
    """A volume with a hot log, closed again; returns its node id."""
    volume = Volume.open(path, "c1")
    disk = FileDisk.open(path / "hot.log", HOT_BYTES)
    HotLog.create(disk, volume.node_id)
    disk.close()
    volume.close()
    return volume.node_id


def test_the_identity_stays_and_the_boot_number_rises(tmp_path: Path) -> None:
    node = form(tmp_path)
    for boot in (2, 3):
        volume = Volume.open(tmp_path, "c1")
        assert (volume.node_id, volume.boot, volume.was_empty) == (node, boot, False)
        volume.close()


def test_two_empty_volumes_get_two_ids(tmp_path: Path) -> None:
    assert form(tmp_path / "a") != form(tmp_path / "b")


def test_a_volume_without_its_log_comes_back_as_a_new_node(tmp_path: Path) -> None:
    node = form(tmp_path)
    (tmp_path / "partitions" / "1").mkdir(parents=True)
    (tmp_path / "hot.log").unlink()
    volume = Volume.open(tmp_path, "c1")
    assert volume.node_id != node
    assert volume.was_empty
    assert not (tmp_path / "partitions").exists()
    assert (tmp_path / "renounced-1" / "partitions" / "1").exists()


def test_a_log_that_was_never_formed_does_not_count(tmp_path: Path) -> None:
    Volume.open(tmp_path, "c1").close()
    FileDisk.open(tmp_path / "hot.log", HOT_BYTES).close()
    volume = Volume.open(tmp_path, "c1")
    assert volume.was_empty
    assert not (tmp_path / "hot.log").exists()


def test_a_renounced_volume_is_empty_at_the_next_start(tmp_path: Path) -> None:
    node = form(tmp_path)
    volume = Volume.open(tmp_path, "c1")
    volume.renounce()
    volume.close()
    again = Volume.open(tmp_path, "c1")
    assert (again.was_empty, again.boot) == (True, 1)
    assert again.node_id != node


HOLD = """
import sys
from pathlib import Path
from keystead_node.storage.disk import Volume
volume = Volume.open(Path(sys.argv[1]), "c1")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_volume_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    form(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    before = (tmp_path / "identity").read_bytes()
    with pytest.raises(VolumeInUse):
        Volume.open(tmp_path, "c1")
    assert (tmp_path / "identity").read_bytes() == before
    holder.communicate()
    Volume.open(tmp_path, "c1").close()


def test_a_volume_of_another_cluster_is_refused_and_left_alone(tmp_path: Path) -> None:
    form(tmp_path)
    before = (tmp_path / "identity").read_bytes()
    with pytest.raises(WrongCluster, match="c1"):
        Volume.open(tmp_path, "c2")
    assert (tmp_path / "identity").read_bytes() == before


def test_a_volume_of_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    form(tmp_path)
    newer = json.dumps({"format": 2, "something": "else"})
    (tmp_path / "identity").write_text(newer)
    with pytest.raises(VolumeTooNew):
        Volume.open(tmp_path, "c1")
    assert (tmp_path / "identity").read_text() == newer


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VolumeNotWritable):
        Volume.open(tmp_path / "file" / "data", "c1")


def test_a_refused_volume_can_be_opened_rightly(tmp_path: Path) -> None:
    form(tmp_path)
    with pytest.raises(WrongCluster):
        Volume.open(tmp_path, "c2")
    Volume.open(tmp_path, "c1").close()


def test_a_log_on_a_real_file_recovers(tmp_path: Path) -> None:
    node = form(tmp_path)
    disk = FileDisk.open(tmp_path / "hot.log", 0)
    log, _ = recover(disk, node)
    records = chain_of(1, 50)
    disk.write_all(log.append([AppendEntry(P1, 0, records)]))
    disk.sync()
    disk.close()
    _, replicas = recover(FileDisk.open(tmp_path / "hot.log", 0), node)
    assert [r.raw for r in replicas[0].records] == [r.raw for r in records]


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "faults.json"
    monkeypatch.setenv(ENVIRONMENT, str(path))
    return path


def test_a_failed_sync_a_failed_write_and_a_failed_read_are_final(tmp_path: Path, faults: Path) -> None:
    disk = FileDisk.open(tmp_path / "hot.log", HOT_BYTES)
    disk.write(0, b"x")
    disk.sync()
    for number, (fault, operation) in enumerate(
        [("fail_fsync", disk.sync), ("eio_write", lambda: disk.write(0, b"x")), ("eio_read", lambda: disk.read(0, 1))]
    ):
        faults.write_text(json.dumps({fault: True}) + " " * number)
        with pytest.raises(DiskFailed):
            operation()
    faults.unlink()
    assert disk.read(0, 1) == b"x"


def test_a_full_file_system_stops_segments_and_not_the_hot_log(tmp_path: Path, faults: Path) -> None:
    form(tmp_path)
    volume = Volume.open(tmp_path, "c1")
    disk = FileDisk.open(tmp_path / "hot.log", HOT_BYTES)
    cold = ColdLog(DirectoryStore(tmp_path / "cold"), P1)
    assert volume.space_level() == 0
    faults.write_text(json.dumps({"enospc": True}))
    assert volume.space_level() == 2
    with pytest.raises(DiskFull):
        cold.seal(chain_of(1, 3))
    assert not list((tmp_path / "cold").iterdir())
    disk.write(4096, b"promise")
    disk.sync()
    faults.unlink()
    cold.seal(chain_of(1, 3))
    assert cold.end.lsn == 3


def test_faults_touch_only_the_path_they_name(tmp_path: Path, faults: Path) -> None:
    disk = FileDisk.open(tmp_path / "hot.log", HOT_BYTES)
    faults.write_text(json.dumps({"eio_read": True, "path": "cold"}))
    assert disk.read(0, 4) == bytes(4)


def test_no_fault_is_looked_for_without_the_switch(tmp_path: Path) -> None:
    assert ENVIRONMENT not in os.environ
    disk = FileDisk.open(tmp_path / "hot.log", HOT_BYTES)
    disk.sync()
    assert type(disk._io).__name__ == "FileIo"
