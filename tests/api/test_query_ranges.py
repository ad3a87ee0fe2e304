"""The range of a query holds exactly the row keys whose sort keys satisfy its condition."""

import operator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.cluster_map import KeyAttribute
from keystead_core.items import ItemError
from keystead_core.keyspace import encode_part, make_row_key
from keystead_core.query_ranges import query_range
from tests.api.test_row_keys import NUMBERS, TEXTS

HASH = KeyAttribute("pk", "S")
COMPARISONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def row(partition: str, kind: str, sort: str) -> bytes:
    return make_row_key(encode_part("S", partition), encode_part(kind, sort))


def holds(kind: str, symbol: str, operands: tuple[Any, ...], key: bytes) -> bool:
    low, high = query_range(HASH, "p", KeyAttribute("sk", kind), symbol, operands)
    return low <= key and (high is None or key < high)


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
    low, high = query_range(HASH, own, KeyAttribute("sk", "N"))
    key = row(other, "N", sort)
    assert (low <= key and (high is None or key < high)) == (own == other)


def test_binaries_are_given_in_base64() -> None:
    low, high = query_range(HASH, "p", KeyAttribute("sk", "B"), "begins_with", ("AP8=",))
    key = make_row_key(encode_part("S", "p"), encode_part("B", b"\x00\xff\x01"))
    assert low <= key and high is not None and key < high


@pytest.mark.parametrize("symbol", ["=", "begins_with"])
def test_an_empty_key_is_refused_as_in_an_item(symbol: str) -> None:
    with pytest.raises(ItemError, match=r"empty string value\. Key: sk"):
        query_range(HASH, "p", KeyAttribute("sk", "S"), symbol, ("",))
