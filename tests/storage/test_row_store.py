"""Rows and the LSN applied to them are one: no crash leaves the one without the other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keystead_core.ids import PartitionId
from keystead_node.storage.faults import DiskFailed
from keystead_node.storage.row_store import RowBudget, RowStoreDamaged
from keystead_node.storage.row_stores import RowStores

P1, P2 = PartitionId(1), PartitionId(2)
BUDGET = RowBudget(cache_bytes=4 << 20, write_buffers_bytes=4 << 20, write_buffer_bytes=64 << 10)


@pytest.fixture
def stores(tmp_path: Path) -> RowStores:
    return RowStores(tmp_path, BUDGET)


def test_rows_are_put_read_and_deleted(stores: RowStores) -> None:
    rows = stores.open(P1)
    rows.apply([(b"a", b"1"), (b"b", b"2"), (b"", b"0")], 3)
    rows.apply([(b"a", None), (b"b", b"3")], 4)
    assert [rows.get(key) for key in (b"", b"a", b"b", b"c")] == [b"0", None, b"3", None]
    assert rows.get_many([b"b", b"a"]) == [b"3", None]
    assert rows.applied_lsn == 4


def test_no_row_key_meets_what_the_store_keeps_about_itself(stores: RowStores) -> None:
    rows = stores.open(P1)
    rows.put_meta(b"base", b"17")
    rows.apply([(b"mapplied", b"x"), (b"applied", b"y"), (b"\xff", b"z")], 1)
    assert rows.applied_lsn == 1
    assert list(rows.scan_all()) == [(b"applied", b"y"), (b"mapplied", b"x"), (b"\xff", b"z")]
    assert rows.get_meta(b"base") == b"17"


def test_a_scan_keeps_order_bounds_and_limits(stores: RowStores) -> None:
    rows = stores.open(P1)
    rows.apply([(bytes([n]), bytes(100)) for n in range(250)], 1)
    found, more = rows.scan(b"\x05", b"\x0a", 100, 1 << 20)
    assert ([key[0] for key, _ in found], more) == ([5, 6, 7, 8, 9], False)
    found, more = rows.scan(b"\x05", None, 3, 1 << 20)
    assert ([key[0] for key, _ in found], more) == ([5, 6, 7], True)
    found, more = rows.scan(b"\x05", None, 100, 250)
    assert (len(found), more) == (3, True)
    found, more = rows.scan(b"", None, 250, 1 << 20)
    assert (len(found), more) == (250, False)
    assert rows.scan(b"\xfe", None, 1, 1) == ([], False)


def test_a_scan_goes_backwards_from_its_end(stores: RowStores) -> None:
    rows = stores.open(P1)
    rows.apply([(bytes([n]), bytes(100)) for n in range(250)], 1)
    for high, keys in ((b"\x0a", [9, 8, 7, 6, 5]), (b"\x09\x00", [9, 8, 7, 6, 5]), (b"\x05", [])):
        found, more = rows.scan(b"\x05", high, 100, 1 << 20, backwards=True)
        assert ([key[0] for key, _ in found], more) == (keys, False)
    found, more = rows.scan(b"\x05", None, 3, 1 << 20, backwards=True)
    assert ([key[0] for key, _ in found], more) == ([249, 248, 247], True)
    found, more = rows.scan(b"", None, 1000, 1 << 20, backwards=True)
    assert (len(found), found[-1][0], more) == (250, b"\x00", False)


def test_a_range_is_cleared_with_its_lsn(stores: RowStores) -> None:
    rows = stores.open(P1)
    rows.apply([(bytes([n]), b"x") for n in range(10)], 1)
    rows.clear(b"\x03", None, 2)
    assert ([key[0] for key, _ in rows.scan_all()], rows.applied_lsn) == ([0, 1, 2], 2)


def test_rows_are_durable_up_to_the_flush(stores: RowStores, tmp_path: Path) -> None:
    rows = stores.open(P1)
    rows.apply([(b"a", b"1")], 7)
    assert rows.durable_applied == 0
    assert rows.flush() == 7
    rows.apply([(b"a", b"2")], 8)
    assert rows.durable_applied == 7
    stores.close_all()
    assert RowStores(tmp_path, BUDGET).open(P1).durable_applied == 8


def test_only_databases_that_lag_are_flushed(stores: RowStores) -> None:
    lagging, fresh = stores.open(P1), stores.open(P2)
    lagging.apply([(b"a", bytes(RowBudget().lag_bytes))], 5)
    fresh.apply([(b"a", b"1")], 6)
    stores.flush_lagging(8)
    assert (lagging.durable_applied, fresh.durable_applied) == (5, 0)


def test_a_checkpoint_is_a_store_of_its_own(stores: RowStores, tmp_path: Path) -> None:
    rows = stores.open(P1)
    rows.apply([(b"a", b"1")], 7)
    assert rows.checkpoint(tmp_path / "copy") == 7
    rows.apply([(b"a", b"2")], 8)
    stores.install(P2, tmp_path / "copy")
    copy = stores.open(P2)
    assert (copy.get(b"a"), copy.applied_lsn, rows.get(b"a")) == (b"1", 7, b"2")


def test_a_dropped_store_is_gone(stores: RowStores) -> None:
    stores.open(P1).apply([(b"a", b"1")], 7)
    stores.drop(P1)
    assert stores.get_open(P1) is None
    assert not stores.path_of(P1).exists()
    assert stores.open(P1).applied_lsn == 0


def test_a_damaged_store_says_so(stores: RowStores) -> None:
    stores.open(P1).apply([(b"a", b"1")], 7)
    stores.close_all()
    (stores.path_of(P1) / "CURRENT").write_bytes(b"MANIFEST-000099\n")
    with pytest.raises((RowStoreDamaged, DiskFailed)):
        stores.open(P1)


KILLED = """
import sys
from pathlib import Path
from keystead_core.ids import PartitionId
from keystead_node.storage.row_store import RowBudget
from keystead_node.storage.row_stores import RowStores
budget = RowBudget(write_buffers_bytes=1 << 20, write_buffer_bytes=64 << 10)
rows = RowStores(Path(sys.argv[1]), budget).open(PartitionId(1))
lsn = rows.applied_lsn
while True:
    lsn += 1
    rows.apply([(bytes([part]), lsn.to_bytes(8, "big") * 40) for part in range(20)], lsn)
    if lsn % 500 == 0:
        print(rows.flush(), flush=True)
"""


def test_a_killed_process_leaves_rows_exactly_as_of_their_lsn(tmp_path: Path) -> None:
    flushed = 0
    for flushes in (1, 2, 4):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(flushes):
            flushed = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        stores = RowStores(tmp_path, BUDGET)
        rows = stores.open(P1)
        assert rows.applied_lsn >= flushed
        assert [value for _, value in rows.scan_all()] == [rows.applied_lsn.to_bytes(8, "big") * 40] * 20
        stores.close_all()
