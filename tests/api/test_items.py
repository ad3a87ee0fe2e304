"""Items: what is stored, what is refused, and what an item counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.items import (
    ItemError,
    ItemShapeError,
    RowFormatError,
    check_attributes,
    decode_row,
    encode_row,
    row_json,
    row_size,
)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "leaf"}
    for _ in range(levels):
        value = {"M": {"n": value}}
    return value


def test_a_row_holds_a_format_byte_and_compact_json() -> None:
    value, size = encode_row({"id": {"S": "a\u00e9"}, "n": {"N": "1.50"}, "l": {"L": [{"NS": ["1.0"]}]}})
    assert value == '\x01{"id":{"S":"aé"},"n":{"N":"1.5"},"l":{"L":[{"NS":["1"]}]}}'.encode()
    assert bytes(row_json(value)) == value[1:]
    assert row_size(value) == size == (2 + 3) + (1 + 3) + (1 + 3 + 1 + 2)


@pytest.mark.parametrize(
    ("attribute", "size"),
    [
        ({"S": "é"}, 2),
        ({"B": "AAA="}, 2),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"M": {}}, 3),
        ({"L": []}, 3),
        ({"M": {"ab": {"S": "c"}}}, 7),
        ({"SS": ["a", "bc", ""]}, 3),
        ({"BS": ["AAA=", "AA=="]}, 3),
        ({"NS": ["1", "-1"]}, 5),
    ],
)
def test_an_attribute_counts_as_the_service_counts_it(attribute: dict[str, Any], size: int) -> None:
    assert check_attributes({"x": attribute}) == 1 + size


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "N": "1"},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes",
        ),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
        (
            {"BS": ["AA==", "AA=="]},
            "One or more parameter values were invalid: Input collection [AA==, AA==]of type BS contains duplicates.",
        ),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        ({"N": "x"}, "The parameter cannot be converted to a numeric value: x"),
        ({"L": [{"M": {"a": {"N": "1" * 39}}}]}, "Attempting to store more than 38 significant digits in a Number"),
        (
            nested(32),
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
            "supported limit",
        ),
    ],
)
def test_a_bad_value_is_refused_in_the_services_words(attribute: dict[str, Any], message: str) -> None:
    with pytest.raises(ItemError) as refused:
        check_attributes({"x": attribute})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "attribute",
    [
        {"S": 1},
        {"N": 1},
        {"B": "A"},
        {"B": "AB=="},
        {"B": "é"},
        {"BOOL": "true"},
        {"NULL": 1},
        {"L": {}},
        {"M": []},
        {"SS": "a"},
        {"SS": [1]},
        {"BS": [None]},
        {"L": ["x"]},
        {"M": {"a": None}},
        {"X": "a"},
    ],
)
def test_content_that_does_not_fit_its_type_is_no_dynamodb_json(attribute: dict[str, Any]) -> None:
    with pytest.raises(ItemShapeError):
        check_attributes({"x": attribute})


def test_thirty_one_levels_of_nesting_are_taken() -> None:
    check_attributes({"x": nested(31)})


def test_an_item_of_exactly_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    _, size = encode_row({"pk": {"S": "a"}, "p": {"S": "x" * (409_600 - 4)}})
    assert size == 409_600
    with pytest.raises(ItemError, match=r"^Item size has exceeded the maximum allowed size$"):
        encode_row({"pk": {"S": "a"}, "p": {"S": "x" * (409_600 - 3)}})


SCALARS = (
    st.builds(lambda s: {"S": s}, st.text(st.characters(exclude_categories=["Cs"])))
    | st.builds(lambda n: {"N": str(n)}, st.integers(-(10**38) + 1, 10**38 - 1))
    | st.builds(lambda b: {"BOOL": b}, st.booleans())
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(lambda members: {"L": members}, st.lists(inner, max_size=3))
        | st.builds(lambda members: {"M": members}, st.dictionaries(st.text("abc"), inner, max_size=3))
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcé", min_size=1), VALUES))
def test_rows_decode_to_the_item_and_the_size_that_went_in(item: dict[str, dict[str, Any]]) -> None:
    value, size = encode_row(item)
    assert decode_row(value) == item
    assert row_size(value) == size


@given(st.binary(max_size=30))
def test_decoding_any_bytes_returns_or_says_they_are_no_row(data: bytes) -> None:
    for candidate in (data, b"\x01" + data):
        try:
            decode_row(candidate)
        except RowFormatError as error:
            assert str(error)
