"""Whether an item meets a condition.

An operand that the item does not have makes every comparison false but `<>`, which is the opposite of `=`. The depth of
calls is one per AND, OR and NOT on the way to a comparison, and neighbours of one kind are one.
"""

from collections.abc import Callable
from typing import Final

from keystead_core.expressions.paths import resolve
from keystead_core.expressions.tree import Condition, Literal, Node, Operation, Path
from keystead_core.expressions.values import are_equal, begins_with, compare, contains, size, type_of
from keystead_core.items import Attribute, Item


def matches(condition: Condition, item: Item) -> bool:
    """`item` is empty where there is none."""
    return _holds(condition.root, item)


def _holds(node: Node, item: Item) -> bool:
    assert isinstance(node, Operation)
    match node.operator:
        case "AND" | "OR" as operator:
            decisive = operator == "OR"
            for operand in node.operands:
                if _holds(operand, item) is decisive:
                    return decisive
            return not decisive
        case "NOT":
            return not _holds(node.operands[0], item)
    return _PREDICATES[node.operator](node.operands, item)


def _value(node: Node, item: Item) -> Attribute | None:
    match node:
        case Path():
            return resolve(node, item)
        case Literal(attribute=attribute):
            return attribute
        case Operation(operator="size", operands=(operand,)):
            sized = _value(operand, item)
            count = None if sized is None else size(sized)
            return None if count is None else {"N": str(count)}
    raise AssertionError(f"{node} has no value")


Predicate = Callable[[tuple[Node, ...], Item], bool]


def _equal(operands: tuple[Node, ...], item: Item) -> bool:
    one, other = _value(operands[0], item), _value(operands[1], item)
    return one is not None and other is not None and are_equal(one, other)


def _not_equal(operands: tuple[Node, ...], item: Item) -> bool:
    return not _equal(operands, item)


def _order(operands: tuple[Node, ...], item: Item) -> int | None:
    one, other = _value(operands[0], item), _value(operands[1], item)
    return None if one is None or other is None else compare(one, other)


def _less(operands: tuple[Node, ...], item: Item) -> bool:
    order = _order(operands, item)
    return order is not None and order < 0


def _less_or_equal(operands: tuple[Node, ...], item: Item) -> bool:
    order = _order(operands, item)
    return order is not None and order <= 0


def _greater(operands: tuple[Node, ...], item: Item) -> bool:
    order = _order(operands, item)
    return order is not None and order > 0


def _greater_or_equal(operands: tuple[Node, ...], item: Item) -> bool:
    order = _order(operands, item)
    return order is not None and order >= 0


def _between(operands: tuple[Node, ...], item: Item) -> bool:
    value, low, high = operands
    return _greater_or_equal((value, low), item) and _less_or_equal((value, high), item)


def _in(operands: tuple[Node, ...], item: Item) -> bool:
    value = _value(operands[0], item)
    if value is None:
        return False
    candidates = (_value(operand, item) for operand in operands[1:])
    return any(candidate is not None and are_equal(value, candidate) for candidate in candidates)


def _exists(operands: tuple[Node, ...], item: Item) -> bool:
    return _value(operands[0], item) is not None


def _not_exists(operands: tuple[Node, ...], item: Item) -> bool:
    return _value(operands[0], item) is None


def _has_type(operands: tuple[Node, ...], item: Item) -> bool:
    value, kind = _value(operands[0], item), _value(operands[1], item)
    assert kind is not None
    return value is not None and type_of(value) == kind["S"]


def _begins_with(operands: tuple[Node, ...], item: Item) -> bool:
    value, prefix = _value(operands[0], item), _value(operands[1], item)
    return value is not None and prefix is not None and begins_with(value, prefix)


def _contains(operands: tuple[Node, ...], item: Item) -> bool:
    value, part = _value(operands[0], item), _value(operands[1], item)
    return value is not None and part is not None and contains(value, part)


_PREDICATES: Final[dict[str, Predicate]] = {
    "=": _equal,
    "<>": _not_equal,
    "<": _less,
    "<=": _less_or_equal,
    ">": _greater,
    ">=": _greater_or_equal,
    "BETWEEN": _between,
    "IN": _in,
    "attribute_exists": _exists,
    "attribute_not_exists": _not_exists,
    "attribute_type": _has_type,
    "begins_with": _begins_with,
    "contains": _contains,
}
