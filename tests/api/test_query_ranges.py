"""The range of a query holds exactly the row keys whose sort keys satisfy its condition."""

import operator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.cluster_map import KeyAttribute
from keystead_core.expressions import KeyComparison, KeyCondition, KeySchema
from keystead_core.items import ItemError
from keystead_core.keyspace import KeyRange, encode_part, make_row_key
from keystead_core.query_ranges import query_range
from tests.api.test_row_keys import NUMBERS, TEXTS

HASH = KeyAttribute("pk", "S")
COMPARISONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def row(partition: str, kind: str, sort: str) -> bytes:
    return make_row_key(encode_part("S", partition), encode_part(kind, sort))


def range_of(kind: str, symbol: str = "", operands: tuple[Any, ...] = (), partition: str = "p") -> KeyRange:
    """What a query of a table with a range key of that kind reads. `symbol` "": any range key."""
    values = tuple({kind: operand} for operand in operands)
    last = KeyComparison("sk", symbol, values) if symbol else None
    return query_range(KeySchema((HASH,), (KeyAttribute("sk", kind),)), KeyCondition((partition,), (), last))


def is_in(key: bytes, key_range: KeyRange) -> bool:
    return key_range.low <= key and (key_range.high is None or key < key_range.high)


def holds(kind: str, symbol: str, operands: tuple[Any, ...], key: bytes) -> bool:
    return is_in(key, range_of(kind, symbol, operands))


@given(NUMBERS, NUMBERS, st.sampled_from(sorted(COMPARISONS)))
def test_numbers_are_compared(sort: str, operand: str, symbol: str) -> None:
    expected = COMPARISONS[symbol](Decimal(sort), Decimal(operand))
    assert holds("N", symbol, (operand,), row("p", "N", sort)) == expected


@given(TEXTS.filter(len), TEXTS.filter(len), st.sampled_from(sorted(COMPARISONS)))
def test_texts_are_compared_by_their_bytes(sort: str, operand: str, symbol: str) -> None:
    expected = COMPARISONS[symbol](sort.encode(), operand.encode())
    assert holds("S", symbol, (operand,), row("p", "S", sort)) == expected


@given(TEXTS, TEXTS.filter(len))
def test_begins_with_holds_what_begins_so(sort: str, prefix: str) -> None:
    for text in (sort, prefix + sort):
        assert holds("S", "begins_with", (prefix,), row("p", "S", text)) == text.startswith(prefix)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_between_includes_both_ends(sort: str, low: str, high: str) -> None:
    expected = Decimal(low) <= Decimal(sort) <= Decimal(high)
    assert holds("N", "BETWEEN", (low, high), row("p", "N", sort)) == expected


@given(TEXTS.filter(len), TEXTS.filter(len), NUMBERS)
def test_another_partition_key_is_never_in_it(own: str, other: str, sort: str) -> None:
    assert is_in(row(other, "N", sort), range_of("N", partition=own)) == (own == other)


def test_binaries_are_given_in_base64() -> None:
    key = make_row_key(encode_part("S", "p"), encode_part("B", b"\x00\xff\x01"))
    assert holds("B", "begins_with", ("AP8=",), key)


@pytest.mark.parametrize("symbol", ["=", "begins_with"])
def test_an_empty_key_is_refused_as_in_an_item(symbol: str) -> None:
    with pytest.raises(ItemError, match=r"empty string value\. Key: sk"):
        range_of("S", symbol, ("",))


MANY = KeySchema(
    (KeyAttribute("t", "S"), KeyAttribute("r", "N")),
    (KeyAttribute("x", "S"), KeyAttribute("y", "N"), KeyAttribute("z", "S")),
    "index",
)
SHORT = st.sampled_from(["a", "ab", "b", "\x00", "\x00\x01"])
FEW = st.sampled_from(["-1", "0", "1", "10"])
ENTRIES = st.tuples(SHORT, FEW, SHORT, FEW, SHORT)


@given(ENTRIES, ENTRIES, st.integers(0, 2), st.sampled_from(["", *COMPARISONS]), st.binary(max_size=4))
def test_a_key_of_many_attributes_is_compared_attribute_by_attribute(
    entry: tuple[str, ...], asked: tuple[str, ...], equals: int, symbol: str, behind: bytes
) -> None:
    kinds = [key.type for key in MANY.attributes]
    parts = [encode_part(kind, content) for kind, content in zip(kinds, entry, strict=True)]
    key = make_row_key(b"".join(parts[:2]), b"".join(parts[2:])) + behind
    attribute = MANY.range[equals]
    last = KeyComparison(attribute.name, symbol, ({attribute.type: asked[2 + equals]},)) if symbol else None
    order = Decimal if attribute.type == "N" else str.encode
    is_selected = entry[: 2 + equals] == asked[: 2 + equals] and (
        not symbol or COMPARISONS[symbol](order(entry[2 + equals]), order(asked[2 + equals]))
    )
    condition = KeyCondition(asked[:2], asked[2 : 2 + equals], last)
    assert is_in(key, query_range(MANY, condition)) == is_selected
