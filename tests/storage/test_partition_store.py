"""The rows of a partition follow its log, also where what they lack stands in the cold log alone."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from keystead_core.ids import PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.ops import decode_changes, encode_change
from keystead_core.log.record import HEADER_BYTES, Record
from keystead_node.errors import NotMaster
from keystead_node.partition_store import PartitionStores
from keystead_node.storage.row_stores import RowStores
from tests.storage.log_model import record_after

P = PartitionId(1)


def changes(count: int) -> list[Record]:
    records: list[Record] = []
    previous: Record | LogPoint = EMPTY_LOG
    for number in range(count):
        previous = record_after(previous, 1, encode_change(b"k%d" % (number % 3), b"v%d" % number))
        records.append(previous)
    return records


def test_rows_go_on_from_a_cold_log_that_is_trimmed_up_to_them(tmp_path: Path) -> None:
    records = changes(12)
    lost: list[PartitionId] = []

    async def run() -> None:
        stores = PartitionStores(tmp_path, RowStores(tmp_path))
        stores.on_rows_lost = lost.append
        stores.cold_bytes_max = 0
        store = stores.get(P)
        rows = await store.open()
        store.apply(records[:5], None)
        rows.flush()
        store.seal(records[:5])
        store.seal(records[5:8], keep_lsn=3)
        assert store.cold.start_lsn == 1, "a copy under way goes on from there"
        store.seal(records[8:9])
        assert store.cold.start_lsn == 1, "a restart learns the members from what is above the durable base"
        store.released_lsn = 5
        store.seal(records[9:10])
        assert store.cold.start_lsn == 6
        store.apply(records[10:], None)
        assert (store.applied_lsn, rows.get(b"k1")) == (12, b"v10")
        stores.close()

    asyncio.run(run())
    assert lost == []


def test_rows_that_a_crash_left_behind_the_log_reach_it_before_anybody_sees_them(tmp_path: Path) -> None:
    """Found by the simulator (263191). No record need follow that brings them on: not to an idle follower's reader, nor
    to a master that cannot commit before it has copied its rows."""
    records = changes(9)

    async def run() -> None:
        stores = PartitionStores(tmp_path, RowStores(tmp_path))
        stores.get(P).seal(records[:5])
        stores.get(P).seal(records[5:])
        rows = await stores.get(P).open()
        assert rows.applied_lsn == 0
        stores.get(P).owe(5)
        assert (rows.applied_lsn, rows.get(b"k1")) == (5, b"v4")
        stores.close()
        stores = PartitionStores(tmp_path, RowStores(tmp_path))
        stores.get(P).owe(9)
        rows = await stores.get(P).open()
        assert (stores.get(P).applied_lsn, rows.get(b"k1")) == (9, b"v7")
        stores.close()

    asyncio.run(run())


def test_rows_to_which_no_log_leads_are_lost_and_nobody_sees_them(tmp_path: Path) -> None:
    """Also not the empty ones that would take the place of the directory that is gone."""
    records = changes(9)
    lost: list[PartitionId] = []

    async def run() -> None:
        stores = PartitionStores(tmp_path, RowStores(tmp_path))
        stores.on_rows_lost = lost.append
        store = stores.get(P)
        store.seal(records[4:])
        store.owe(9)
        with pytest.raises(NotMaster):
            await store.open()
        assert lost == [P]
        await stores.open_all()
        stores.close()

    asyncio.run(run())


@pytest.mark.parametrize("moment", ["before the open began", "in its middle"])
@pytest.mark.parametrize("what", ["dropped", "replaced"])
def test_rows_that_go_while_they_are_being_opened_are_never_seen(tmp_path: Path, what: str, moment: str) -> None:
    """Found by killing nodes during a rescale: the database that was opened late stood for the partition from then on,
    over files that were gone: its writes failed at the next flush, and the copy that had come was never read."""

    async def run() -> None:
        row_stores = RowStores(tmp_path / "here")
        stores = PartitionStores(tmp_path / "here", row_stores)
        applied: list[int] = []
        stores.on_applied = lambda partition, lsn: applied.append(lsn)
        go_on, opening = threading.Event(), threading.Event()
        options = row_stores._options

        def wait_in_the_middle() -> Any:
            opening.set()
            go_on.wait()
            return options()

        store = stores.get(P)
        if moment == "in its middle":
            row_stores._options = wait_in_the_middle  # type: ignore[method-assign]
        else:
            busy = [stores.in_thread(go_on.wait) for _ in range(2)]
        store.apply(changes(3), None)
        late = asyncio.ensure_future(store.open())
        await asyncio.sleep(0)
        if moment == "in its middle":
            await asyncio.get_running_loop().run_in_executor(None, opening.wait)
        # The end of an open that is under way is waited for: so it has to end by itself.
        threading.Timer(0.1, go_on.set).start()
        if what == "replaced":
            stores.replace_rows(P, copy_of_rows(tmp_path), LogPoint(1, 5, 0))
        else:
            stores.drop(P)
        if moment == "before the open began":
            go_on.set()
            await asyncio.gather(*busy)
        with pytest.raises(NotMaster):
            await late
        row_stores._options = options  # type: ignore[method-assign]
        assert applied == [], "nobody is told of what waited for rows that are gone"
        rows = await stores.get(P).open()
        assert (rows.applied_lsn, rows.get(b"k0")) == ((5, b"v3") if what == "replaced" else (0, None))
        stores.get(P).apply(changes(6)[5:] if what == "replaced" else changes(6), None)
        rows.flush()
        stores.close()
        assert RowStores(tmp_path / "here").open(P).applied_lsn == 6

    asyncio.run(run())


def copy_of_rows(tmp_path: Path) -> Path:
    """Rows that hold five changes, as a copy brings them."""
    rows = RowStores(tmp_path / "elsewhere")
    store = rows.open(P)
    store.apply([change for record in changes(5) for change in decode_changes(record.raw, HEADER_BYTES)], 5, None)
    store.checkpoint(tmp_path / "staged")
    rows.close_all()
    return tmp_path / "staged"
