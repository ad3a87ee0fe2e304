"""Operands are checked as soon as the values are known, before any item is."""

import pytest

from tests.expressions.attributes import SAMPLES, b, condition, n, refusal, s, update, used

ORDERED = (":s", ":n", ":b")
TYPES = {":" + kind.lower(): kind for kind in ("S", "N", "B", "SS", "NS", "BS", "L", "M")} | {
    ":t": "BOOL",
    ":u": "NULL",
}
INCORRECT_TYPE = "Incorrect operand type for operator or function; operator or function: {}, operand type: {}"


@pytest.mark.parametrize(
    ("operator", "text", "allowed"),
    [
        *((operator, f"a {operator} ?", ORDERED) for operator in ("<", "<=", ">", ">=")),
        ("<", "? < a", ORDERED),
        ("BETWEEN", "? BETWEEN a AND b", ORDERED),
        ("BETWEEN", "a BETWEEN ? AND b", ORDERED),
        ("BETWEEN", "a BETWEEN ? AND ?", ORDERED),
        ("begins_with", "begins_with(a, ?)", (":s", ":b")),
        ("begins_with", "begins_with(?, a)", (":s", ":b")),
        ("size", "size( ? ) = a", (":s", ":b", ":ss", ":ns", ":bs", ":l", ":m")),
        ("contains", "contains(a, ?)", tuple(SAMPLES)),
        ("contains", "contains(?, a)", tuple(SAMPLES)),
        ("=", "a = ?", tuple(SAMPLES)),
        ("<>", "? <> a", tuple(SAMPLES)),
        ("IN", "a IN (?)", tuple(SAMPLES)),
    ],
)
def test_operands_have_the_types_that_their_operator_takes(operator: str, text: str, allowed: tuple[str, ...]) -> None:
    for key, kind in TYPES.items():
        values = {key: SAMPLES[key]}
        if key in allowed:
            condition(text.replace("?", key), values)
        else:
            message = refusal(condition, text.replace("?", key), values)
            assert message == "Invalid ConditionExpression: " + INCORRECT_TYPE.format(operator, kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("begins_with(size(a), :s)", INCORRECT_TYPE.format("begins_with", "N")),
        ("size(size(a)) > :n", INCORRECT_TYPE.format("size", "N")),
        ("attribute_type(a, :n)", INCORRECT_TYPE.format("attribute_type", "N")),
        ("attribute_type(a, b)", INCORRECT_TYPE.format("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")),
        (
            "attribute_type(a, :s)",
            "Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            "attribute_exists(:s)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "attribute_not_exists(size(a))",
            "Operator or function requires a document path; operator or function: attribute_not_exists",
        ),
        *(
            (
                f"{function}({', '.join('abc'[:count])})",
                "Incorrect number of operands for operator or function; "
                f"operator or function: {function}, number of operands: {count}",
            )
            for function, count in (
                ("attribute_exists", 2),
                ("attribute_not_exists", 2),
                ("attribute_type", 1),
                ("begins_with", 3),
                ("contains", 1),
            )
        ),
        (
            "size(a, b) > :n",
            "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
        ),
        *(
            (
                text,
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {operator}, first operand: [{path}]",
            )
            for text, operator, path in (
                ("a = a", "=", "a"),
                ("a <> (a)", "<>", "a"),
                ("a.b[1] < a.b[1]", "<", "a, b, [1]"),
                ("a BETWEEN :n AND a", "BETWEEN", "a"),
                ("a IN (b, a)", "IN", "a"),
                ("begins_with(a, a)", "begins_with", "a"),
                ("contains(a, a)", "contains", "a"),
            )
        ),
        (
            "a BETWEEN :s AND :n",
            "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {S:x}, upper bound operand: AttributeValue: {N:1}",
        ),
    ],
)
def test_a_condition_with_operands_that_can_never_do_is_refused(text: str, message: str) -> None:
    assert refusal(condition, text, used(text)) == f"Invalid ConditionExpression: {message}"


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (n(20), n("1e1"), ("{N:20}", "{N:10}")),
        (n(-1), n(-2), ("{N:-1}", "{N:-2}")),
        (s("b"), s("a"), ("{S:b}", "{S:a}")),
        (b("AAE="), b("AAA="), ("{B:AAE=}", "{B:AAA=}")),
    ],
)
def test_the_lower_bound_is_not_above_the_upper_bound(low: dict, high: dict, shown: tuple[str, str]) -> None:
    assert refusal(condition, "a BETWEEN :low AND :high", {":low": low, ":high": high}) == (
        "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower "
        f"bound; lower bound operand: AttributeValue: {shown[0]}, upper bound operand: AttributeValue: {shown[1]}"
    )


@pytest.mark.parametrize(
    "text", ["size(a) = size(a)", ":n = :n", ":n BETWEEN :n AND :n", "a = b", "a IN (b, b)", "a IN (:n, :n)"]
)
def test_only_the_first_operand_has_to_be_distinct_and_only_if_it_is_a_path(text: str) -> None:
    condition(text, used(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET a = :s + n", INCORRECT_TYPE.format("+", "S")),
        ("SET a = n - :t", INCORRECT_TYPE.format("-", "BOOL")),
        ("SET a = list_append(:l, :s)", INCORRECT_TYPE.format("list_append", "S")),
        (
            "SET a = list_append(:l)",
            "Incorrect number of operands for operator or function; "
            "operator or function: list_append, number of operands: 1",
        ),
        (
            "SET a = if_not_exists(a, b, c)",
            "Incorrect number of operands for operator or function; "
            "operator or function: if_not_exists, number of operands: 3",
        ),
        (
            "SET a = if_not_exists(:s, :s)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "SET a = if_not_exists(b, b)",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: if_not_exists, first operand: [b]",
        ),
        *(
            (
                f"ADD a {key}",
                "Incorrect operand type for operator or function; "
                f"operator: ADD, operand type: {name}, typeSet: ALLOWED_FOR_ADD_OPERAND",
            )
            for key, name in (
                (":s", "STRING"),
                (":b", "BINARY"),
                (":l", "LIST"),
                (":m", "MAP"),
                (":t", "BOOLEAN"),
                (":u", "NULL"),
            )
        ),
        *(
            (
                f"DELETE a {key}",
                "Incorrect operand type for operator or function; "
                f"operator: DELETE, operand type: {name}, typeSet: ALLOWED_FOR_DELETE_OPERAND",
            )
            for key, name in ((":n", "NUMBER"), (":s", "STRING"), (":l", "LIST"))
        ),
    ],
)
def test_an_update_with_operands_that_can_never_do_is_refused(text: str, message: str) -> None:
    assert refusal(update, text, used(text)) == f"Invalid UpdateExpression: {message}"


def test_the_last_action_is_checked_first() -> None:
    assert refusal(update, "ADD a :s SET b = :zz", {":s": SAMPLES[":s"]}).endswith("attribute value: :zz")
    assert refusal(update, "SET a = :zz, a = :yy").endswith("path one: [a], path two: [a]")
