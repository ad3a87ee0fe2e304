"""A plain model of conditions: random trees of tuples, their text, and what they mean for Python values.

A value is a Python value: str, bytes, Decimal, bool, None, frozenset of str, bytes or Decimal, list or dict.
"""

import base64
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from keystead_core.items import Attribute

MISSING = object()
NAMES = ("a", "b", "c")

STRINGS = st.sampled_from(["", "a", "ab", "b", "é", "😀"])
NUMBERS = st.sampled_from([Decimal(0), Decimal("-1.5"), Decimal(1), Decimal(2), Decimal("1E+20"), Decimal("1E-20")])
BINARIES = st.sampled_from([b"", b"\x00", b"\x00\x01", b"\xff"])
SCALARS = STRINGS | NUMBERS | BINARIES
VALUES = st.recursive(
    SCALARS
    | st.booleans()
    | st.none()
    | st.one_of(*(st.frozensets(kind, min_size=1, max_size=2) for kind in (STRINGS, NUMBERS, BINARIES))),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
ITEMS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
PATHS = st.tuples(st.sampled_from(NAMES), *[st.sampled_from([None, None, None, "x", "y", 0, 1])] * 2).map(
    lambda elements: tuple(element for element in elements if element is not None)
)


def to_attribute(value: Any) -> Attribute:
    match value:
        case str():
            return {"S": value}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case Decimal():
            return {"N": str(value)}
        case list():
            return {"L": [to_attribute(member) for member in value]}
        case dict():
            return {"M": {name: to_attribute(member) for name, member in value.items()}}
    members = [to_attribute(member) for member in sorted(value)]
    (kind,) = members[0]
    return {kind + "S": [member[kind] for member in members]}


def type_name(value: Any) -> str:
    return next(iter(to_attribute(value)))


# An operand is ("path", elements), ("value", value) or ("size", operand).

OPERANDS = st.one_of(
    st.tuples(st.just("path"), PATHS),
    st.tuples(st.just("path"), PATHS),
    st.tuples(st.just("value"), VALUES),
    st.tuples(st.just("size"), st.tuples(st.just("path"), PATHS)),
)
ORDERED_OPERANDS = st.one_of(
    st.tuples(st.just("path"), PATHS),
    st.tuples(st.just("value"), SCALARS),
    st.tuples(st.just("size"), st.tuples(st.just("path"), PATHS)),
)
PREFIXES = st.one_of(st.tuples(st.just("path"), PATHS), st.tuples(st.just("value"), STRINGS | BINARIES))
PATH_OPERANDS = st.tuples(st.just("path"), PATHS)
TYPE_NAMES = st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"])


def is_distinct(node: Any) -> bool:
    return node[1][0] != "path" or node[1] not in node[2:]


LEAVES = st.one_of(
    st.tuples(st.sampled_from(["=", "<>"]), OPERANDS, OPERANDS),
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), ORDERED_OPERANDS, ORDERED_OPERANDS),
    st.tuples(st.just("BETWEEN"), ORDERED_OPERANDS, ORDERED_OPERANDS, PATH_OPERANDS),
    st.tuples(st.just("IN"), OPERANDS, OPERANDS, OPERANDS),
    st.tuples(st.just("contains"), OPERANDS, OPERANDS),
    st.tuples(st.just("begins_with"), PREFIXES, PREFIXES),
    st.tuples(st.sampled_from(["attribute_exists", "attribute_not_exists"]), PATH_OPERANDS),
    st.tuples(st.just("attribute_type"), OPERANDS, st.tuples(st.just("value"), TYPE_NAMES)),
).filter(is_distinct)
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), inner, inner) | st.tuples(st.just("NOT"), inner),
    max_leaves=8,
)


class Rendered:
    """The text of a tree, with values and some names as placeholders."""

    def __init__(self) -> None:
        self.values: dict[str, Attribute] = {}
        self.names: dict[str, str] = {}

    def condition(self, node: Any, level: int = 0) -> str:
        """Parentheses only where precedence asks for them: OR 0, AND 1, NOT 2."""
        match node:
            case ("OR", one, other):
                return self._grouped(f"{self.condition(one, 0)} OR {self.condition(other, 1)}", level > 0)
            case ("AND", one, other):
                return self._grouped(f"{self.condition(one, 1)} and {self.condition(other, 2)}", level > 1)
            case ("NOT", inner):
                return f"NOT {self.condition(inner, 2)}"
            case ("BETWEEN", value, low, high):
                return f"{self.operand(value)} BETWEEN {self.operand(low)} AND {self.operand(high)}"
            case ("IN", value, *candidates):
                return f"{self.operand(value)} in ({', '.join(map(self.operand, candidates))})"
            case (("=" | "<>" | "<" | "<=" | ">" | ">=") as operator, one, other):
                return f"{self.operand(one)} {operator} {self.operand(other)}"
        return f"{node[0]}({', '.join(map(self.operand, node[1:]))})"

    def operand(self, node: Any) -> str:
        match node:
            case ("path", elements):
                return self.path(elements)
            case ("value", value):
                key = f":v{len(self.values)}"
                self.values[key] = to_attribute(value)
                return key
        return f"size({self.operand(node[1])})"

    def path(self, elements: tuple[Any, ...]) -> str:
        text = ""
        for element in elements:
            if isinstance(element, int):
                text += f"[{element}]"
            elif element in ("b", "y"):
                self.names[f"#{element}"] = element
                text += f".#{element}" if text else f"#{element}"
            else:
                text += f".{element}" if text else element
        return text

    def _grouped(self, text: str, is_needed: bool) -> str:
        return f"({text})" if is_needed else text


def lookup(elements: tuple[Any, ...], item: dict[str, Any]) -> Any:
    value: Any = item
    for element in elements:
        if isinstance(element, int):
            if not isinstance(value, list) or element >= len(value):
                return MISSING
        elif not isinstance(value, dict) or element not in value:
            return MISSING
        value = value[element]
    return value


def evaluate(node: Any, item: dict[str, Any]) -> Any:
    """An operand's value, or MISSING."""
    match node:
        case ("path", elements):
            return lookup(elements, item)
        case ("value", value):
            return value
    value = evaluate(node[1], item)
    if isinstance(value, str):
        return Decimal(len(value.encode("utf-16-le")) // 2)
    return Decimal(len(value)) if isinstance(value, (bytes, frozenset, list, dict)) else MISSING


def same(one: Any, other: Any) -> bool:
    return one is not MISSING and other is not MISSING and to_attribute(one) == to_attribute(other)


def ordered(one: Any, other: Any, test: Callable[[Any, Any], bool]) -> bool:
    if (
        one is MISSING
        or other is MISSING
        or type_name(one) != type_name(other)
        or type_name(one) not in ("S", "N", "B")
    ):
        return False
    return test(one.encode(), other.encode()) if isinstance(one, str) else test(one, other)


def has(value: Any, part: Any) -> bool:
    match value:
        case str() | bytes():
            return type(part) is type(value) and part in value
        case list():
            return any(same(member, part) for member in value)
        case frozenset():
            return type(part) in (str, bytes, Decimal) and part in value
    return False


def meets(node: Any, item: dict[str, Any]) -> bool:
    operator, *rest = node
    match operator:
        case "AND":
            return meets(rest[0], item) and meets(rest[1], item)
        case "OR":
            return meets(rest[0], item) or meets(rest[1], item)
        case "NOT":
            return not meets(rest[0], item)
    values = [evaluate(operand, item) for operand in rest]
    match operator:
        case "=":
            return same(*values)
        case "<>":
            return not same(*values)
        case "<":
            return ordered(*values, lambda one, other: one < other)
        case "<=":
            return ordered(*values, lambda one, other: one <= other)
        case ">":
            return ordered(*values, lambda one, other: one > other)
        case ">=":
            return ordered(*values, lambda one, other: one >= other)
        case "BETWEEN":
            below = ordered(values[1], values[0], lambda one, other: one <= other)
            return below and ordered(values[0], values[2], lambda one, other: one <= other)
        case "IN":
            return any(same(values[0], candidate) for candidate in values[1:])
        case "attribute_exists":
            return values[0] is not MISSING
        case "attribute_not_exists":
            return values[0] is MISSING
        case "attribute_type":
            return values[0] is not MISSING and type_name(values[0]) == values[1]
        case "begins_with":
            value, prefix = values
            return type(value) is type(prefix) and type(value) in (str, bytes) and value.startswith(prefix)
        case "contains":
            return values[1] is not MISSING and has(values[0], values[1])
    raise AssertionError(operator)
