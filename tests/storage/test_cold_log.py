"""The cold log: gapless, verified before it is visible, readable from any LSN, trimmed only where nobody needs it."""

from pathlib import Path

import pytest

from keystead_core.ids import PartitionId
from keystead_core.log.entries import LogPoint
from keystead_node.storage.cold_log import ColdError, ColdLog, DirectoryStore, SegmentDamaged
from keystead_node.storage.faults import FileIo
from tests.storage.log_model import chain_of

P1 = PartitionId(1)
RECORDS = chain_of(1, 90, body_bytes=500)


def cold_log(path: Path) -> ColdLog:
    return ColdLog(DirectoryStore(path / "cold", FileIo()), P1)


@pytest.fixture
def log(tmp_path: Path) -> ColdLog:
    made = cold_log(tmp_path)
    for begin in (0, 30, 60):
        made.seal(RECORDS[begin : begin + 30])
    return made


def test_a_sealed_log_is_there_after_a_restart(log: ColdLog, tmp_path: Path) -> None:
    again = cold_log(tmp_path)
    last = RECORDS[-1]
    assert (again.start_lsn, again.end) == (1, LogPoint(last.epoch, last.lsn, last.hash))
    assert [r.raw for r in again.read_from(1, 1 << 30)] == [r.raw for r in RECORDS]


@pytest.mark.parametrize("lsn", [1, 2, 29, 30, 31, 60, 61, 90])
def test_reading_starts_anywhere_and_stops_at_the_limit(log: ColdLog, lsn: int) -> None:
    assert [r.lsn for r in log.read_from(lsn, 1)] == [lsn]
    found = log.read_from(lsn, 5 * len(RECORDS[0].raw))
    assert [r.lsn for r in found] == list(range(lsn, min(lsn + 5, 91)))
    assert [r.lsn for r in log.read_from(lsn, 1 << 30)] == list(range(lsn, 91))


def test_nothing_is_read_from_outside(log: ColdLog) -> None:
    assert log.read_from(91, 1000) == []
    assert log.read_from(0, 1000) == []


def test_a_segment_that_does_not_follow_is_refused(log: ColdLog, tmp_path: Path) -> None:
    other = chain_of(1, 120, body_bytes=10)
    more = chain_of(1, 95, body_bytes=500)
    for wrong in ([], other[90:100], more[91:95], RECORDS[80:90], chain_of(2, 91)[90:]):
        with pytest.raises(ColdError):
            log.seal(wrong)
    assert log.end.lsn == 90
    assert len(list((tmp_path / "cold").iterdir())) == 3


class Forgetful(DirectoryStore):
    """A disk that gives back another byte than it was given, at one place of every file."""

    def read_temporary(self, name: str) -> bytes:
        data = bytearray(super().read_temporary(name))
        data[self.at] ^= 1
        return bytes(data)

    at = 0


@pytest.mark.parametrize("at", [0, 9, 1000, -100, -60, -20, -1])
def test_a_segment_that_is_read_back_otherwise_is_not_sealed(at: int, tmp_path: Path) -> None:
    store = Forgetful(tmp_path / "cold", FileIo())
    store.at = at
    log = ColdLog(store, P1)
    with pytest.raises(ColdError):
        log.seal(RECORDS)
    assert log.segments == []


def test_a_half_written_segment_is_not_visible_and_is_cleared_away(log: ColdLog, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "cold", FileIo())
    name = log.segments[0].file.replace("0030-", "0099-")
    store.write_temporary(name, b"half")
    assert cold_log(tmp_path).end.lsn == 90
    assert not list((tmp_path / "cold").glob("*.tmp"))


def test_a_damaged_segment_is_named_and_the_others_are_read(log: ColdLog, tmp_path: Path) -> None:
    path = tmp_path / "cold" / log.segments[1].file
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    again = cold_log(tmp_path)
    assert again.end == log.end
    assert [r.lsn for r in again.read_from(61, 1 << 30)] == list(range(61, 91))
    with pytest.raises(SegmentDamaged) as error:
        again.read_from(45, 1000)
    assert error.value.name == log.segments[1]
    again.repair(RECORDS[30:60])
    assert [r.lsn for r in again.read_from(1, 1 << 30)] == list(range(1, 91))


def test_a_damaged_segment_is_repaired_only_by_the_same_records(log: ColdLog) -> None:
    with pytest.raises(ColdError):
        log.repair(chain_of(1, 60, body_bytes=20)[30:])


def test_a_lost_segment_is_missing(log: ColdLog, tmp_path: Path) -> None:
    (tmp_path / "cold" / log.segments[1].file).unlink()
    again = cold_log(tmp_path)
    assert (again.missing, again.start_lsn, again.end.lsn) == ([(31, 60)], 61, 90)
    assert [r.lsn for r in again.read_from(25, 1 << 30)] == list(range(25, 31))


def test_trimming_keeps_what_is_pinned_and_the_newest(log: ColdLog) -> None:
    log.pin("backup", 40, now=5)
    assert [name.first_lsn for name in log.trim(90)] == [1]
    assert log.start_lsn == 31
    log.pin("backup", 95, now=9)
    assert [(pin.owner, pin.lsn, pin.since) for pin in log.pins()] == [("backup", 95, 5)]
    log.trim(90)
    assert (log.start_lsn, log.end.lsn) == (61, 90)


def test_old_pins_are_broken_and_named(log: ColdLog) -> None:
    log.pin("slow", 1, now=5)
    log.pin("new", 50, now=50)
    assert [pin.owner for pin in log.break_pins(before=20)] == ["slow"]
    log.trim(90)
    assert log.start_lsn == 31


def test_a_log_that_is_reset_starts_anywhere(log: ColdLog, tmp_path: Path) -> None:
    log.reset()
    log.seal(RECORDS[50:70])
    assert (cold_log(tmp_path).start_lsn, cold_log(tmp_path).end.lsn) == (51, 70)
