"""What becomes of a row by a change, and what is answered."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.expressions import Placeholders, attribute_updates, read_condition, read_update
from keystead_core.indexes.key_values import IndexKey
from keystead_core.items import ITEM_BYTES_MAX, check_attributes, decode_row, encode_row
from keystead_core.row_changes import (
    CONDITION_FAILED,
    DELETE,
    DONE,
    PUT,
    REFUSED,
    UPDATE,
    Decision,
    Outcome,
    RowChange,
    Texts,
    decide,
    decode_outcome,
    encode_change,
)

KEY = {"pk": {"S": "k"}}
ITEM: dict[str, Any] = {
    **KEY,
    "n": {"N": "5"},
    "m": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}},
    "l": {"L": [{"N": "7"}]},
}
ROW = encode_row(ITEM)[0]


def judged(change: RowChange, row: bytes | None = ROW) -> tuple[Decision, Outcome]:
    decision = decide(encode_change(change), row)
    return decision, decode_outcome(decision.answer)


def condition(text: str, **values: Any) -> Any:
    return read_condition(text, Placeholders(None, {f":{name}": value for name, value in values.items()} or None))


def update(text: str, **values: Any) -> Any:
    return read_update(text, Placeholders(None, {f":{name}": value for name, value in values.items()} or None))


def attributes_of(outcome: Outcome) -> Any:
    return None if outcome.attributes is None else msgspec.json.decode(outcome.attributes)


def test_a_put_that_meets_its_condition_becomes_the_row() -> None:
    new = encode_row({**KEY, "new": {"S": "x" * 2000}})[0]
    change = RowChange(PUT, condition("n = :v", v={"N": "5"}), new, returns="ALL_OLD", sizes=True)
    decision, outcome = judged(change)
    assert (decision.writes, decision.value, outcome.status) == (True, new, DONE)
    assert attributes_of(outcome) == ITEM
    assert (outcome.old_size, outcome.new_size) == (check_attributes(ITEM), check_attributes(decode_row(new)))


def test_a_delete_that_meets_its_condition_deletes_the_row() -> None:
    decision, outcome = judged(RowChange(DELETE, condition("attribute_exists(pk)"), returns="ALL_OLD"))
    assert (decision.writes, decision.value, outcome.status) == (True, None, DONE)
    assert attributes_of(outcome) == ITEM and outcome.old_size == outcome.new_size == 0


@pytest.mark.parametrize("kind", [PUT, DELETE, UPDATE])
@pytest.mark.parametrize("row", [ROW, None])
def test_a_condition_that_does_not_hold_leaves_the_row(kind: int, row: bytes | None) -> None:
    change = RowChange(
        kind, condition("n > :v", v={"N": "5"}), ROW if kind == PUT else None, key=KEY, returns="ALL_OLD", sizes=True
    )
    decision, outcome = judged(change, row)
    size = check_attributes(decode_row(row)) if row is not None else 0
    assert not decision.writes and outcome == Outcome(CONDITION_FAILED, old_size=size)
    _, outcome = judged(msgspec.structs.replace(change, failed_item=True), row)
    assert attributes_of(outcome) == (None if row is None else ITEM)


def test_a_missing_item_meets_what_asks_for_its_absence() -> None:
    decision, outcome = judged(RowChange(PUT, condition("attribute_not_exists(pk)"), ROW, returns="ALL_OLD"), None)
    assert decision.value == ROW and outcome == Outcome(DONE)


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ("NONE", None),
        ("ALL_OLD", ITEM),
        ("ALL_NEW", {**KEY, "n": {"N": "6"}, "m": {"M": {"x": {"N": "9"}, "y": {"N": "2"}}}, "z": {"N": "9"}}),
        ("UPDATED_OLD", {"n": {"N": "5"}, "m": {"M": {"x": {"N": "1"}}}, "l": {"L": [{"N": "7"}]}}),
        ("UPDATED_NEW", {"n": {"N": "6"}, "m": {"M": {"x": {"N": "9"}}}, "z": {"N": "9"}}),
    ],
)
def test_an_update_answers_the_attributes_that_were_asked_for(returns: str, expected: Any) -> None:
    wanted = update("SET n = n + :one, m.x = :v, z = :v REMOVE l", one={"N": "1"}, v={"N": "9"})
    decision, outcome = judged(RowChange(UPDATE, update=wanted, key=KEY, returns=returns))
    assert attributes_of(outcome) == expected
    assert decision.value is not None
    assert decode_row(decision.value) == {
        **KEY,
        "n": {"N": "6"},
        "m": {"M": {"x": {"N": "9"}, "y": {"N": "2"}}},
        "z": {"N": "9"},
    }


@pytest.mark.parametrize("returns", ["ALL_OLD", "UPDATED_OLD"])
def test_an_update_of_no_item_makes_it_and_has_nothing_old_to_show(returns: str) -> None:
    wanted = update("SET n = if_not_exists(n, :v)", v={"N": "1"})
    decision, outcome = judged(RowChange(UPDATE, update=wanted, key=KEY, returns=returns, sizes=True), None)
    assert decision.value is not None
    assert decode_row(decision.value) == {**KEY, "n": {"N": "1"}}
    assert outcome == Outcome(DONE, new_size=check_attributes({**KEY, "n": {"N": "1"}}))


def test_an_update_of_nothing_makes_the_item_or_leaves_it_as_it_is() -> None:
    decision, outcome = judged(RowChange(UPDATE, key=KEY, returns="UPDATED_NEW"), None)
    assert decision.writes and decision.value == encode_row(dict(KEY))[0] and outcome == Outcome(DONE)
    decision, outcome = judged(RowChange(UPDATE, key=KEY, returns="ALL_NEW"))
    assert decision.writes and decision.value == ROW and attributes_of(outcome) == ITEM


def test_an_update_that_removes_everything_leaves_the_key() -> None:
    decision, outcome = judged(RowChange(UPDATE, update=update("REMOVE n, m, l"), key=KEY, returns="UPDATED_NEW"))
    assert decision.value == encode_row(dict(KEY))[0] and outcome == Outcome(DONE)


def nested(levels: int) -> Any:
    value: Any = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (update("SET q = absent"), "The provided expression refers to an attribute that does not exist in the item"),
        (update("SET q.x = n"), "The document path provided in the update expression is invalid for update"),
        (update("ADD m :v", v={"N": "1"}), "An operand in the update expression has an incorrect data type"),
        (attribute_updates({"m": {"Action": "ADD", "Value": {"N": "1"}}}), "Type mismatch for attribute to update"),
        (
            update("SET q = :v", v={"S": "x" * (ITEM_BYTES_MAX - 10)}),
            "Item size to update has exceeded the maximum allowed size",
        ),
        (
            update("SET a = :v, b = :v", v={"S": "x" * (ITEM_BYTES_MAX // 2)}),
            "Item size to update has exceeded the maximum allowed size",
        ),
        (
            update("SET m.q = :v", v=nested(31)),
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit",
        ),
        (
            update("ADD n :v", v={"N": "1E100"}),
            "Attempting to store more than 38 significant digits in a Number",
        ),
    ],
)
def test_an_update_that_the_item_does_not_allow_is_refused_in_the_services_words(wanted: Any, message: str) -> None:
    decision, outcome = judged(RowChange(UPDATE, update=wanted, key=KEY, returns="ALL_NEW"))
    assert not decision.writes and outcome == Outcome(REFUSED, message)


def test_numbers_that_an_update_writes_are_canonical() -> None:
    wanted = update("SET n = n + :v, z = :w", v={"N": "0.10"}, w={"N": "1.50E1"})
    decision, _ = judged(RowChange(UPDATE, update=wanted, key=KEY))
    assert decision.value is not None
    assert decode_row(decision.value) == {**ITEM, "n": {"N": "5.1"}, "z": {"N": "15"}}


NUMBERS = st.integers(-99, 99).map(lambda number: {"N": str(number)})


@given(
    st.none() | st.fixed_dictionaries({}, optional={"n": NUMBERS, "a": NUMBERS}),
    NUMBERS,
    st.sampled_from([None, "n < :v", "attribute_exists(#a) AND NOT #a = :v", "attribute_not_exists(pk) OR :v > #a"]),
    st.sampled_from([None, "SET n = :v", "SET n = if_not_exists(n, :v) - :v, #a = :v", "ADD n :v REMOVE #a"]),
    st.sampled_from(["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]),
)
def test_expressions_decide_the_same_bound_and_as_texts(
    attributes: Any, value: Any, condition_text: str | None, update_text: str | None, returns: str
) -> None:
    row = None if attributes is None else encode_row({**KEY, **attributes})[0]
    texts = Texts(condition_text, update_text, {"#a": "a"}, {":v": value})
    bound, wanted = texts.bound()
    by_trees = RowChange(UPDATE, bound, update=wanted, key=KEY, returns=returns, failed_item=True, sizes=True)
    by_texts = msgspec.structs.replace(by_trees, condition=None, update=None, texts=texts)
    assert decide(encode_change(by_trees), row) == decide(encode_change(by_texts), row)


@given(st.none() | NUMBERS, NUMBERS)
def test_the_value_before_stays_as_it_is_and_sizes_are_those_of_the_items(old: Any, added: Any) -> None:
    item = None if old is None else {**KEY, "n": old}
    row = None if item is None else encode_row(item)[0]
    decision, outcome = judged(RowChange(UPDATE, update=update("ADD n :v", v=added), key=KEY, sizes=True), row)
    assert row == (None if item is None else encode_row(item)[0])
    assert decision.value is not None
    after = decode_row(decision.value)
    assert int(after["n"]["N"]) == (0 if old is None else int(old["N"])) + int(added["N"])
    assert (outcome.old_size, outcome.new_size) == (
        0 if item is None else check_attributes(item),
        check_attributes(after),
    )


def test_a_change_of_an_earlier_version_is_read() -> None:
    """Fields are appended with defaults: what ends early means those."""
    assert decode_outcome(msgspec.msgpack.encode([DONE])) == Outcome(DONE)
    decision = decide(msgspec.msgpack.encode([PUT, None, ROW]), None)
    assert decision.value == ROW


BY_N = (IndexKey("by-n", "n", "N", True), IndexKey("by-n", "s", "S", False))
REFUSED_KEYS: list[tuple[str, dict[str, Any], str]] = [
    ("SET n = :v", {"S": "5"}, "Type mismatch for Index Key n Expected: N Actual: S IndexName: by-n"),
    ("SET n = l", {}, "Type mismatch for Index Key n Expected: N Actual: L IndexName: by-n"),
    ("SET s = :v", {"S": "x" * 1025}, "Size limit exceeded for Index Key s Actual Size: 1025 bytes Max Size: 1024"),
    ("SET s = :v", {"S": ""}, "cannot contain an empty string value."),
]


@pytest.mark.parametrize(("text", "value", "message"), REFUSED_KEYS)
def test_an_update_to_what_may_be_no_key_of_an_index_is_refused(text: str, value: Any, message: str) -> None:
    values = {"v": value} if value else {}
    decision, outcome = judged(RowChange(UPDATE, None, None, update(text, **values), KEY, index_keys=BY_N))
    assert (decision.writes, outcome.status) == (False, REFUSED)
    assert message in outcome.message


@pytest.mark.parametrize("text", ["REMOVE n", "SET s = :v", "ADD n :n"])
def test_a_key_of_an_index_may_come_and_change_and_go(text: str) -> None:
    values = {name: value for name, value in {"v": {"S": "x"}, "n": {"N": "1"}}.items() if f":{name}" in text}
    decision, _ = judged(RowChange(UPDATE, None, None, update(text, **values), KEY, index_keys=BY_N))
    assert decision.writes


def test_a_value_that_an_update_leaves_alone_is_not_judged() -> None:
    keys = (IndexKey("by-m", "m", "S", True),)
    change = RowChange(UPDATE, None, None, update("SET s = :v", v={"S": "x"}), KEY, index_keys=keys)
    assert judged(change)[1].status == DONE
    _, outcome = judged(msgspec.structs.replace(change, update=update("SET m.x = :v", v={"S": "x"})))
    assert outcome.status == REFUSED


@pytest.mark.parametrize("kind", [PUT, DELETE, UPDATE])
def test_the_row_before_and_after_is_told_where_it_is_asked_for(kind: int) -> None:
    value = encode_row({**KEY, "new": {"S": "x"}})[0] if kind == PUT else None
    changed = update("SET n = :v", v={"N": "6"}) if kind == UPDATE else None
    change = RowChange(kind, None, value, changed, KEY, rows=True)
    decision, outcome = judged(change)
    assert (outcome.old_row, outcome.new_row) == (ROW, decision.value)
    _, unasked = judged(msgspec.structs.replace(change, rows=False))
    assert unasked.old_row is unasked.new_row is None
