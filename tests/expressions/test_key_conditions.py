"""A key condition names what part of an index a query reads, and nothing else."""

import pytest

from keystead_core.cluster_map import KeyAttribute
from keystead_core.expressions import (
    KeyComparison,
    KeyCondition,
    KeySchema,
    Placeholders,
    check_filter,
    key_condition,
    key_conditions,
    read_condition,
)
from keystead_core.items import Attribute
from tests.expressions.attributes import HASH_ONLY, HASH_RANGE, b, lst, n, refusal, s, ss

VALUES = {":s": s("x"), ":n": n(1), ":m": n(2), ":l": lst(n(1)), ":ss": ss("x"), ":e": s(""), ":b": b("AA==")}
TEXT_RANGE = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "S"),))
MANY = KeySchema(
    (KeyAttribute("tenant", "S"), KeyAttribute("area", "S")),
    (KeyAttribute("dd", "N"), KeyAttribute("mm", "N"), KeyAttribute("ww", "S")),
)
NOT_SUPPORTED = "Query key condition not supported"
INVALID = "Invalid condition in KeyConditionExpression: "


def read(text: str, schema: KeySchema = HASH_RANGE) -> KeyCondition:
    placeholders = Placeholders(None, {key: value for key, value in VALUES.items() if key in text} or None)
    return key_condition(read_condition(text, placeholders, "KeyConditionExpression"), schema)


def at(operator: str, *values: Attribute, name: str = "sk") -> KeyComparison:
    return KeyComparison(name, operator, values)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("pk = :s", None),
        (":s = pk AND sk = :n", at("=", n(1))),
        ("sk < :n AND pk = :s", at("<", n(1))),
        ("pk = :s AND :n < sk", at(">", n(1))),
        ("pk = :s AND :n >= sk", at("<=", n(1))),
        ("(pk = :s) AND (sk BETWEEN :n AND :m)", at("BETWEEN", n(1), n(2))),
    ],
)
def test_a_query_has_one_hash_value_and_at_most_one_condition_on_the_range_key(
    text: str, last: KeyComparison | None
) -> None:
    assert read(text) == KeyCondition(("x",), (), last)


def test_begins_with_takes_string_and_binary_range_keys() -> None:
    assert read("pk = :s AND begins_with(sk, :s)", TEXT_RANGE).last == at("begins_with", s("x"))
    binary = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "B"),))
    assert read("pk = :s AND begins_with(sk, :b)", binary).last == at("begins_with", b("AA=="))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sk = :n", "Query condition missed key schema element: pk"),
        ("x = :s", "Query condition missed key schema element: pk"),
        ("pk = :s AND x = :n", "Query condition missed key schema element: sk"),
        ("pk < :s", NOT_SUPPORTED),
        ("pk BETWEEN :s AND :s AND sk = :n", NOT_SUPPORTED),
        ("begins_with(pk, :s)", NOT_SUPPORTED),
        ("pk = :s AND pk = :s", "KeyConditionExpressions must only contain one condition per key"),
        ("pk = :s AND sk > :n AND sk < :m", "KeyConditionExpressions must only contain one condition per key"),
        ("pk = :s AND sk = :n AND x = :n", "Conditions can be of length 1 or 2 only"),
        ("pk = :s OR sk = :n", "Invalid operator used in KeyConditionExpression: OR"),
        ("pk = :s AND NOT sk = :n", "Invalid operator used in KeyConditionExpression: NOT"),
        ("pk IN (:s)", "Invalid operator used in KeyConditionExpression: IN"),
        ("pk = :s AND sk <> :n", "Invalid operator used in KeyConditionExpression: <>"),
        ("pk = :s AND contains(sk, :s)", "Invalid operator used in KeyConditionExpression: contains"),
        ("pk = :s AND attribute_exists(sk)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("size(pk) = :n", "KeyConditionExpressions cannot contain nested operations"),
        ("pk = :s AND sk BETWEEN size(sk) AND :n", "KeyConditionExpressions cannot contain nested operations"),
        ("x.y = :s", "KeyConditionExpressions cannot have conditions on nested attributes"),
        (
            "pk[0] = :s",
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        ("pk = sk", INVALID + "Multiple attribute names used in one condition"),
        (":s = :s", INVALID + "No key attribute specified"),
        (
            "pk = :s AND :n BETWEEN :n AND sk",
            INVALID + "BETWEEN operator must have the key attribute as its first operand",
        ),
        (
            "pk = :s AND begins_with(:s, sk)",
            INVALID + "begins_with operator must have the key attribute as its first operand",
        ),
        *(
            (
                text,
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            )
            for text in ("pk = :n", "pk = :l", "pk = :s AND sk = :s", "pk = :s AND begins_with(sk, :s)")
        ),
        (
            "pk = :e",
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            "empty string value. Key: pk",
        ),
    ],
)
def test_what_no_index_can_answer_is_refused(text: str, message: str) -> None:
    assert refusal(read, text) == message


def test_a_hash_key_alone_takes_one_condition() -> None:
    assert read("pk = :s", HASH_ONLY) == KeyCondition(("x",))
    assert refusal(read, "pk = :s AND sk = :n", HASH_ONLY) == NOT_SUPPORTED


def test_what_is_wrong_with_the_expression_itself_names_the_parameter() -> None:
    assert refusal(read, "pk = :s AND begins_with(sk, :n)") == (
        "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
        "operator or function: begins_with, operand type: N"
    )


@pytest.mark.parametrize(
    ("text", "equal", "last"),
    [
        ("", (), None),
        (" AND dd = :n", ("1",), None),
        (" AND dd > :n", (), at(">", n(1), name="dd")),
        (" AND mm BETWEEN :n AND :m AND dd = :n", ("1",), at("BETWEEN", n(1), n(2), name="mm")),
        (" AND dd = :n AND mm = :m AND begins_with(ww, :s)", ("1", "2"), at("begins_with", s("x"), name="ww")),
        (" AND dd = :n AND mm = :m AND ww = :s", ("1", "2", "x"), None),
    ],
)
def test_a_key_of_many_attributes_takes_equalities_from_left_to_right_and_one_other(
    text: str, equal: tuple[str, ...], last: KeyComparison | None
) -> None:
    assert read("tenant = :s AND area = :s" + text, MANY) == KeyCondition(("x", "x"), equal, last)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tenant = :s", "Query condition missed key schema element: area"),
        ("tenant = :s AND area < :s", NOT_SUPPORTED),
        ("tenant = :s AND area = :s AND mm = :n", "Query condition missed key schema element: dd"),
        ("tenant = :s AND area = :s AND dd > :n AND mm = :n", NOT_SUPPORTED),
        ("tenant = :s AND area = :s AND dd = :n AND x = :n", "Query condition missed key schema element: mm"),
    ],
)
def test_a_key_of_many_attributes_leaves_none_out(text: str, message: str) -> None:
    assert refusal(read, text, MANY) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pk = :s", "Filter Expression can only contain non-primary key attributes: Primary key attribute: pk"),
        (
            "x = :s OR NOT x IN (:s, sk)",
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
        ),
        (
            "sk.x = :s",
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: sk",
        ),
    ],
)
def test_a_filter_of_a_query_keeps_off_its_key(text: str, message: str) -> None:
    bound = read_condition(text, Placeholders(None, {":s": s("x")}), "FilterExpression")
    assert refusal(check_filter, bound, HASH_RANGE) == message
    check_filter(bound, KeySchema((KeyAttribute("y", "S"),)))


def legacy(operator: str, *values: Attribute) -> dict[str, object]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


@pytest.mark.parametrize(
    ("operator", "values", "last"),
    [
        ("EQ", (n(1),), at("=", n(1))),
        ("LE", (n("1.0"),), at("<=", n(1))),
        ("LT", (n(1),), at("<", n(1))),
        ("GE", (n(1),), at(">=", n(1))),
        ("GT", (n(1),), at(">", n(1))),
        ("BETWEEN", (n(1), n(2)), at("BETWEEN", n(1), n(2))),
    ],
)
def test_legacy_key_conditions_read_the_same(operator: str, values: tuple[Attribute, ...], last: KeyComparison) -> None:
    conditions = {"sk": legacy(operator, *values), "pk": legacy("EQ", s("x"))}
    assert key_conditions(conditions, HASH_RANGE) == KeyCondition(("x",), (), last)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({}, "Conditions can be of length 1 or 2 only"),
        ({"sk": legacy("EQ", n(1))}, "Query condition missed key schema element: pk"),
        ({"pk": legacy("LT", s("x"))}, NOT_SUPPORTED),
        (
            {"pk": legacy("EQ")},
            "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
        ),
        *(
            (
                {"pk": legacy("EQ", s("x")), "sk": legacy(operator, *values)},
                "Attempted conditional constraint is not an indexable operation",
            )
            for operator, values in (
                ("NE", (n(1),)),
                ("IN", (n(1),)),
                ("CONTAINS", (n(1),)),
                ("NOT_CONTAINS", (n(1),)),
                ("NULL", ()),
                ("NOT_NULL", ()),
            )
        ),
        (
            {"pk": legacy("EQ", s("x")), "sk": legacy("BETWEEN", n(2), n(1))},
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ),
        (
            {"pk": legacy("EQ", n(1))},
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            {"pk": {}},
            "1 validation error detected: Value null at 'keyConditions.pk.member.comparisonOperator' "
            "failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_legacy_key_conditions_are_refused_in_the_same_words(conditions: dict, message: str) -> None:
    assert refusal(key_conditions, conditions, HASH_RANGE) == message
