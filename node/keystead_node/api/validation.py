"""The limits that the service model sets on a request's members, in the service's words.

"N validation errors detected: Value 'x' at 'path' failed to satisfy constraint: ...; Value ..." names at most ten. A
value is rendered as the service renders it: [a, b] a list, {a=1} a map, Shape(member=value) a structure.
"""

import re
from functools import cache
from typing import Any, Final

from keystead_node.api.errors import ValidationException
from keystead_node.api.service_model import ATTRIBUTE_VALUE, TABLE_ARN, ServiceModel, Shape
from keystead_node.api.table_names import table_name

_ERRORS_MAX: Final = 10
_TABLE_OPERATIONS: Final = (
    "CreateTable",
    "DescribeTable",
    "DeleteTable",
    "UpdateTable",
    "DescribeTimeToLive",
    "UpdateTimeToLive",
    "DescribeContinuousBackups",
)
_BATCH_OPERATIONS: Final = ("BatchGetItem", "BatchWriteItem")


def check_request(model: ServiceModel, operation: str, members: dict[str, Any]) -> None:
    """Checks required members and limits. Raises ValidationException."""
    if operation in _TABLE_OPERATIONS and members.get("TableName") is None:
        raise ValidationException("The parameter 'TableName' is required but was not present in the request")
    if operation in _BATCH_OPERATIONS and members.get("RequestItems") == {}:
        raise ValidationException(f"The requestItems parameter is required for {operation}")
    errors: list[str] = []
    _check_members(model, model.shapes[model.operations[operation].input.shape], members, "", errors)
    if errors:
        plural = "s" if len(errors) > 1 else ""
        raise ValidationException(f"{len(errors)} validation error{plural} detected: {'; '.join(errors)}")


def _check_members(model: ServiceModel, shape: Shape, members: dict[str, Any], parent: str, errors: list[str]) -> None:
    for name, reference in shape.members.items():
        if len(errors) >= _ERRORS_MAX:
            return
        path = _join(parent, name[0].lower() + name[1:])
        value = members.get(name)
        if value is not None:
            _check_value(model, reference.shape, value, path, errors)
        elif name in shape.required:
            errors.append(f"Value null at '{path}' failed to satisfy constraint: Member must not be null")


def _check_value(model: ServiceModel, name: str, value: Any, path: str, errors: list[str]) -> None:
    shape = model.shapes[name]
    if name == TABLE_ARN:
        value = table_name(value)
    errors += [
        f"Value '{_render(model, name, value)}' at '{path}' failed to satisfy constraint: {constraint}"
        for constraint in _broken(model, shape, value)
    ][: _ERRORS_MAX - len(errors)]
    if name == ATTRIBUTE_VALUE:
        return  # has no limits of its own here; items.py checks it
    if shape.type == "structure":
        _check_members(model, shape, value, path, errors)
    elif shape.type == "list" and shape.member is not None:
        for number, member in enumerate(value, start=1):
            if member is not None and len(errors) < _ERRORS_MAX:
                _check_value(model, shape.member.shape, member, f"{path}.{number}.member", errors)
    elif shape.type == "map" and shape.value is not None:
        for key, member in value.items():
            if member is not None and len(errors) < _ERRORS_MAX:
                _check_inside_map(model, shape.value.shape, member, f"{path}.{key}.member", errors)


def _check_inside_map(model: ServiceModel, name: str, value: Any, path: str, errors: list[str]) -> None:
    """A map's error names the limits of its values' lengths itself: only what is inside the value is left."""
    shape = model.shapes[name]
    if shape.type != "list" or shape.member is None:
        _check_value(model, name, value, path, errors)
        return
    for number, member in enumerate(value, start=1):
        if member is not None and len(errors) < _ERRORS_MAX:
            _check_value(model, shape.member.shape, member, f"{path}.{number}.member", errors)


def _broken(model: ServiceModel, shape: Shape, value: Any) -> list[str]:
    """The constraints that a value breaks."""
    if shape.type in ("integer", "long", "double"):
        return _out_of_range("value", shape, value)
    if shape.type not in ("string", "list", "map"):
        return []
    broken = _out_of_range("length", shape, len(value))
    if shape.type == "string":
        if shape.enum and value not in shape.enum:
            broken.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        if not broken and shape.pattern and not _pattern(shape.pattern).fullmatch(value):
            broken.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
    elif shape.type == "map" and shape.key is not None and shape.value is not None:
        key, member = model.shapes[shape.key.shape], model.shapes[shape.value.shape]
        names = map(table_name, value) if shape.key.shape == TABLE_ARN else value
        if any(_broken(model, key, name) for name in names):
            broken.append(f"Map keys must satisfy constraint: [{', '.join(_limits(key))}]")
        if any(member.type == "list" and _broken(model, member, content or []) for content in value.values()):
            broken.append(f"Map value must satisfy constraint: [{', '.join(_limits(member))}]")
    return broken


def _out_of_range(what: str, shape: Shape, measure: float) -> list[str]:
    if shape.min is not None and measure < shape.min:
        return [f"Member must have {what} greater than or equal to {shape.min:.0f}"]
    if shape.max is not None and measure > shape.max:
        return [f"Member must have {what} less than or equal to {shape.max:.0f}"]
    return []


def _limits(shape: Shape) -> list[str]:
    limits = []
    if shape.max is not None:
        limits.append(f"Member must have length less than or equal to {shape.max:.0f}")
    if shape.min is not None:
        limits.append(f"Member must have length greater than or equal to {shape.min:.0f}")
    if shape.pattern is not None:
        limits.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
    return limits


def _render(model: ServiceModel, name: str, value: Any) -> str:
    shape = model.shapes[name]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if shape.type == "structure":
        members = (
            f"{member[0].lower()}{member[1:]}={_render(model, shape.members[member].shape, content)}"
            for member, content in value.items()
        )
        return f"{name}({', '.join(members)})"
    if shape.type == "list" and shape.member is not None:
        return f"[{', '.join(_render(model, shape.member.shape, member) for member in value)}]"
    if shape.type == "map" and shape.value is not None:
        return f"{{{', '.join(f'{key}={_render(model, shape.value.shape, member)}' for key, member in value.items())}}}"
    return str(value)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _join(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name
