"""Names and values of a request are all well-formed, all defined where they are used, and all used."""

import pytest

from keystead_core.expressions import Placeholders, project, read_condition, read_projection, read_update
from keystead_core.items import ItemShapeError
from tests.expressions.attributes import condition, lst, n, ns, refusal, s, ss, update

NAMES = "ExpressionAttributeNames"
VALUES = "ExpressionAttributeValues"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({}, "must not be empty"),
        *(
            ({key: "a"}, f'contains invalid key: Syntax error; key: "{key}"')
            for key in ("a", "#", "##", "#a b", "#a-b", "#a.b", "#a[0]", "#é", ":a", "#a\n")
        ),
        ({"": "a"}, "contains invalid key: The expression attribute map contains an empty key;"),
        (
            {"#" + "a" * 255: "a"},
            "contains invalid key: The expression attribute map contains a key that is too long; size of key: 256",
        ),
        ({"#a": ""}, "contains invalid value: Empty attribute name for key #a"),
        (
            {"#a": "x" * 65_536},
            "contains invalid value: Attribute name is too large, must be less than 65536 bytes for key #a",
        ),
    ],
)
def test_names_are_checked(names: dict[str, str], message: str) -> None:
    assert refusal(Placeholders, names) == f"{NAMES} {message}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "must not be empty"),
        *(
            ({key: s("x")}, f'contains invalid key: Syntax error; key: "{key}"')
            for key in ("a", ":", "::", ":a b", ":a-b", ":é", "#a")
        ),
        ({":a": {"N": "z"}, "b": s("x")}, 'contains invalid key: Syntax error; key: "b"'),
        (
            {":a": {}},
            "contains invalid value: Supplied AttributeValue is empty, "
            "must contain exactly one of the supported datatypes for key :a",
        ),
        (
            {":a": {"S": "x", "N": "1"}},
            "contains invalid value: Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes for key :a",
        ),
        (
            {":a": s("x"), ":b": {"N": "x"}},
            "contains invalid value: The parameter cannot be converted to a numeric value: x for key :b",
        ),
        (
            {":a": n("1e200")},
            "contains invalid value: "
            "Number overflow. Attempting to store a number with magnitude larger than supported range for key :a",
        ),
        (
            {":a": lst(ss())},
            "contains invalid value: "
            "One or more parameter values were invalid: An string set  may not be empty for key :a",
        ),
        ({":a": ns(1, "1.0")}, "contains invalid value: Input collection contains duplicates for key :a"),
        ({":a": None}, "contains invalid value: The supplied Item contains a null AttributeValue for key :a"),
    ],
)
def test_values_are_checked(values: dict, message: str) -> None:
    assert refusal(Placeholders, None, values) == f"{VALUES} {message}"


def test_what_is_no_attribute_value_at_all_is_an_error_of_shape() -> None:
    with pytest.raises(ItemShapeError):
        Placeholders(None, {":a": {"X": "x"}})


def test_names_are_checked_before_values_and_both_before_any_expression() -> None:
    assert refusal(Placeholders, {"bad": "a"}, {"bad": s("x")}).startswith(NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#a = #b", "An expression attribute name used in the document path is not defined; attribute name: #a"),
        ("a.#b = :a", "An expression attribute name used in the document path is not defined; attribute name: #b"),
        (":zz = #b", "An expression attribute value used in expression is not defined; attribute value: :zz"),
        ("#A = :a", "An expression attribute name used in the document path is not defined; attribute name: #A"),
    ],
)
def test_a_placeholder_has_to_be_defined(text: str, message: str) -> None:
    assert refusal(condition, text, {":a": s("x")}) == f"Invalid ConditionExpression: {message}"


def test_every_name_and_value_has_to_be_used() -> None:
    values = {":a": s("x"), ":b": s("x"), ":c": n(1)}
    names = {"#2": "b", "#1": "a"}
    unused = "Value provided in {} unused in expressions: keys: {}"
    assert refusal(condition, "a = :a", values) == unused.format(VALUES, "{:b, :c}")
    assert refusal(condition, "a = :a", values, names) == unused.format(NAMES, "{#2, #1}")
    assert refusal(update, "SET a = :c, #1 = :a", values, {"#1": "d"}) == unused.format(VALUES, "{:b}")


def test_all_expressions_of_a_request_use_the_same_placeholders() -> None:
    placeholders = Placeholders({"#a": "name", "#b": "b"}, {":x": n(1), ":y": n(2)})
    read_update("SET #a = :x", placeholders)
    read_condition("#a < :y", placeholders)
    assert refusal(placeholders.check_all_used).endswith("keys: {#b}")
    assert project(read_projection("#b", placeholders), {"b": n(1)}) == {"b": n(1)}
    placeholders.check_all_used()


def test_numbers_of_values_are_normalised_in_place() -> None:
    values = {":a": lst(n("1.50"))}
    Placeholders(None, values)
    assert values == {":a": lst(n("1.5"))}


def test_what_has_been_checked_is_not_checked_again() -> None:
    placeholders = Placeholders({}, {}, is_checked=True)
    placeholders.check_all_used()


def test_one_text_serves_requests_with_different_placeholders() -> None:
    for value in (n(1), n(2)):
        placeholders = Placeholders({"#a": "a"}, {":v": value})
        read = read_condition("#a = :v", placeholders)
        assert str(value["N"]) in str(read)
