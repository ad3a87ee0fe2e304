"""Rows that are divided: whenever the copy is taken, the right half is what the rows were as of the split."""

import asyncio
import random
from pathlib import Path

import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.indexes.entries import encode_indexes
from keystead_core.indexes.feed import Forebear, encode_feed
from keystead_core.keyspace import encode_text, make_row_key
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.ops import encode_change
from keystead_core.log.record import Kind, Record, make_record
from keystead_core.split.record import Split, encode_split
from keystead_node.partition_store import PartitionStore, PartitionStores
from keystead_node.storage.row_layout import COLLECTIONS
from keystead_node.storage.row_store import RowStore
from keystead_node.storage.row_stores import RowStores
from tests.indexes.rows import BY_CITY, BY_PLACE, BY_WHEN, SOURCE, indexes, row

LEFT, RIGHT = PartitionId(3), PartitionId(9)
NAMES = ("ash", "birch", "cedar", "dogwood", "elm", "fir")
COLLECTION_KEYS = sorted(make_row_key(encode_text(name)) for name in NAMES)
AT = COLLECTION_KEYS[3]
MEMBERS = (ReplicaTarget(ReplicaId(1), NodeId("n"), "z", "voter"),)


def split_of(low: bytes = b"", at: bytes = AT, high: bytes | None = None, right: PartitionId = RIGHT) -> Split:
    return Split(right, low, at, high, MEMBERS, 0, 1, 1_000_000)


class Log:
    """Random changes of a few collections, a split of them in the midst, and changes of the left half behind it."""

    def __init__(self, seed: int, with_index: bool, split: Split) -> None:
        self.random = random.Random(seed)
        self.records: list[Record] = []
        if with_index:
            self.add(Kind.TABLE_DEFINITION, encode_indexes(indexes([BY_WHEN])))
        self.write(60, COLLECTION_KEYS)
        self.add(Kind.SPLIT, encode_split(split))
        self.split_lsn = self.records[-1].lsn
        self.write(30, [key for key in COLLECTION_KEYS if key < split.at])

    def add(self, kind: Kind, body: bytes) -> None:
        before: Record | LogPoint = self.records[-1] if self.records else EMPTY_LOG
        made = make_record(LEFT, 1, before.lsn + 1, kind, 1, before.hash, 1000, body)  # type: ignore[arg-type]
        self.records.append(made)

    def write(self, count: int, collections: list[bytes]) -> None:
        names = [name for name in NAMES if make_row_key(encode_text(name)) in collections]
        for _ in range(count):
            attributes = {"when": self.random.randrange(9)} if self.random.random() < 0.7 else {}
            key, value = row(
                self.random.choice(names), self.random.choice("123"), note="x" * self.random.randrange(40), **attributes
            )
            self.add(Kind.DATA, encode_change(key, value if self.random.random() < 0.8 else None))

    @property
    def point(self) -> LogPoint:
        record = self.records[self.split_lsn - 1]
        return LogPoint(record.epoch, record.lsn, record.hash)


def content(rows: RowStore) -> dict[int, list[tuple[bytes, bytes]]]:
    """All of the rows, of the entries of the local index, and of the counters of the collections."""
    return {space: rows.scan(b"", None, 10_000, 1 << 30, index=space)[0] for space in (0, BY_WHEN.id, COLLECTIONS)}


def in_range(found: dict[int, list[tuple[bytes, bytes]]], low: bytes, high: bytes | None) -> object:
    return {
        space: [(key, value) for key, value in rows if low <= key and (high is None or key < high)]
        for space, rows in found.items()
    }


def open_left(path: Path) -> tuple[PartitionStores, PartitionStore]:
    stores = PartitionStores(path, RowStores(path))
    return stores, stores.get(LEFT)


@pytest.mark.parametrize("with_index", [False, True])
@pytest.mark.parametrize("high", [None, COLLECTION_KEYS[5]], ids=["to the end", "to a key"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_copy_of_any_later_time_becomes_the_right_half_as_of_the_split(
    tmp_path: Path, seed: int, high: bytes | None, with_index: bool
) -> None:
    split = split_of(high=high)
    log = Log(seed, with_index, split)
    copies = [log.split_lsn, log.split_lsn + 1, *range(log.split_lsn + 2, len(log.records), 9), len(log.records)]

    async def run() -> None:
        stores, store = open_left(tmp_path)
        rows = await store.open()
        store.apply(log.records[: log.split_lsn], None)
        wanted = in_range(content(rows), split.at, high)
        assert wanted[0], "there are rows to be had"  # type: ignore[index]
        for lsn in copies:
            if rows.applied_lsn < lsn:
                store.apply(log.records[rows.applied_lsn : lsn], None)
            staged = tmp_path / f"staged-{lsn}"
            rows.checkpoint(staged)
            stores.make_right(staged, log.point, split)
            made = stores.row_stores.open_at(staged)
            assert content(made) == wanted
            assert (made.applied_lsn, made.row_range(), made.splits()) == (log.split_lsn, (split.at, high), [])
            assert made.indexes() == rows.indexes()
            made.close()
        stores.close()

    asyncio.run(run())


def test_the_left_half_lets_the_right_one_go_with_all_that_is_beside_its_rows(tmp_path: Path) -> None:
    split = split_of()
    log = Log(3, True, split)

    async def run() -> None:
        stores, store = open_left(tmp_path)
        rows = await store.open()
        store.apply(log.records, None)
        before = content(rows)
        assert rows.row_range() == (b"", AT) and rows.splits() == [(log.point, split)]
        assert in_range(before, AT, None) != {0: [], BY_WHEN.id: [], COLLECTIONS: []}
        rows.let_go(split)
        assert content(rows) == in_range(before, b"", AT)
        assert rows.splits() == [] and rows.row_range() == (b"", AT)
        rows.let_go(split)
        assert content(rows) == in_range(before, b"", AT), "once more changes nothing"
        stores.close()

    asyncio.run(run())


def test_rows_let_go_that_come_back_in_a_crash_are_let_go_again(tmp_path: Path) -> None:
    """What was not flushed is lost with the process; the split is then in the rows again, and says so."""
    split = split_of()
    log = Log(4, False, split)
    told: list[PartitionId] = []

    async def run() -> None:
        stores, store = open_left(tmp_path)
        rows = await store.open()
        store.apply(log.records, None)
        rows.checkpoint(tmp_path / "as-of-the-flush")
        rows.let_go(split)
        stores.close()
        back = PartitionStores(tmp_path / "b", RowStores(tmp_path / "b"))
        (back.directory(LEFT)).mkdir(parents=True)
        (tmp_path / "as-of-the-flush").rename(back.directory(LEFT) / "rows")
        back.on_split = told.append
        again = await back.get(LEFT).open()
        assert told == [LEFT] and again.splits() == [(log.point, split)]
        assert not back.is_in_range(LEFT, AT) and back.is_in_range(LEFT, COLLECTION_KEYS[0])
        again.let_go(split)
        assert all(key < AT for key, _ in again.scan_all())
        back.close()

    asyncio.run(run())


def test_two_splits_narrow_the_range_twice_and_are_let_go_one_by_one(tmp_path: Path) -> None:
    first, second = split_of(), split_of(at=COLLECTION_KEYS[1], high=AT, right=PartitionId(10))
    log = Log(5, True, first)
    log.add(Kind.SPLIT, encode_split(second))

    async def run() -> None:
        stores, store = open_left(tmp_path)
        rows = await store.open()
        store.apply(log.records, None)
        before = content(rows)
        assert rows.row_range() == (b"", COLLECTION_KEYS[1])
        assert [split.right for _, split in rows.splits()] == [RIGHT, PartitionId(10)]
        rows.let_go(first)
        assert content(rows) == in_range(before, b"", AT)
        staged = tmp_path / "staged"
        rows.checkpoint(staged)
        point = LogPoint(1, log.records[-1].lsn, log.records[-1].hash)
        stores.make_right(staged, point, second)
        made = stores.row_stores.open_at(staged)
        assert content(made) == in_range(before, COLLECTION_KEYS[1], AT)
        made.close()
        stores.close()

    asyncio.run(run())


def test_a_store_says_which_keys_are_still_its_own(tmp_path: Path) -> None:
    split = split_of()
    log = Log(6, False, split)
    told: list[PartitionId] = []

    async def run() -> None:
        stores, store = open_left(tmp_path)
        stores.on_split = told.append
        await store.open()
        store.apply(log.records[: log.split_lsn - 1], None)
        assert stores.is_in_range(LEFT, AT) and told == []
        store.apply(log.records[log.split_lsn - 1 : log.split_lsn + 5], None)
        assert told == [LEFT]
        assert not stores.is_in_range(LEFT, AT) and stores.is_in_range(LEFT, AT[:-1])
        staged = tmp_path / "staged"
        assert store.rows is not None
        store.rows.checkpoint(staged)
        stores.make_right(staged, log.point, split)
        stores.replace_rows(RIGHT, staged, log.point)
        await stores.get(RIGHT).open()
        assert stores.is_in_range(RIGHT, AT) and not stores.is_in_range(RIGHT, AT[:-1])
        assert stores.get(RIGHT).applied_lsn == log.split_lsn
        stores.drop(RIGHT)
        assert RIGHT not in stores.ranges
        stores.close()

    asyncio.run(run())


def test_the_right_half_begins_beside_its_rows_as_of_the_split_however_late_the_copy(tmp_path: Path) -> None:
    """Places of sources, indexes and kept changes: what the left half took and kept behind the split is not its own."""
    split = split_of()
    key, value = row(NAMES[0], "1", city="Rome", when=1)
    other = row(NAMES[5], "1", city="Rome", when=1)
    left, right = ((key, value), other) if key < other[0] else (other, (key, value))
    log = Log(7, False, split)
    log.records.clear()
    log.add(Kind.TABLE_DEFINITION, encode_indexes(indexes([BY_CITY])))
    log.add(Kind.DATA, encode_change(*left))
    log.add(Kind.DATA, encode_change(*right))
    log.add(Kind.INDEX_FEED, encode_feed(SOURCE, 41, []))
    log.add(Kind.SPLIT, encode_split(split))
    log.split_lsn = log.records[-1].lsn
    log.add(Kind.DATA, encode_change(left[0], None))
    log.add(Kind.INDEX_FEED, encode_feed(SOURCE, 57, []))
    log.add(Kind.TABLE_DEFINITION, encode_indexes(indexes([BY_CITY, BY_PLACE], version=2)))

    async def run() -> None:
        stores, store = open_left(tmp_path)
        rows = await store.open()
        for count in (log.split_lsn, len(log.records)):
            store.apply(log.records[rows.applied_lsn : count], None)
            staged = tmp_path / f"staged-{count}"
            rows.checkpoint(staged)
            stores.make_right(staged, log.point, split)
            made = stores.row_stores.open_at(staged)
            assert [lsn for lsn, _ in made.changes(0, 100, 100, 1 << 20)] == [2, 3], "of both halves, up to the split"
            assert made.fed() == {SOURCE: 41} and made.fed_upto(SOURCE) == 41
            assert made.forebears() == [Forebear(LEFT, log.split_lsn)]
            assert made.indexes() == encode_indexes(indexes([BY_CITY]))
            made.close()
        assert rows.fed() == {SOURCE: 57} and rows.forebears() == []
        stores.close()

    asyncio.run(run())


def test_who_goes_on_for_a_group_that_was_given_up_has_all_of_it_beside_the_rows_too(tmp_path: Path) -> None:
    log = Log(7, False, split_of())
    log.records.clear()
    log.add(Kind.TABLE_DEFINITION, encode_indexes(indexes([BY_CITY])))
    log.add(Kind.DATA, encode_change(*row(NAMES[0], "1", city="Rome", when=1)))
    log.add(Kind.INDEX_FEED, encode_feed(SOURCE, 41, []))
    last = log.records[-1]
    point = LogPoint(last.epoch, last.lsn, last.hash)

    async def run() -> None:
        stores, store = open_left(tmp_path)
        rows = await store.open()
        store.apply(log.records, None)
        rows.checkpoint(tmp_path / "staged")
        stores.make_heir(tmp_path / "staged", LEFT, point, (b"", None))
        made = stores.row_stores.open_at(tmp_path / "staged")
        assert content(made) == content(rows) and made.applied_lsn == last.lsn
        assert [lsn for lsn, _ in made.changes(0, 100, 100, 1 << 20)] == [2]
        assert made.forebears() == [Forebear(LEFT, last.lsn)], "what is kept goes out in the old name first"
        assert made.fed() == {SOURCE: 41} and made.indexes() == rows.indexes()
        made.close()
        stores.close()

    asyncio.run(run())
