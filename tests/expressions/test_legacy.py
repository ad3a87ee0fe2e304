"""The legacy parameters mean what their expressions mean, and are refused in their own words."""

from typing import Any

import pytest

from keystead_core.expressions import (
    apply_update,
    attribute_updates,
    attributes_to_get,
    check_update,
    expected_condition,
    filter_condition,
    matches,
    project,
)
from keystead_core.items import Attribute, Item
from tests.expressions.attributes import HASH_RANGE, NULL, SAMPLES, TRUE, item, lst, mp, n, ns, refusal, s, ss

INVALID = "One or more parameter values were invalid: "
STORED = item(a=s("x"), n=n(5), l=lst(n(1), s("x")), e=ss("x", "y"), m=mp(a=n(1)), u=NULL)


def by(operator: str, *values: Attribute) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


def expects(expected: dict[str, Any], operator: str | None = None, stored: Item = STORED) -> bool:
    condition = expected_condition(expected, operator)
    assert condition is not None
    return matches(condition, stored)


def filters(conditions: dict[str, Any], operator: str | None = None) -> bool:
    condition = filter_condition(conditions, operator, "ScanFilter")
    assert condition is not None
    return matches(condition, STORED)


@pytest.mark.parametrize(
    ("name", "entry", "expected"),
    [
        ("a", by("EQ", s("x")), True),
        ("a", by("EQ", n(1)), False),
        ("e", by("EQ", ss("y", "x")), True),
        ("m", by("EQ", mp(a=n("1.0"))), True),
        ("a", by("NE", s("x")), False),
        ("a", by("NE", n(1)), True),
        ("zz", by("NE", s("x")), True),
        ("n", by("LT", n(10)), True),
        ("n", by("LE", n(5)), True),
        ("n", by("GT", n(5)), False),
        ("n", by("GE", n(5)), True),
        ("zz", by("LT", n(5)), False),
        ("a", by("LT", n(5)), False),
        ("n", by("BETWEEN", n(5), n(6)), True),
        ("a", by("BETWEEN", n(5), n(6)), False),
        ("a", by("IN", s("y"), s("x")), True),
        ("zz", by("IN", s("y")), False),
        ("a", by("BEGINS_WITH", s("x")), True),
        ("n", by("BEGINS_WITH", s("5")), False),
        ("a", by("CONTAINS", s("x")), True),
        ("e", by("CONTAINS", s("y")), True),
        ("l", by("CONTAINS", s("x")), True),
        ("l", by("CONTAINS", TRUE), False),
        ("zz", by("CONTAINS", s("x")), False),
        ("a", by("NOT_CONTAINS", s("x")), False),
        ("l", by("NOT_CONTAINS", s("x")), False),
        ("n", by("NOT_CONTAINS", n(5)), True),
        ("zz", by("NOT_CONTAINS", s("x")), False),
        ("a", by("NULL"), False),
        ("u", by("NULL"), False),
        ("zz", by("NULL"), True),
        ("zz", {"ComparisonOperator": "NULL"}, True),
        ("u", by("NOT_NULL"), True),
        ("zz", by("NOT_NULL"), False),
    ],
)
def test_each_comparison_operator_has_its_meaning(name: str, entry: dict[str, Any], expected: bool) -> None:
    assert filters({name: entry}) is expected
    assert expects({name: entry}) is expected


@pytest.mark.parametrize(
    ("expected", "result"),
    [
        ({"a": {"Value": s("x")}}, True),
        ({"a": {"Value": s("y")}}, False),
        ({"a": {"Value": s("x"), "Exists": True}}, True),
        ({"a": {"Exists": False}}, False),
        ({"zz": {"Exists": False}}, True),
        ({"n": {"Value": n(5), "ComparisonOperator": "EQ"}}, True),
        ({"n": {"Value": n(4), "ComparisonOperator": "IN"}}, False),
        ({"l": {"Value": lst(n(1), s("x"))}}, True),
    ],
)
def test_expected_values_exist_and_are_equal(expected: dict[str, Any], result: bool) -> None:
    assert expects(expected) is result


def test_conditions_are_joined_by_the_conditional_operator() -> None:
    conditions = {"a": by("EQ", s("x")), "n": by("EQ", n(6))}
    assert [filters(conditions, operator) for operator in (None, "AND", "OR")] == [False, False, True]
    assert [expects(conditions, operator) for operator in (None, "AND", "OR")] == [False, False, True]
    assert expected_condition({}) is None
    assert filter_condition({}, None, "QueryFilter") is None


def test_names_of_legacy_conditions_are_no_paths() -> None:
    assert expects({"m.a": {"Exists": False}})
    assert expects({"m.a": {"Value": n(1)}}, None, {"m.a": n(1)})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "Value must be provided when Exists is null for Attribute: a"),
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
        ({"Exists": False, "Value": s("x")}, "Value cannot be used when Exists is false for Attribute: a"),
        (
            {"Value": s("x"), "AttributeValueList": [s("x")]},
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"Exists": True, **by("EQ", s("x"))},
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"AttributeValueList": [s("x")]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            {"ComparisonOperator": "EQ"},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
        ),
        (by("EQ"), "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (
            {"ComparisonOperator": "NULL", "Value": s("x")},
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            {"ComparisonOperator": "BETWEEN", "Value": s("x")},
            "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
    ],
)
def test_expectations_that_contradict_themselves_are_refused(entry: dict[str, Any], message: str) -> None:
    assert refusal(expected_condition, {"a": entry}) == INVALID + message


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (by("LT", s("x"), s("y")), INVALID + "Invalid number of argument(s) for the LT ComparisonOperator"),
        (by("IN"), INVALID + "Invalid number of argument(s) for the IN ComparisonOperator"),
        (by("NOT_NULL", s("x")), INVALID + "Invalid number of argument(s) for the NOT_NULL ComparisonOperator"),
        (by("IN", s("x"), n(1)), INVALID + "AttributeValues inside AttributeValueList must be of same type"),
        (
            by("BETWEEN", s("x"), s("a")),
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ),
        (by("EQ", {"N": "x"}), "The parameter cannot be converted to a numeric value: x"),
        (
            by("EQ", {}),
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            by("FOO", s("x")),
            "1 validation error detected: Value 'FOO' at 'queryFilter.a.member.comparisonOperator' failed to satisfy "
            "constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, "
            "NE, LE, BEGINS_WITH, GE, CONTAINS]",
        ),
        (
            {},
            "1 validation error detected: Value null at 'queryFilter.a.member.comparisonOperator' failed to satisfy "
            "constraint: Member must not be null",
        ),
    ],
)
def test_filters_with_arguments_that_do_not_fit_are_refused(entry: dict[str, Any], message: str) -> None:
    assert refusal(filter_condition, {"a": entry}, None, "QueryFilter") == message


@pytest.mark.parametrize(
    ("operators", "allowed"),
    [
        (("LT", "LE", "GT", "GE", "BETWEEN", "IN"), (":s", ":n", ":b")),
        (("CONTAINS", "NOT_CONTAINS"), (":s", ":n", ":b", ":t", ":u")),
        (("BEGINS_WITH",), (":s", ":b")),
        (("EQ", "NE"), tuple(SAMPLES)),
    ],
)
def test_each_comparison_operator_takes_its_types(operators: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for operator in operators:
        for key, value in SAMPLES.items():
            entry = by(operator, *[value] * (2 if operator == "BETWEEN" else 1))
            if key in allowed:
                filter_condition({"a": entry}, None, "ScanFilter")
            else:
                assert refusal(filter_condition, {"a": entry}, None, "ScanFilter") == (
                    f"{INVALID}ComparisonOperator {operator} is not valid for {next(iter(value))} AttributeValue type"
                )


@pytest.mark.parametrize(
    ("conditions", "operator", "message"),
    [
        ({}, "OR", "ConditionalOperator cannot be used without Filter or Expected"),
        (
            {"a": by("EQ", s("x"))},
            "AND",
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ),
        (
            {"a": by("EQ", s("x")), "b": by("EQ", s("x"))},
            "XOR",
            "1 validation error detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: "
            "Member must satisfy enum value set: [OR, AND]",
        ),
        ({"": by("EQ", s("x"))}, None, "Empty attribute name"),
    ],
)
def test_a_conditional_operator_joins_two_or_more(conditions: dict[str, Any], operator: str, message: str) -> None:
    assert refusal(expected_condition, conditions, operator) == message
    assert refusal(filter_condition, conditions, operator, "ScanFilter") == message


def put(name: str, action: str | None = None, value: Attribute | None = None) -> Item:
    entry = {"Action": action, "Value": value}
    bound = attribute_updates({name: {key: given for key, given in entry.items() if given is not None}})
    return project(apply_update(bound, STORED).touched, apply_update(bound, STORED).item)


@pytest.mark.parametrize(
    ("name", "action", "value", "expected"),
    [
        ("a", "PUT", s("z"), {"a": s("z")}),
        ("a", None, n("1.0"), {"a": n(1)}),
        ("m.a", "PUT", n(2), {"m.a": n(2)}),
        ("a", "DELETE", None, {}),
        ("zz", "DELETE", None, {}),
        ("n", "ADD", n(3), {"n": n(8)}),
        ("zz", "ADD", n(3), {"zz": n(3)}),
        ("e", "ADD", ss("q", "x"), {"e": ss("x", "y", "q")}),
        ("l", "ADD", lst(n(9)), {"l": lst(n(1), s("x"), n(9))}),
        ("zz", "ADD", lst(n(9)), {"zz": lst(n(9))}),
        ("e", "DELETE", ss("x", "z"), {"e": ss("y")}),
        ("e", "DELETE", ss("x", "y"), {}),
        ("zz", "DELETE", ss("x"), {}),
    ],
)
def test_attribute_updates_put_add_and_delete(
    name: str, action: str | None, value: Attribute | None, expected: Item
) -> None:
    assert put(name, action, value) == expected


@pytest.mark.parametrize(
    ("name", "action", "value"),
    [("a", "ADD", n(3)), ("l", "ADD", ss("x")), ("e", "DELETE", ns(1)), ("a", "DELETE", ss("x"))],
)
def test_attribute_updates_of_another_type_do_not_match(name: str, action: str, value: Attribute) -> None:
    assert refusal(put, name, action, value) == "Type mismatch for attribute to update"


def test_attribute_updates_refuse_what_no_item_could_make_right() -> None:
    only_delete = INVALID + "Only DELETE action is allowed when no attribute value is specified"
    assert [refusal(put, "a", action) for action in ("PUT", "ADD", None)] == [only_delete] * 3
    for kind in ("S", "B", "M", "BOOL", "NULL"):
        value = SAMPLES[{"BOOL": ":t", "NULL": ":u"}.get(kind, f":{kind.lower()}")]
        assert refusal(put, "a", "ADD", value) == f"{INVALID}ADD action is not supported for the type {kind}"
    for kind in ("S", "N", "L"):
        assert refusal(put, "a", "DELETE", SAMPLES[f":{kind.lower()}"]) == (
            f"{INVALID}DELETE action with value is not supported for the type {kind}"
        )
    assert refusal(put, "a", "FOO", s("x")) == (
        "1 validation error detected: Value 'FOO' at 'attributeUpdates.a.member.action' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ADD, DELETE, PUT]"
    )
    assert refusal(put, "a", "PUT", {"N": "x"}) == "The parameter cannot be converted to a numeric value: x"
    assert refusal(put, "", "PUT", s("x")) == "Empty attribute name"
    assert refusal(check_update, attribute_updates({"pk": {"Action": "DELETE"}}), HASH_RANGE) == (
        f"{INVALID}Cannot update attribute pk. This attribute is part of the key"
    )


def test_attributes_to_get_are_whole_attributes_each_once() -> None:
    assert project(attributes_to_get(["n", "zz", "m.a"]), STORED) == {"n": n(5)}
    assert refusal(attributes_to_get, ["a", "b", "a"]) == f"{INVALID}Duplicate value in attribute name: a"
    assert refusal(attributes_to_get, ["a", ""]) == "Empty attribute name"
