"""Putting names and values in the place of placeholders, and checking operands on the way.

A condition is bound from left to right, operands before their operator, and the first error is the one that is told. An
update is bound from its last action to its first, as the service does: all paths, then all values. So is a projection.
"""

from typing import Final

from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.paths import PathTree
from keystead_core.expressions.placeholders import Placeholders
from keystead_core.expressions.tree import (
    COMPARATORS,
    FUNCTION_OPERANDS,
    Action,
    Condition,
    Literal,
    Node,
    Operation,
    ParsedCondition,
    ParsedProjection,
    ParsedUpdate,
    Path,
    Placeholder,
    Projection,
    Update,
)
from keystead_core.expressions.values import ORDERED_TYPES, compare, type_of

_ALL_TYPES: Final = ("NS", "SS", "L", "BS", "N", "M", "B", "BOOL", "NULL", "S")
_TYPE_NAMES: Final = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
_OPERAND_TYPES: Final = {
    "begins_with": ("S", "B"),
    "size": ("S", "B", "SS", "NS", "BS", "L", "M"),
    "list_append": ("L",),
    "+": ("N",),
    "-": ("N",),
    "BETWEEN": ORDERED_TYPES,
    **dict.fromkeys(("<", "<=", ">", ">="), ORDERED_TYPES),
}
_RESULT_TYPES: Final = {"size": "N", "list_append": "L", "+": "N", "-": "N"}
_DISTINCT: Final = frozenset((*COMPARATORS, "BETWEEN", "IN", *FUNCTION_OPERANDS)) - {"list_append"}
_PATH_FUNCTIONS: Final = ("attribute_exists", "attribute_not_exists", "if_not_exists")
_LONG_NAMES: Final = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "L": "LIST", "M": "MAP"}
_ACTION_TYPES: Final = {"ADD": ("N", "SS", "NS", "BS"), "DELETE": ("SS", "NS", "BS")}


def bind_condition(parsed: ParsedCondition, placeholders: Placeholders) -> Condition:
    """Raises ExpressionError, its message without "Invalid ...:"."""
    root = _bind(parsed.root, placeholders)
    assert isinstance(root, Operation)
    return Condition(root)


def bind_update(parsed: ParsedUpdate, placeholders: Placeholders) -> Update:
    """Raises ExpressionError, its message without "Invalid ...:"."""
    paths = _bind_paths(tuple(action.path for action in parsed.actions), placeholders)
    actions = [
        Action(action.section, path, None if action.value is None else _bind_value(action, placeholders))
        for action, path in zip(reversed(parsed.actions), reversed(paths), strict=True)
    ]
    return Update(tuple(reversed(actions)))


def bind_projection(parsed: ParsedProjection, placeholders: Placeholders) -> Projection:
    """Raises ExpressionError, its message without "Invalid ...:"."""
    return Projection(_bind_paths(parsed.paths, placeholders))


def _bind_paths(parsed: tuple[Path, ...], placeholders: Placeholders) -> tuple[Path, ...]:
    tree = PathTree()
    paths = []
    for unbound in reversed(parsed):
        path = _bind_path(unbound, placeholders)
        tree.add(path)
        paths.append(path)
    return tuple(reversed(paths))


def _bind_path(path: Path, placeholders: Placeholders) -> Path:
    if not any(isinstance(element, str) and element[0] == "#" for element in path.elements):
        return path
    return Path(
        tuple(
            placeholders.name(element) if isinstance(element, str) and element[0] == "#" else element
            for element in path.elements
        )
    )


def _bind(node: Node, placeholders: Placeholders) -> Node:
    """One call per level of the tree: 300 operators are within the interpreter's stack."""
    match node:
        case Path():
            return _bind_path(node, placeholders)
        case Placeholder(name=name):
            return placeholders.value(name)
        case Literal():
            return node
    operands = []
    for operand in node.operands:
        operands.append(_bind(operand, placeholders))
    bound = Operation(node.operator, tuple(operands))
    _check_operands(bound)
    return bound


def _bind_value(action: Action, placeholders: Placeholders) -> Node:
    assert action.value is not None
    value = _bind(action.value, placeholders)
    allowed = _ACTION_TYPES.get(action.section)
    if allowed is not None:
        assert isinstance(value, Literal)
        kind = type_of(value.attribute)
        if kind not in allowed:
            raise ExpressionError(
                f"Incorrect operand type for operator or function; operator: {action.section}, "
                f"operand type: {_LONG_NAMES.get(kind, kind)}, typeSet: ALLOWED_FOR_{action.section}_OPERAND"
            )
    return value


def _check_operands(operation: Operation) -> None:
    operator, operands = operation.operator, operation.operands
    count = FUNCTION_OPERANDS.get(operator)
    if count is not None and len(operands) != count:
        raise ExpressionError(
            "Incorrect number of operands for operator or function; "
            f"operator or function: {operator}, number of operands: {len(operands)}"
        )
    if operator in _PATH_FUNCTIONS and not isinstance(operands[0], Path):
        raise ExpressionError(f"Operator or function requires a document path; operator or function: {operator}")
    allowed = _OPERAND_TYPES.get(operator)
    if allowed is not None:
        for operand in operands:
            kind = _static_type(operand)
            if kind is not None and kind not in allowed:
                raise _incorrect_type(operator, kind)
    if operator in _DISTINCT and isinstance(operands[0], Path) and operands[0] in operands[1:]:
        raise ExpressionError(
            "The first operand must be distinct from the remaining operands for this operator or function; "
            f"operator: {operator}, first operand: {operands[0]}"
        )
    if operator == "BETWEEN":
        _check_bounds(operands[1], operands[2])
    elif operator == "attribute_type":
        _check_type_name(operands[1])


def _static_type(node: Node) -> str | None:
    """The type that an operand is known to have whatever the item is."""
    if isinstance(node, Literal):
        return type_of(node.attribute)
    return _RESULT_TYPES.get(node.operator) if isinstance(node, Operation) else None


def _incorrect_type(operator: str, kind: str) -> ExpressionError:
    return ExpressionError(
        f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"
    )


def _check_bounds(low: Node, high: Node) -> None:
    if not isinstance(low, Literal) or not isinstance(high, Literal):
        return
    order = compare(low.attribute, high.attribute)
    if order is None:
        requirement = "same data type for lower and upper bounds"
    elif order > 0:
        requirement = "upper bound to be greater than or equal to lower bound"
    else:
        return
    raise ExpressionError(
        f"The BETWEEN operator requires {requirement}; "
        f"lower bound operand: {_shown(low)}, upper bound operand: {_shown(high)}"
    )


def _shown(literal: Literal) -> str:
    kind = type_of(literal.attribute)
    return f"AttributeValue: {{{kind}:{literal.attribute[kind]}}}"


def _check_type_name(operand: Node) -> None:
    kind = _static_type(operand)
    if not isinstance(operand, Literal) or kind != "S":
        raise _incorrect_type("attribute_type", f"{{{','.join(_ALL_TYPES)}}}" if kind is None else kind)
    name = operand.attribute["S"]
    if name not in _TYPE_NAMES:
        raise ExpressionError(
            f"Invalid attribute type name found; type: {name}, valid types: {{{','.join(_TYPE_NAMES)}}}"
        )
