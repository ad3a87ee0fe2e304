"""The rows of a partition follow its log, also where what they lack stands in the cold log alone."""

import asyncio
from pathlib import Path

import pytest

from keystead_core.ids import PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.ops import encode_change
from keystead_core.log.record import Record
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
