"""Expressions are bounded: their size, operators, depth and work; hostile ones are refused in the service's words."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keystead_core.expressions import (
    ExpressionError,
    Placeholders,
    apply_update,
    matches,
    project,
    read_condition,
    read_projection,
    read_update,
)
from keystead_core.expressions.parse import KEPT_MAX, parse_condition, parse_projection, parse_update
from keystead_core.expressions.reserved import RESERVED_WORDS
from tests.expressions.attributes import condition, holds, item, lst, mp, n, projection, refusal, s, update

A = {":a": s("x")}
TOO_MANY = "Invalid ConditionExpression: The expression contains too many operators; operator count: 301"
TOO_DEEP = "The document path has too many nesting levels; nesting levels: 33"


def test_an_expression_has_at_most_4_kilobytes() -> None:
    condition("a = :a" + " " * 4090, A)
    message = "Expression size has exceeded the maximum allowed size; expression size: "
    assert refusal(condition, "a = :a" + " " * 4091, A) == f"Invalid ConditionExpression: {message}4097"
    assert refusal(update, "é" * 2049) == f"Invalid UpdateExpression: {message}4098"
    assert refusal(projection, "(" * 10_000) == f"Invalid ProjectionExpression: {message}10000"


def test_an_expression_has_at_most_300_operators_and_functions() -> None:
    condition(" OR ".join(["a=:a"] * 150), A)
    assert refusal(condition, " OR ".join(["a=:a"] * 151), A) == TOO_MANY
    condition("NOT " * 299 + "a=:a", A)
    assert refusal(condition, "NOT " * 300 + "a=:a", A) == TOO_MANY
    update("SET " + ",".join(f"a{i}=a-:a" for i in range(300)), {":a": n(1)})
    assert "too many operators" in refusal(update, "SET " + ",".join(f"a{i}=a-:a" for i in range(301)), {":a": n(1)})


def test_in_takes_at_most_100_candidates() -> None:
    condition(f"a IN ({','.join([':a'] * 100)})", A)
    assert refusal(condition, f"a IN ({','.join([':a'] * 101)})", A) == (
        "Invalid ConditionExpression: The IN operator is provided with too many operands; number of operands: 101"
    )


@pytest.mark.parametrize("step", [".a", "[0]", ".#a"])
def test_a_document_path_has_at_most_32_elements(step: str) -> None:
    names = {"#a": "a"} if "#" in step else None
    condition(f"x{step * 31} = :a", A, names)
    assert refusal(condition, f"x{step * 32} = :a", A, names) == f"Invalid ConditionExpression: {TOO_DEEP}"
    assert refusal(projection, f"x{step * 32}", names) == f"Invalid ProjectionExpression: {TOO_DEEP}"
    assert refusal(update, f"REMOVE x{step * 32}", None, names) == f"Invalid UpdateExpression: {TOO_DEEP}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 4096, 'Syntax error; token: "<EOF>", near: "("'),
        ("(" * 2000 + "a=:a" + ")" * 2000, "The expression has redundant parentheses;"),
        ("(" * 2000 + "a" + ")" * 2000 + "=:a", "The expression has redundant parentheses;"),
        ("NOT " * 1000 + "a=:a", TOO_MANY.partition(": ")[2]),
        ("NOT (" * 600 + "a=:a" + ")" * 600, TOO_MANY.partition(": ")[2]),
        ("(a=:a AND " * 370 + "a=:a" + ")" * 370, TOO_MANY.partition(": ")[2]),
        ("size(" * 600 + "a" + ")" * 600 + "=:a", TOO_MANY.partition(": ")[2]),
        ("size(" * 819, 'Syntax error; token: "<EOF>", near: "("'),
        (
            "a[" + "9" * 4080 + "]=:a",
            f"List index is not within the allowable range; index: [{'9' * 4080}]",
        ),
    ],
)
def test_deep_nesting_costs_no_stack(text: str, message: str) -> None:
    assert refusal(condition, text, A) == f"Invalid ConditionExpression: {message}"


def deepest() -> str:
    """Three operators for every two levels of the tree: 298 operators, 198 levels."""
    text = "a=:a"
    for level in range(99):
        text = f"NOT(a=:a {'AND' if level % 2 else 'OR'} {text})"
    return text


def test_the_deepest_expressions_that_are_allowed_are_evaluated() -> None:
    stored = item(a=s("x"))
    assert holds("NOT (" * 299 + "a=:a" + ")" * 299, stored, A) is False
    assert holds(deepest(), stored, A) is False
    nested = "if_not_exists(b," * 240 + ":a" + ")" * 240
    assert apply_update(update(f"SET c={nested}", A), {}).item == {"c": s("x")}


def test_many_paths_cost_one_step_each() -> None:
    names = [f"{first}{second}" for first in "bcdfghjklm" for second in "0123456789bcdfghjklmpqrtvwxz"]
    text = ", ".join(names)
    assert project(projection(text), dict.fromkeys(names, n(1))) == dict.fromkeys(names, n(1))
    assert "overlap" in refusal(projection, f"{text}, {names[0]}")


def test_what_was_parsed_is_kept_by_its_text_and_not_for_ever() -> None:
    assert parse_condition("a = :a") is parse_condition("a = :a")
    for number in range(KEPT_MAX + 10):
        parse_projection(f"a{number}")
    for parse in (parse_condition, parse_update, parse_projection):
        assert parse.cache_info().currsize <= KEPT_MAX


def test_the_573_reserved_words_are_refused_in_any_case() -> None:
    assert len(RESERVED_WORDS) == 573
    for word in sorted(RESERVED_WORDS):
        for spelled in (word, word.lower(), word.capitalize()):
            assert refusal(projection, f"a.{spelled}").startswith("Invalid ProjectionExpression: ")
    assert refusal(projection, "Zone").endswith("Attribute name is a reserved keyword; reserved keyword: Zone")
    projection("#z", {"#z": "zone"})


WORDS = """
a b l m #a :a :n ( ) [ ] . , = <> < <= > >= + - 0 1 99 AND or NOT between IN SET REMOVE add DELETE
size contains begins_with attribute_exists if_not_exists list_append name ' " _ é * {
"""
TOKENS = st.sampled_from((*WORDS.split(), "\n"))
TEXTS = st.text(max_size=60) | st.lists(TOKENS, max_size=25).map(" ".join) | st.lists(TOKENS, max_size=25).map("".join)
STORED = item(a=n(1), l=lst(n(1), s("x")), m=mp(a=lst()))


@settings(max_examples=400)
@given(TEXTS)
@example("\ud800 = :a")
@example("a = :a \U0001f600")
@example("\x00")
def test_any_text_is_read_or_refused(text: str) -> None:
    placeholders = Placeholders({"#a": "a"}, {":a": n(1), ":n": s("x")})
    uses: list[tuple[Callable[..., Any], Callable[[Any, Any], Any]]] = [
        (read_condition, matches),
        (read_update, apply_update),
        (read_projection, project),
    ]
    for read, use in uses:
        try:
            use(read(text, placeholders), STORED)
        except ExpressionError as error:
            assert str(error)


def test_reading_and_evaluating_leave_most_of_the_stack_to_the_caller() -> None:
    text, stored = deepest(), item(a=s("x"))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(frames() + limit // 3)
    try:
        assert holds(text, stored, A) is False
    finally:
        sys.setrecursionlimit(limit)


def frames() -> int:
    """How many calls are open."""
    frame: FrameType | None = sys._getframe()
    count = 0
    while frame is not None:
        count += 1
        frame = frame.f_back
    return count
