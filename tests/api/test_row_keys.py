"""Row keys order as their values do, decode back, and their ranges cover the space."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.cluster_map import KeyAttribute, TableDefinition
from keystead_core.item_keys import range_behind, row_key_of_item, row_key_of_key
from keystead_core.items import Item, ItemError
from keystead_core.keyspace import (
    KeyDecodeError,
    KeyRange,
    decode_row_key,
    encode_binary,
    encode_number,
    encode_part,
    encode_text,
    hash_range,
    make_row_key,
    next_key,
    split_ranges,
)
from keystead_core.numbers import normalise_number

NUMBERS = st.builds(
    lambda digits, exponent, negative: f"{'-' if negative else ''}{digits}e{exponent - len(str(digits)) + 1}",
    st.integers(0, 10**38 - 1) | st.integers(0, 200),
    st.integers(-130, 125) | st.integers(-2, 2),
    st.booleans(),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("\x00\x01\xff")
BINARIES = st.binary() | st.lists(st.sampled_from([0, 1, 255])).map(bytes)


@given(NUMBERS, NUMBERS)
def test_number_parts_order_as_numbers(left: str, right: str) -> None:
    a, b = Decimal(left), Decimal(right)
    assert (encode_number(left) < encode_number(right)) == (a < b)
    assert (encode_number(left) == encode_number(right)) == (a == b)


@given(TEXTS, TEXTS)
def test_text_parts_order_as_utf8(left: str, right: str) -> None:
    assert (encode_text(left) < encode_text(right)) == (left.encode() < right.encode())


@given(BINARIES, BINARIES)
def test_binary_parts_order_as_bytes(left: bytes, right: bytes) -> None:
    assert (encode_binary(left) < encode_binary(right)) == (left < right)


@given(BINARIES, BINARIES, BINARIES, BINARIES)
def test_parts_laid_end_to_end_order_as_pairs(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    joined = encode_binary(a) + encode_binary(b), encode_binary(c) + encode_binary(d)
    assert (joined[0] < joined[1]) == ((a, b) < (c, d))


@given(TEXTS, NUMBERS, BINARIES)
def test_row_keys_decode_to_their_values(text: str, number: str, binary: bytes) -> None:
    values: dict[str, str | bytes] = {"S": text, "N": normalise_number(number), "B": binary}
    for partition_type, partition in values.items():
        for sort_type, sort in values.items():
            key = make_row_key(encode_part(partition_type, partition), encode_part(sort_type, sort))
            assert decode_row_key(key, partition_type, sort_type) == (partition, sort)
        alone = make_row_key(encode_part(partition_type, partition))
        assert decode_row_key(alone, partition_type, None) == (partition, None)


@given(st.binary(max_size=40), st.sampled_from("SNB"), st.sampled_from(["S", "N", "B", None]))
def test_decoding_any_bytes_returns_or_says_they_are_no_row_key(data: bytes, hash_type: str, sort: str | None) -> None:
    part = data[8:]
    for candidate in (data, make_row_key(part)):
        try:
            partition, sort_value = decode_row_key(candidate, hash_type, sort)
        except KeyDecodeError:
            continue
        parts = encode_part(hash_type, partition) + (
            encode_part(sort, sort_value) if sort and sort_value is not None else b""
        )
        assert candidate[8:] == parts


@given(st.integers(1, 300))
def test_split_ranges_are_disjoint_and_cover_everything(count: int) -> None:
    ranges = split_ranges(count)
    assert ranges[0].low == b"" and ranges[-1].high is None
    for left, right in itertools.pairwise(ranges):
        assert left.high == right.low and left.low < right.low
    assert ranges == [hash_range(index, count) for index in range(count)]


def test_the_next_key_has_nothing_before_it() -> None:
    assert next_key(b"a") == b"a\x00"
    assert range_behind(b"a", KeyRange(b"", b"b")) == (b"a\x00", b"b")
    assert range_behind(b"b", KeyRange(b"", b"b")) is None


def table(hash_type: str = "S", range_type: str | None = None) -> TableDefinition:
    return TableDefinition(
        name="orders",
        table_id="t1",
        hash_key=KeyAttribute("pk", hash_type),
        range_key=KeyAttribute("sk", range_type) if range_type else None,
        partitions=1,
        replicas=3,
        write_quorum=0,
        durable_zones=1,
        created_at=0.0,
        status="ACTIVE",
    )


def test_an_item_and_its_key_have_the_same_row() -> None:
    composite = table("S", "N")
    item: Item = {"sk": {"N": "5"}, "pk": {"S": "a"}, "other": {"BOOL": True}}
    assert row_key_of_item(composite, item) == row_key_of_key(composite, {"pk": {"S": "a"}, "sk": {"N": "5"}})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({}, "The provided key element does not match the schema"),
        ({"pk": {"N": "1"}, "sk": {"B": "AA=="}}, "The provided key element does not match the schema"),
        ({"pk": {"S": "a"}, "other": {"S": "a"}}, "The provided key element does not match the schema"),
        (
            {"pk": {"S": ""}, "sk": {"B": "AA=="}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
            "an empty string value. Key: pk",
        ),
        (
            {"pk": {"S": "a"}, "sk": {"B": ""}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
            "an empty binary value. Key: sk",
        ),
        (
            {"pk": {"S": "é" * 1024 + "x"}, "sk": {"B": "AA=="}},
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 "
            "bytes",
        ),
        (
            {"pk": {"S": "a"}, "sk": {"B": "AAAA" * 341 + "AAA="}},
            "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit "
            "of 1024 bytes",
        ),
    ],
)
def test_a_bad_key_is_refused_in_the_services_words(key: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(ItemError) as refused:
        row_key_of_key(table("S", "B"), key)
    assert str(refused.value) == message


def test_keys_of_exactly_the_largest_size_are_taken() -> None:
    key = {"pk": {"S": "\x00" * 2048}, "sk": {"S": "\x00" * 1024}}
    assert decode_row_key(row_key_of_key(table("S", "S"), key), "S", "S") == ("\x00" * 2048, "\x00" * 1024)
