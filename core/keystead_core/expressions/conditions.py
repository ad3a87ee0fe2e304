"""Whether an item meets a condition.

An operand that the item does not have makes every comparison false but `<>`, which is the opposite of `=`. The depth of
calls is one per AND, OR and NOT on the way to a comparison, and neighbours of one kind are one.
"""

from collections.abc import Callable
from typing import Final

from keystead_core.expressions.paths import resolve
from keystead_core.expressions.tree import Condition, Literal, Node, Operation, Path
from keystead_core.expressions.values import Memo, are_equal, begins_with, compare, contains, size, type_of
from keystead_core.items import Attribute, Item


class _Subject:
    """What a condition is judged by."""

    __slots__ = ("item", "memo")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.memo = Memo()


def matches(condition: Condition, item: Item) -> bool:
    """`item` is empty where there is none."""
    return _holds(condition.root, _Subject(item))


def _holds(node: Node, subject: _Subject) -> bool:
    assert isinstance(node, Operation)
    match node.operator:
        case "AND" | "OR" as operator:
            decisive = operator == "OR"
            for operand in node.operands:
                if _holds(operand, subject) is decisive:
                    return decisive
            return not decisive
        case "NOT":
            return not _holds(node.operands[0], subject)
    return _PREDICATES[node.operator](node.operands, subject)


def _value(node: Node, subject: _Subject) -> Attribute | None:
    match node:
        case Path():
            return resolve(node, subject.item)
        case Literal(attribute=attribute):
            return attribute
        case Operation(operator="size", operands=(operand,)):
            sized = _value(operand, subject)
            count = None if sized is None else size(sized)
            return None if count is None else {"N": str(count)}
    raise AssertionError(f"{node} has no value")


Predicate = Callable[[tuple[Node, ...], _Subject], bool]


def _equal(operands: tuple[Node, ...], subject: _Subject) -> bool:
    one, other = _value(operands[0], subject), _value(operands[1], subject)
    return one is not None and other is not None and are_equal(one, other, subject.memo)


def _not_equal(operands: tuple[Node, ...], subject: _Subject) -> bool:
    return not _equal(operands, subject)


def _order(operands: tuple[Node, ...], subject: _Subject) -> int | None:
    one, other = _value(operands[0], subject), _value(operands[1], subject)
    return None if one is None or other is None else compare(one, other)


def _less(operands: tuple[Node, ...], subject: _Subject) -> bool:
    order = _order(operands, subject)
    return order is not None and order < 0


def _less_or_equal(operands: tuple[Node, ...], subject: _Subject) -> bool:
    order = _order(operands, subject)
    return order is not None and order <= 0


def _greater(operands: tuple[Node, ...], subject: _Subject) -> bool:
    order = _order(operands, subject)
    return order is not None and order > 0


def _greater_or_equal(operands: tuple[Node, ...], subject: _Subject) -> bool:
    order = _order(operands, subject)
    return order is not None and order >= 0


def _between(operands: tuple[Node, ...], subject: _Subject) -> bool:
    value, low, high = operands
    return _greater_or_equal((value, low), subject) and _less_or_equal((value, high), subject)


def _in(operands: tuple[Node, ...], subject: _Subject) -> bool:
    value = _value(operands[0], subject)
    if value is None:
        return False
    candidates = (_value(operand, subject) for operand in operands[1:])
    return any(candidate is not None and are_equal(value, candidate, subject.memo) for candidate in candidates)


def _exists(operands: tuple[Node, ...], subject: _Subject) -> bool:
    return _value(operands[0], subject) is not None


def _not_exists(operands: tuple[Node, ...], subject: _Subject) -> bool:
    return _value(operands[0], subject) is None


def _has_type(operands: tuple[Node, ...], subject: _Subject) -> bool:
    value, kind = _value(operands[0], subject), _value(operands[1], subject)
    assert kind is not None
    return value is not None and type_of(value) == kind["S"]


def _begins_with(operands: tuple[Node, ...], subject: _Subject) -> bool:
    value, prefix = _value(operands[0], subject), _value(operands[1], subject)
    return value is not None and prefix is not None and begins_with(value, prefix)


def _contains(operands: tuple[Node, ...], subject: _Subject) -> bool:
    value, part = _value(operands[0], subject), _value(operands[1], subject)
    return value is not None and part is not None and contains(value, part, subject.memo)


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
