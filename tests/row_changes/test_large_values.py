"""What is done differently where values are large comes to the same."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.expressions import Placeholders, matches, read_condition
from keystead_core.expressions.values import SHORT_LIST
from keystead_core.items import (
    ITEM_BYTES_MAX,
    ItemError,
    check_attributes,
    encode_checked_row,
    encode_item,
    encode_row,
)

TEXTS = st.text("aé\U0001f980\n", max_size=3)
NUMBERS = st.sampled_from(["0", "7", "-7", "10", "0.5", "99", "1E125", "-9.99E-130", "1" * 38])
SCALARS = (
    st.builds(lambda text: {"S": text}, TEXTS)
    | st.builds(lambda number: {"N": number}, NUMBERS)
    | st.builds(lambda text: {"B": text}, st.sampled_from(["", "AA==", "AAA=", "AAAA"]))
    | st.builds(lambda value: {"BOOL": value}, st.booleans())
    | st.just({"NULL": True})
)
SETS = st.builds(lambda members: {"SS": members}, st.lists(TEXTS, min_size=1, max_size=3, unique=True)) | st.builds(
    lambda members: {"NS": members}, st.lists(NUMBERS, min_size=1, max_size=3, unique=True)
)
VALUES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    SCALARS | SETS,
    lambda inner: (
        st.builds(lambda members: {"L": members}, st.lists(inner, max_size=3))
        | st.builds(lambda members: {"M": members}, st.dictionaries(TEXTS, inner, max_size=3))
    ),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_an_item_is_no_larger_than_its_json(item: Any) -> None:
    assert check_attributes(item) <= len(encode_item(item))


@given(st.lists(VALUES, max_size=4), VALUES, st.booleans())
def test_a_long_list_contains_what_a_short_one_does(members: list[Any], operand: Any, among: bool) -> None:
    if among:
        members = [*members, _turned_round(operand)]
    condition = read_condition("contains(a, :v) AND NOT NOT contains(a, :v)", Placeholders(None, {":v": operand}))
    short = {"a": {"L": members}}
    check_attributes(short)
    long = {"a": {"L": members + [{"S": "something else"}] * SHORT_LIST}}
    assert matches(condition, short) == matches(condition, long)
    assert matches(condition, long) or not among


def _turned_round(attribute: dict[str, Any]) -> dict[str, Any]:
    """The same value, its sets and maps in another order."""
    ((kind, content),) = attribute.items()
    match kind:
        case "SS" | "NS":
            return {kind: content[::-1]}
        case "L":
            return {kind: [_turned_round(member) for member in content]}
        case "M":
            return {kind: {name: _turned_round(content[name]) for name in reversed(content)}}
    return attribute


@pytest.mark.parametrize(("count", "fits"), [(136_532, True), (136_533, False)])
def test_an_item_is_measured_where_its_json_is_long(count: int, fits: bool) -> None:
    item: dict[str, Any] = {"l": {"L": [{"BOOL": True}, *[{"NULL": True}] * (count - 1)]}, "s": {"S": "x" * 136_530}}
    size = check_attributes(item)
    assert (size <= ITEM_BYTES_MAX) is fits and len(encode_item(item)) > ITEM_BYTES_MAX
    if fits:
        assert encode_checked_row(item, "too large") == encode_row(item)[0]
    else:
        with pytest.raises(ItemError, match="too large"):
            encode_checked_row(item, "too large")


def test_a_small_item_is_not_measured() -> None:
    row = encode_checked_row({"s": {"S": "x"}}, "too large")
    assert msgspec.json.decode(row[1:]) == {"s": {"S": "x"}}
