"""The parameters that expressions replaced, compiled into the same conditions, updates and projections.

Expected, QueryFilter and ScanFilter become a Condition, AttributeUpdates an Update, AttributesToGet a Projection and
KeyConditions a KeyCondition. Names of attributes are whole: a dot in them leads nowhere. Values are checked and their
numbers normalised in place, which raises ExpressionError, or ItemShapeError if a value is no attribute value.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.keys import KeyComparison, KeyCondition, KeySchema, select_keys
from keystead_core.expressions.tree import Action, Condition, Literal, Operation, Path, Projection, Update
from keystead_core.expressions.values import ORDERED_TYPES, SET_TYPES, compare, type_of
from keystead_core.items import Attribute, ItemError, check_attributes

_INVALID: Final = "One or more parameter values were invalid: "
_OPERATORS: Final = (
    *("IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT"),
    *("NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"),
)
_SPELLING: Final = {
    "EQ": "=",
    "NE": "<>",
    "LE": "<=",
    "LT": "<",
    "GE": ">=",
    "GT": ">",
    "BETWEEN": "BETWEEN",
    "IN": "IN",
    "CONTAINS": "contains",
    "BEGINS_WITH": "begins_with",
    "NULL": "attribute_not_exists",
    "NOT_NULL": "attribute_exists",
}
_CONTAINED_TYPES: Final = (*ORDERED_TYPES, "BOOL", "NULL")
_VALUE_TYPES: Final = {
    **dict.fromkeys(("LE", "LT", "GE", "GT", "BETWEEN", "IN"), ORDERED_TYPES),
    **dict.fromkeys(("CONTAINS", "NOT_CONTAINS"), _CONTAINED_TYPES),
    "BEGINS_WITH": ("S", "B"),
}
_ADDED_TYPES: Final = ("N", "L", *SET_TYPES)


def expected_condition(
    expected: Mapping[str, Mapping[str, Any]], conditional_operator: str | None = None
) -> Condition | None:
    """{name: {Value, Exists} or {ComparisonOperator, AttributeValueList or Value}}, of which all (AND) or one (OR) must
    hold. None if nothing is expected. Raises ExpressionError."""
    _check_conditional_operator(conditional_operator, expected)
    return _joined([_expectation(name, entry) for name, entry in expected.items()], conditional_operator)


def filter_condition(
    conditions: Mapping[str, Mapping[str, Any]], conditional_operator: str | None, parameter: str
) -> Condition | None:
    """{name: {ComparisonOperator, AttributeValueList}} of a QueryFilter or ScanFilter. Raises ExpressionError."""
    _check_conditional_operator(conditional_operator, conditions)
    parts = [_filter(name, entry, parameter) for name, entry in conditions.items()]
    return _joined(parts, conditional_operator)


def key_conditions(conditions: Mapping[str, Mapping[str, Any]], schema: KeySchema) -> KeyCondition:
    """KeyConditions, as a query reads the index by them. Raises ExpressionError."""
    return select_keys(key_comparisons(conditions), schema)


def key_comparisons(conditions: Mapping[str, Mapping[str, Any]]) -> list[KeyComparison]:
    """KeyConditions as far as they can be checked without a schema. Raises ExpressionError."""
    comparisons = []
    for name, entry in conditions.items():
        operator = _checked_operator(name, entry.get("ComparisonOperator"), "KeyConditions")
        values = _checked_values(operator, entry.get("AttributeValueList") or [])
        comparisons.append(KeyComparison(name, _SPELLING.get(operator, operator), tuple(values)))
    return comparisons


def attribute_updates(updates: Mapping[str, Mapping[str, Any]]) -> Update:
    """{name: {Action, Value}}; without an Action, PUT. Raises ExpressionError."""
    return Update(tuple(_action(name, entry) for name, entry in updates.items()), is_legacy=True)


def attributes_to_get(names: Sequence[str]) -> Projection:
    """Raises ExpressionError if a name is there twice, or empty."""
    for position, name in enumerate(names):
        _check_name(name)
        if name in names[:position]:
            raise ExpressionError(f"{_INVALID}Duplicate value in attribute name: {name}")
    return Projection(tuple(Path((name,)) for name in names))


def _check_conditional_operator(operator: str | None, conditions: Mapping[str, Any]) -> None:
    if operator is None:
        return
    if operator not in ("AND", "OR"):
        raise ExpressionError(
            f"1 validation error detected: Value '{operator}' at 'conditionalOperator' failed to satisfy constraint: "
            "Member must satisfy enum value set: [OR, AND]"
        )
    if not conditions:
        raise ExpressionError("ConditionalOperator cannot be used without Filter or Expected")
    if len(conditions) == 1:
        raise ExpressionError("ConditionalOperator can only be used when Filter or Expected has two or more elements")


def _joined(parts: list[Operation], conditional_operator: str | None) -> Condition | None:
    if not parts:
        return None
    return Condition(parts[0] if len(parts) == 1 else Operation(conditional_operator or "AND", tuple(parts)))


def _expectation(name: str, entry: Mapping[str, Any]) -> Operation:
    _check_name(name)
    value, values, operator = entry.get("Value"), entry.get("AttributeValueList"), entry.get("ComparisonOperator")
    exists = entry.get("Exists")
    if value is not None and values is not None:
        raise ExpressionError(f"{_INVALID}Value and AttributeValueList cannot be used together for Attribute: {name}")
    if operator is None:
        if values is not None:
            raise ExpressionError(
                f"{_INVALID}AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}"
            )
        return _existence(name, value, exists)
    if exists is not None:
        raise ExpressionError(f"{_INVALID}Exists and ComparisonOperator cannot be used together for Attribute: {name}")
    operator = _checked_operator(name, operator, "Expected")
    if value is None and values is None and operator not in ("NULL", "NOT_NULL"):
        raise ExpressionError(
            f"{_INVALID}Value or AttributeValueList must be used with ComparisonOperator: {operator} "
            f"for Attribute: {name}"
        )
    if values is None:
        values = [] if value is None else [value]
    return _compiled(name, operator, _checked_values(operator, values))


def _existence(name: str, value: Attribute | None, exists: bool | None) -> Operation:
    if exists is False:
        if value is not None:
            raise ExpressionError(f"{_INVALID}Value cannot be used when Exists is false for Attribute: {name}")
        return Operation("attribute_not_exists", (Path((name,)),))
    if value is None:
        shown = "null" if exists is None else "true"
        raise ExpressionError(f"{_INVALID}Value must be provided when Exists is {shown} for Attribute: {name}")
    return _compiled(name, "EQ", _checked_values("EQ", [value]))


def _filter(name: str, entry: Mapping[str, Any], parameter: str) -> Operation:
    _check_name(name)
    operator = _checked_operator(name, entry.get("ComparisonOperator"), parameter)
    return _compiled(name, operator, _checked_values(operator, entry.get("AttributeValueList") or []))


def _compiled(name: str, operator: str, values: Sequence[Attribute]) -> Operation:
    path = Path((name,))
    if operator == "NOT_CONTAINS":
        has_it = Operation("contains", (path, Literal(values[0])))
        return Operation("AND", (Operation("attribute_exists", (path,)), Operation("NOT", (has_it,))))
    return Operation(_SPELLING[operator], (path, *map(Literal, values)))


def _checked_operator(name: str, operator: str | None, parameter: str) -> str:
    if operator in _OPERATORS:
        return operator
    shown, constraint = "null", "not be null"
    if operator is not None:
        shown, constraint = f"'{operator}'", f"satisfy enum value set: [{', '.join(_OPERATORS)}]"
    raise ExpressionError(
        f"1 validation error detected: Value {shown} at "
        f"'{parameter[0].lower()}{parameter[1:]}.{name}.member.comparisonOperator' "
        f"failed to satisfy constraint: Member must {constraint}"
    )


def _checked_values(operator: str, values: Sequence[Attribute]) -> Sequence[Attribute]:
    for value in values:
        _check_value(value)
    if not _is_count_right(operator, len(values)):
        raise ExpressionError(f"{_INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator")
    if any(type_of(value) != type_of(values[0]) for value in values):
        raise ExpressionError(f"{_INVALID}AttributeValues inside AttributeValueList must be of same type")
    allowed = _VALUE_TYPES.get(operator)
    if values and allowed is not None and type_of(values[0]) not in allowed:
        raise ExpressionError(
            f"{_INVALID}ComparisonOperator {operator} is not valid for {type_of(values[0])} AttributeValue type"
        )
    if operator == "BETWEEN" and (compare(values[0], values[1]) or 0) > 0:
        raise ExpressionError(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )
    return values


def _is_count_right(operator: str, count: int) -> bool:
    match operator:
        case "NULL" | "NOT_NULL":
            return count == 0
        case "BETWEEN":
            return count == 2
        case "IN":
            return count > 0
    return count == 1


def _action(name: str, entry: Mapping[str, Any]) -> Action:
    _check_name(name)
    action, value = entry.get("Action") or "PUT", entry.get("Value")
    if action not in ("ADD", "DELETE", "PUT"):
        raise ExpressionError(
            f"1 validation error detected: Value '{action}' at 'attributeUpdates.{name}.member.action' "
            "failed to satisfy constraint: Member must satisfy enum value set: [ADD, DELETE, PUT]"
        )
    path = Path((name,))
    if value is None:
        if action != "DELETE":
            raise ExpressionError(f"{_INVALID}Only DELETE action is allowed when no attribute value is specified")
        return Action("REMOVE", path)
    _check_value(value)
    kind = type_of(value)
    if action == "DELETE" and kind not in SET_TYPES:
        raise ExpressionError(f"{_INVALID}DELETE action with value is not supported for the type {kind}")
    if action == "ADD" and kind not in _ADDED_TYPES:
        raise ExpressionError(f"{_INVALID}ADD action is not supported for the type {kind}")
    return Action("SET" if action == "PUT" else action, path, Literal(value))


def _check_name(name: str) -> None:
    if not name:
        raise ExpressionError("Empty attribute name")


def _check_value(value: Attribute) -> None:
    try:
        check_attributes({"": value})
    except ItemError as error:
        raise ExpressionError(str(error)) from None
