"""What a replica writes beside its rows: the same on every replica, whatever the batches are."""

import asyncio
import contextlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from keystead_core.ids import Lsn, PartitionId
from keystead_core.indexes.entries import PartitionIndexes, encode_indexes
from keystead_core.indexes.feed import (
    decode_changes_read,
    decode_feed,
    decode_row_changed,
    encode_changes_read,
    encode_feed,
)
from keystead_core.keyspace import encode_text, next_key
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.ops import ChangesError, encode_change
from keystead_core.log.record import Kind, Record, make_record
from keystead_node.partition_store import PartitionStore, PartitionStores
from keystead_node.storage.row_layout import COLLECTIONS
from keystead_node.storage.row_stores import RowStores
from tests.indexes.rows import ALL, BY_CITY, BY_WHEN, SOURCE, indexes, row, rows

P = PartitionId(2)


class Log:
    """Records of one partition, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, kind: Kind, body: bytes) -> "Log":
        before: Record | LogPoint = self.records[-1] if self.records else EMPTY_LOG
        made = make_record(P, 1, before.lsn + 1, kind, 1, before.hash, 1000, body)  # type: ignore[arg-type]
        self.records.append(made)
        return self

    def write(self, key: bytes, value: bytes | None) -> "Log":
        return self.add(Kind.DATA, encode_change(key, value))

    def define(self, kept: PartitionIndexes) -> "Log":
        return self.add(Kind.TABLE_DEFINITION, encode_indexes(kept))


async def apply(path: Path, batches: list[list[Record]]) -> tuple[PartitionStores, PartitionStore]:
    stores = PartitionStores(path, RowStores(path))
    store = stores.get(P)
    await store.open()
    for batch in batches:
        store.apply(batch, None)
    return stores, store


def entries(store: PartitionStore, index: int) -> list[tuple[bytes, bytes]]:
    assert store.rows is not None
    return store.rows.scan(b"", None, 1000, 1 << 20, index=index)[0]


def kept(store: PartitionStore, after: Lsn = 0) -> list[tuple[Lsn, bytes, bytes | None, bytes | None]]:
    assert store.rows is not None
    found = store.rows.changes(after, store.applied_lsn, 1000, 1 << 20)
    decoded = [(lsn, decode_row_changed(data)) for lsn, data in found]
    return [(lsn, changed.row_key, changed.old, changed.new) for lsn, changed in decoded]


def test_a_partition_keeps_entries_and_changes_from_the_record_of_its_indexes_on(tmp_path: Path) -> None:
    key, first = row("x", "1", when=5, city="Rome")
    _, second = row("x", "1", when=2, city="Rome")
    log = Log().write(key, first).define(indexes(ALL)).write(key, second).write(key, None)

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records[:1], log.records[1:3]])
        assert [value for _, value in entries(store, BY_WHEN.id)] == [second]
        assert kept(store) == [(3, key, first, second)]
        store.apply(log.records[3:], None)
        assert entries(store, BY_WHEN.id) == []
        assert kept(store, after=3) == [(4, key, second, None)]
        stores.close()

    asyncio.run(run())


def test_rows_of_one_record_are_brought_like_those_of_several(tmp_path: Path) -> None:
    several = [row("x", str(number), when=number, city="Rome") for number in range(5)]
    deleted = several[2][0]
    body = b"".join([*(encode_change(*one) for one in several[3:]), encode_change(deleted, None)])
    apart, together = Log().define(indexes(ALL)), Log().define(indexes(ALL))
    for log in (apart, together):
        for one in several[:3]:
            log.write(*one)
    for one in several[3:]:
        apart.write(*one)
    apart.write(deleted, None)
    together.add(Kind.DATA, body)

    async def run() -> None:
        (first, one), (second, other) = [
            await apply(tmp_path / name, [log.records[:2], log.records[2:]])
            for name, log in (("apart", apart), ("together", together))
        ]
        assert entries(other, BY_WHEN.id) == entries(one, BY_WHEN.id) != []
        assert one.rows is not None and other.rows is not None
        counted = [store.rows.scan(b"", None, 9, 999, index=COLLECTIONS) for store in (one, other) if store.rows]
        assert counted[0] == counted[1] != []
        assert [change[1:] for change in kept(other)] == [change[1:] for change in kept(one)]
        assert [lsn for lsn, *_ in kept(other)][-3:] == [5, 5, 5]
        assert len(other.rows.changes(4, 5, 1, 1)) == 3, "all of an LSN, or none"
        for stores in (first, second):
            stores.close()

    asyncio.run(run())


def test_what_the_items_of_a_partition_key_take_up_is_counted(tmp_path: Path) -> None:
    (first, value), (second, other) = row("x", "1", when=5), row("x", "2", city="Rome")
    log = Log().define(indexes(ALL)).write(first, value).write(second, other).write(*row("y", "1"))
    collection = first[: -len(encode_text("1"))]

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records])
        assert store.rows is not None
        assert store.rows.collection_bytes(collection) == 2 * len(value) + len(other), "an item, and its entry"
        assert store.rows.scan(collection, next_key(collection), 9, 999, index=COLLECTIONS)[0] != []
        store.apply(log.write(first, None).write(second, None).records[-2:], None)
        assert store.rows.scan(b"", None, 9, 999, index=COLLECTIONS)[0] != [], "the other partition key's"
        assert store.rows.collection_bytes(collection) == 0
        stores.close()

    asyncio.run(run())


def test_old_values_are_right_where_the_indexes_come_in_the_midst_of_a_batch(tmp_path: Path) -> None:
    key, first = row("x", "1", when=5, city="Rome")
    _, second = row("x", "1", when=2, city="Rome")
    log = Log().write(key, first).define(indexes(ALL)).write(key, second)

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records])
        assert kept(store) == [(3, key, first, second)]
        stores.close()

    asyncio.run(run())


def test_changes_that_all_indexes_have_are_let_go(tmp_path: Path) -> None:
    log = Log().define(indexes([BY_CITY]))
    for number in range(5):
        log.write(*row("x", str(number), city="Rome", when=number))
    log.add(Kind.CHANGES_READ, encode_changes_read(4))

    async def run() -> None:
        stores, store = await apply(tmp_path, [[record] for record in log.records])
        assert [lsn for lsn, *_ in kept(store)] == [5, 6]
        stores.close()

    asyncio.run(run())


def test_without_a_global_index_no_changes_are_kept(tmp_path: Path) -> None:
    log = Log().define(indexes([BY_WHEN, BY_CITY])).write(*row("x", "1", city="Rome", when=1))
    log.define(indexes([BY_WHEN], version=2)).write(*row("x", "2", city="Rome", when=1))

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records])
        assert kept(store) == []
        assert len(entries(store, BY_WHEN.id)) == 2
        stores.close()

    asyncio.run(run())


def test_an_older_definition_changes_nothing(tmp_path: Path) -> None:
    log = Log().define(indexes(ALL, version=5)).define(indexes([BY_WHEN], version=4))

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records])
        assert store.indexer is not None and store.indexer.indexes == indexes(ALL, version=5)
        stores.close()

    asyncio.run(run())


def test_a_restart_knows_the_indexes_and_what_is_yet_to_be_brought(tmp_path: Path) -> None:
    key, value = row("x", "1", city="Rome", when=1)
    log = Log().define(indexes(ALL)).write(key, value)

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records])
        assert store.rows is not None
        store.rows.flush()
        stores.close()
        stores, store = await apply(tmp_path, [])
        assert store.indexer is not None and store.indexer.indexes == indexes(ALL)
        assert kept(store) == [(2, key, None, value)]
        stores.close()

    asyncio.run(run())


def test_a_batch_of_changes_and_where_it_ends_come_together(tmp_path: Path) -> None:
    log = Log().add(Kind.INDEX_FEED, encode_feed(SOURCE, 9, [(b"e1", b"v1"), (b"e2", b"v2")]))
    log.add(Kind.INDEX_FEED, encode_feed(SOURCE, 12, [(b"e1", None)]))

    async def run() -> None:
        stores, store = await apply(tmp_path, [log.records])
        assert store.rows is not None
        assert (store.rows.get(b"e1"), store.rows.get(b"e2")) == (None, b"v2")
        assert (store.rows.fed_upto(SOURCE), store.rows.fed_upto(P)) == (12, 0)
        stores.close()

    asyncio.run(run())


@given(writes=st.lists(rows(), max_size=10), cuts=st.sets(st.integers(1, 10)))
def test_batches_make_no_difference(
    tmp_path_factory: "object", writes: list[tuple[bytes, bytes | None]], cuts: set[int]
) -> None:
    log = Log().define(indexes(ALL))
    for key, value in writes:
        log.write(key, value)
    whole, batch = [log.records], []
    batches = []
    for record in log.records:
        batch.append(record)
        if record.lsn in cuts:
            batches.append(batch)
            batch = []
    if batch:
        batches.append(batch)

    async def run(parts: list[list[Record]]) -> object:
        stores, store = await apply(tmp_path_factory.mktemp("rows"), parts)  # type: ignore[attr-defined]
        found = kept(store), entries(store, BY_WHEN.id)
        stores.close()
        return found

    assert asyncio.run(run(whole)) == asyncio.run(run(batches))


@given(st.binary(max_size=60))
def test_damaged_bodies_are_refused(body: bytes) -> None:
    for decode in (decode_feed, decode_changes_read):
        with contextlib.suppress(ChangesError):
            decode(body)
