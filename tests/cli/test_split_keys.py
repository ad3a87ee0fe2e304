"""`keystead split --at`: the key that is meant, of a table and of a global index with any number of key attributes."""

import pytest
import typer
from msgspec.structs import replace

from keystead_cli.splitting import wanted_split
from keystead_core.cluster_map import ClusterMap, IndexDefinition, KeyAttribute, TableDefinition, index_table
from keystead_core.ids import PartitionId
from keystead_core.indexes.entries import IndexRule
from keystead_core.items import encode_checked_row
from keystead_core.keyspace import encode_text, make_row_key
from tests.pictures.maps import make_map, make_partition, make_table

Capture = pytest.CaptureFixture[str]
CITY, STREET, NUMBER, FLOOR = (KeyAttribute(*one) for one in (("city", "S"), ("street", "S"), ("no", "N"), ("fl", "N")))
INDEX = IndexDefinition(id=1, name="by-place", is_global=True, hash=[CITY, STREET], range=[NUMBER, FLOOR])
HOLDER = index_table("orders", "by-place")
ITEM = {"pk": {"S": "o1"}, "city": {"S": "Ulm"}, "street": {"S": "Hof"}, "no": {"N": "7"}, "fl": {"N": "2"}}


def make_indexed_map() -> ClusterMap:
    orders = replace(make_table("orders"), indexes=[INDEX])
    holder: TableDefinition = replace(make_table(HOLDER), hash_key=CITY, range_key=NUMBER, index_of="orders")
    partitions = [make_partition(2, "orders"), make_partition(3, HOLDER, (0, 2)), make_partition(4, HOLDER, (1, 2))]
    return make_map(3, [orders, holder], partitions)


def entry_key() -> bytes:
    """Where the index has the item."""
    rule = IndexRule(INDEX, KeyAttribute("pk", "S"), None)
    entry = rule.entry(make_row_key(encode_text("o1")), ITEM, encode_checked_row(ITEM, ""))
    assert entry is not None
    return entry[0]


def test_the_key_of_an_index_is_made_of_all_its_hash_attributes() -> None:
    at, sort = ["Ulm", "Hof"], ["7", "2"]
    whole = wanted_split(make_indexed_map(), HOLDER, at, sort, 0)
    alone = wanted_split(make_indexed_map(), HOLDER, at, [], 0)
    some = wanted_split(make_indexed_map(), HOLDER, at, sort[:1], 0)
    assert alone.at < some.at < whole.at < entry_key() and entry_key().startswith(whole.at)
    assert whole.at.startswith(some.at) and some.at.startswith(alone.at)
    holder = PartitionId(4 if entry_key()[0] & 0x80 else 3)
    assert {whole.partition, some.partition, alone.partition} == {holder}, "the one that holds the item's entry"


@pytest.mark.parametrize(
    ("at", "sort", "said"),
    [
        (["Ulm"], [], "is city, street: give --at once for each"),
        (["Ulm", "Hof", "x"], [], "is city, street: give --at once for each"),
        (["Ulm", "Hof"], ["7", "2", "1"], "is no, fl: --sort is given too often"),
        (["Ulm", "Hof"], ["seven"], "is no value of no (N)"),
        ([], ["7"], "--at which: it is missing"),
    ],
)
def test_a_key_that_is_none_is_refused(at: list[str], sort: list[str], said: str, capsys: Capture) -> None:
    with pytest.raises(typer.Exit):
        wanted_split(make_indexed_map(), HOLDER, at, sort, 0)
    assert said in capsys.readouterr().err


def test_a_table_has_one_hash_key_and_no_range_key_where_it_says_so(capsys: Capture) -> None:
    assert wanted_split(make_indexed_map(), "orders", ["o1"], [], 0).at == make_row_key(encode_text("o1"))
    with pytest.raises(typer.Exit):
        wanted_split(make_indexed_map(), "orders", ["o1"], ["x"], 0)
    assert "has no range key" in capsys.readouterr().err
