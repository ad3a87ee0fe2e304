"""What of a row is in its table's indexes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from keystead_core.cluster_map import IndexDefinition, KeyAttribute, TableDefinition
from keystead_core.ids import PartitionId
from keystead_core.indexes.entries import IndexRule, decode_indexes, encode_indexes, indexes_of, with_filled
from keystead_core.items import decode_row
from keystead_core.keyspace import encode_number, encode_text, make_row_key
from tests.indexes.rows import ALL, BY_CITY, BY_PLACE, BY_WHEN, HASH, RANGE, indexer, row, rows


def rule(index: IndexDefinition) -> IndexRule:
    return IndexRule(index, HASH, RANGE)


def test_an_entry_of_a_global_index_lies_by_the_keys_of_the_index_and_then_by_those_of_the_item() -> None:
    key, value = row("x", "1", city="Rome", when=3, note="long")
    found = rule(BY_CITY).entry(key, decode_row(value), value)
    assert found is not None
    assert found[0] == make_row_key(encode_text("Rome"), encode_number("3")) + encode_text("x") + encode_text("1")
    assert decode_row(found[1]) == {name: decode_row(value)[name] for name in ("pk", "sk", "city", "when")}


def test_an_entry_of_a_local_index_lies_with_its_partition_key_by_the_range_key_of_the_index() -> None:
    key, value = row("x", "1", when=3)
    found = rule(BY_WHEN).entry(key, decode_row(value), value)
    assert found == (make_row_key(encode_text("x"), encode_number("3")) + encode_text("1"), value)


def test_an_index_with_several_hash_attributes_needs_them_all() -> None:
    key, value = row("x", "1", city="Rome", street="Via Appia", note="n", other="o")
    found = rule(BY_PLACE).entry(key, decode_row(value), value)
    assert found is not None and found[0].startswith(make_row_key(encode_text("Rome") + encode_text("Via Appia")))
    assert set(decode_row(found[1])) == {"pk", "sk", "city", "street", "note"}
    key, value = row("x", "1", city="Rome")
    assert rule(BY_PLACE).entry(key, decode_row(value), value) is None


def test_what_may_be_no_key_keeps_an_item_out_of_the_index() -> None:
    for attributes in ({"city": "", "when": 1}, {"city": 5, "when": 1}, {"city": "R" * 3000, "when": 1}):
        key, value = row("x", "1", **attributes)
        assert rule(BY_CITY).entry(key, decode_row(value), value) is None


def test_a_change_of_what_is_not_projected_changes_no_entry() -> None:
    key, old = row("x", "1", city="Rome", when=3, note="a")
    _, new = row("x", "1", city="Rome", when=3, note="b")
    assert indexer(BY_CITY).global_changes(key, old, new) == []
    changed = indexer(BY_WHEN).local_changes(key, old, new).entries
    assert [(index, value) for index, (_, value) in changed] == [(BY_WHEN.id, new)]


def test_an_item_that_moves_in_an_index_leaves_its_old_place() -> None:
    key, old = row("x", "1", city="Rome", when=3)
    _, new = row("x", "1", city="Oslo", when=3)
    changes = [change for _, change in indexer(BY_CITY).global_changes(key, old, new)]
    assert [value is None for _, value in changes] == [True, False]
    assert changes[0][0] != changes[1][0]


@given(st.lists(rows(), max_size=12))
def test_entries_brought_up_by_changes_are_those_of_the_rows(writes: list[tuple[bytes, bytes | None]]) -> None:
    table: dict[bytes, bytes] = {}
    entries: dict[tuple[int, bytes], bytes] = {}
    collections: Counter[bytes] = Counter()
    all_indexes = indexer(*ALL)
    for key, new in writes:
        old = table.pop(key, None)
        if new is not None:
            table[key] = new
        local = all_indexes.local_changes(key, old, new)
        collections[local.collection] += local.grown
        changes = list(local.entries)
        changes += [(one.index.id, change) for one, change in all_indexes.global_changes(key, old, new)]
        for index, (entry, value) in changes:
            if value is None:
                del entries[index, entry]
            else:
                entries[index, entry] = value
    expected = {}
    for key, value in table.items():
        for index in ALL:
            found = rule(index).entry(key, decode_row(value), value)
            if found is not None:
                expected[index.id, found[0]] = found[1]
    assert entries == expected
    for pk in "xy":
        collection = make_row_key(encode_text(pk))
        stored = [len(value) for key, value in table.items() if key.startswith(collection)]
        kept = [value for (index, key), value in entries.items() if index == BY_WHEN.id and key.startswith(collection)]
        assert collections[collection] == sum(stored) + sum(map(len, kept))


def test_a_partition_knows_which_indexes_still_lack_its_older_rows() -> None:
    partition = PartitionId(4)
    coming = IndexDefinition(
        name="new", id=4, is_global=True, hash=[KeyAttribute("note", "S")], filling=[partition], status="CREATING"
    )
    table = TableDefinition(
        name="orders", table_id="t", hash_key=HASH, range_key=RANGE, partitions=1, replicas=3, write_quorum=0,
        durable_zones=1, created_at=0.0, status="ACTIVE", indexes=[*ALL, coming], index_version=9,
    )  # fmt: skip
    found = indexes_of(table, partition)
    assert found.filled == [BY_CITY.id, BY_PLACE.id], "what the table was made with has no older rows to be brought"
    after = with_filled(found, coming.id)
    assert after.is_newer_than(found) and not found.is_newer_than(after)
    assert decode_indexes(encode_indexes(after)) == after
    assert indexes_of(table, partition, after.filled).filled == after.filled
