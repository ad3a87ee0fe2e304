"""Tables with indexes, and rows of them, for tests."""

from typing import Any

from hypothesis import strategies as st

from keystead_core.cluster_map import IndexDefinition, KeyAttribute
from keystead_core.ids import PartitionId
from keystead_core.indexes.entries import PartitionIndexes, RowIndexer
from keystead_core.items import Item, encode_row
from keystead_core.keyspace import encode_text, make_row_key

SOURCE = PartitionId(7)
HASH, RANGE = KeyAttribute("pk", "S"), KeyAttribute("sk", "S")
BY_WHEN = IndexDefinition(name="by-when", id=1, is_global=False, hash=[HASH], range=[KeyAttribute("when", "N")])
BY_CITY = IndexDefinition(
    name="by-city",
    id=2,
    is_global=True,
    hash=[KeyAttribute("city", "S")],
    range=[KeyAttribute("when", "N")],
    projection="KEYS_ONLY",
)
BY_PLACE = IndexDefinition(
    name="by-place",
    id=3,
    is_global=True,
    hash=[KeyAttribute("city", "S"), KeyAttribute("street", "S")],
    projection="INCLUDE",
    included=["note"],
)
ALL = [BY_WHEN, BY_CITY, BY_PLACE]


def indexes(kept: list[IndexDefinition], version: int = 1, filled: list[int] | None = None) -> PartitionIndexes:
    ids = [index.id for index in kept if index.is_global] if filled is None else filled
    return PartitionIndexes(version, HASH, RANGE, kept, ids)


def indexer(*kept: IndexDefinition) -> RowIndexer:
    return RowIndexer(indexes(list(kept)))


def row(pk: str, sk: str, **attributes: Any) -> tuple[bytes, bytes]:
    """Row key and value of an item; numbers become N, all else S."""
    item: Item = {"pk": {"S": pk}, "sk": {"S": sk}}
    for name, content in attributes.items():
        item[name] = {"N": str(content)} if isinstance(content, int) else {"S": content}
    return make_row_key(encode_text(pk), encode_text(sk)), encode_row(item)[0]


words = st.sampled_from(["a", "b", "ab", ""])
"""An empty text may be an attribute, but no key."""


@st.composite
def rows(draw: st.DrawFn) -> tuple[bytes, bytes | None]:
    """A write of one of a few rows; value None: a delete."""
    pk, sk = draw(st.sampled_from("xy")), draw(st.sampled_from("12"))
    attributes: dict[str, Any] = {}
    for name in ("city", "street", "note"):
        if draw(st.booleans()):
            attributes[name] = draw(words)
    if draw(st.booleans()):
        attributes["when"] = draw(st.one_of(st.integers(0, 3), words))
    key, value = row(pk, sk, **attributes)
    return key, draw(st.sampled_from([value, value, value, None]))
