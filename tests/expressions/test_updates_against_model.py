"""Random updates make of random items what a plain model makes of them."""

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.expressions import ExpressionError, Update, apply_update
from keystead_core.items import check_attributes
from tests.expressions.attributes import update
from tests.expressions.condition_model import MISSING, Rendered, lookup, to_attribute

INTEGERS = st.integers(-3, 3).map(Decimal)
SETS = st.frozensets(st.sampled_from("xyz"), min_size=1)
VALUES = st.recursive(
    st.sampled_from(["s", "t"]) | INTEGERS | SETS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=6,
)
ITEMS = st.fixed_dictionaries(
    {
        "a": st.lists(VALUES, min_size=1, max_size=4),
        "b": st.fixed_dictionaries({"x": INTEGERS | SETS, "y": st.lists(VALUES, min_size=1, max_size=3)}),
        "c": INTEGERS | SETS,
    },
    optional={"d": VALUES, "e": SETS},
)
OFTEN = [("a", 0), ("a", 1), ("a", 3), ("a", 7), ("a", 9), ("b", "x"), ("b", "z"), ("c",), ("d",), ("e",), ("f",)]
SELDOM = [("a",), ("b",), ("b", "y"), ("b", "y", 0), ("b", "y", 1), ("b", "y", 5), ("a", 1, "x"), ("d", 0), ("d", "x")]
PATHS = st.sampled_from([*OFTEN, *OFTEN, *SELDOM])
OPERANDS = st.tuples(st.just("path"), PATHS) | st.tuples(st.just("value"), VALUES)
NUMBERS = st.tuples(st.just("path"), PATHS) | st.tuples(st.just("value"), INTEGERS)
LISTS = st.tuples(st.just("path"), PATHS) | st.tuples(st.just("value"), st.lists(VALUES, max_size=2))
SUMS = st.one_of(
    OPERANDS,
    st.tuples(st.sampled_from(["+", "-"]), NUMBERS, NUMBERS),
    st.tuples(st.just("list_append"), LISTS, LISTS),
    st.tuples(st.just("if_not_exists"), st.tuples(st.just("path"), PATHS), OPERANDS).filter(
        lambda node: node[1] != node[2]
    ),
)
ACTIONS = st.one_of(
    st.tuples(st.just("SET"), PATHS, SUMS),
    st.tuples(st.just("SET"), PATHS, st.tuples(st.just("value"), VALUES)),
    st.tuples(st.just("REMOVE"), PATHS, st.none()),
    st.tuples(st.just("ADD"), PATHS, INTEGERS | SETS),
    st.tuples(st.just("DELETE"), PATHS, SETS),
)


class Refused(Exception):
    """The model refuses the update for this item."""


def do_not_meet(actions: list[Any]) -> bool:
    """No path is, contains or conflicts with another."""
    for position, (_, one, _) in enumerate(actions):
        for _, other, _ in actions[:position]:
            for mine, theirs in zip(one, other, strict=False):
                if type(mine) is not type(theirs):
                    return False
                if mine != theirs:
                    break
            else:
                return False
    return True


UPDATES = st.lists(ACTIONS, min_size=1, max_size=4).filter(do_not_meet)


def render(actions: list[Any], rendered: Rendered) -> str:
    sections = []
    for section in ("REMOVE", "SET", "DELETE", "ADD"):
        parts = [render_action(action, rendered) for action in actions if action[0] == section]
        if parts:
            sections.append(f"{section} {', '.join(parts)}")
    return " ".join(sections)


def render_action(action: Any, rendered: Rendered) -> str:
    section, path, value = action
    text = rendered.path(path)
    match section:
        case "REMOVE":
            return text
        case "SET":
            return f"{text} = {render_sum(value, rendered)}"
    return f"{text} {rendered.operand(('value', value))}"


def render_sum(node: Any, rendered: Rendered) -> str:
    match node:
        case (("+" | "-") as operator, one, other):
            return f"{rendered.operand(one)} {operator} {rendered.operand(other)}"
        case (("list_append" | "if_not_exists") as function, one, other):
            return f"{function}({rendered.operand(one)}, {rendered.operand(other)})"
    return rendered.operand(node)


def needed(value: Any, kind: type = object) -> Any:
    if value is MISSING or not isinstance(value, kind):
        raise Refused
    return value


def evaluate(node: Any, item: dict[str, Any]) -> Any:
    match node:
        case ("value", value):
            return value
        case ("path", path):
            return needed(lookup(path, item))
        case ("if_not_exists", ("path", path), default):
            otherwise = evaluate(default, item)
            found = lookup(path, item)
            return otherwise if found is MISSING else found
        case ("list_append", one, other):
            return needed(evaluate(one, item), list) + needed(evaluate(other, item), list)
    operator, one, other = node
    left, right = needed(evaluate(one, item), Decimal), needed(evaluate(other, item), Decimal)
    return left + right if operator == "+" else left - right


def outcome(action: Any, item: dict[str, Any]) -> Any:
    """What the action leaves at its path: a value, or MISSING."""
    section, path, value = action
    parent = lookup(path[:-1], item) if len(path) > 1 else item
    if not isinstance(parent, dict if isinstance(path[-1], str) else list):
        raise Refused
    old = lookup(path, item)
    match section:
        case "REMOVE":
            return MISSING
        case "SET":
            return evaluate(value, item)
    if old is not MISSING and type(old) is not type(value):
        raise Refused
    if section == "ADD":
        if old is MISSING:
            return value
        combine: Callable[[Any, Any], Any] = (lambda x, y: x + y) if isinstance(old, Decimal) else (lambda x, y: x | y)
        return combine(old, value)
    if old is MISSING:
        return MISSING
    return old - value or MISSING


def apply(actions: list[Any], item: dict[str, Any]) -> dict[str, Any]:
    outcomes = [(action[1], outcome(action, item)) for action in actions]
    after = copy.deepcopy(item)
    # Replacements first, then what is beyond the end by index, then removals from the highest index down.
    beyond = [entry for entry in outcomes if is_beyond(entry[0], item)]
    inside = [entry for entry in outcomes if not is_beyond(entry[0], item)]
    for path, value in inside:
        if value is not MISSING:
            parent_of(path, after)[path[-1]] = value
    for path, value in sorted(beyond, key=lambda entry: entry[0][-1]):
        if value is not MISSING:
            parent_of(path, after).append(value)
    gone = [path for path, value in inside if value is MISSING]
    parents = {path: parent_of(path, after) for path in gone}
    for path in sorted(gone, key=lambda path: path[-1] if isinstance(path[-1], int) else 0, reverse=True):
        if isinstance(path[-1], int):
            del parents[path][path[-1]]
        else:
            parents[path].pop(path[-1], None)
    return after


def is_beyond(path: tuple[Any, ...], item: dict[str, Any]) -> bool:
    return isinstance(path[-1], int) and path[-1] >= len(lookup(path[:-1], item))


def parent_of(path: tuple[Any, ...], item: dict[str, Any]) -> Any:
    return lookup(path[:-1], item) if len(path) > 1 else item


def normalised(value: Any) -> Any:
    """Sets without their order."""
    match value:
        case {"SS": elements}:
            return {"SS": sorted(elements)}
        case dict():
            return {name: normalised(member) for name, member in value.items()}
        case list():
            return [normalised(member) for member in value]
    return value


def attributes(item: dict[str, Any]) -> Any:
    stored = {name: to_attribute(value) for name, value in item.items()}
    check_attributes(stored)
    return stored


@settings(max_examples=400)
@given(UPDATES, ITEMS)
def test_an_update_makes_of_an_item_what_the_model_makes_of_it(actions: list[Any], item: dict[str, Any]) -> None:
    rendered = Rendered()
    text = render(actions, rendered)
    bound = update(text, rendered.values or None, rendered.names or None)
    bound = msgspec.msgpack.decode(msgspec.msgpack.encode(bound), type=Update)
    stored = attributes(item)
    before = copy.deepcopy(stored)
    try:
        expected = attributes(apply(actions, item))
    except Refused:
        expected = None
    try:
        after = apply_update(bound, stored).item
    except ExpressionError:
        after = None
    assert normalised(after) == normalised(expected), text
    assert stored == before
