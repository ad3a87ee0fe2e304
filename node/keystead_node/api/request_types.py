"""From JSON to a request's members: the first thing the service checks, answered with SerializationException.

Members that the model does not know and members that are null fall away. Strings, numbers and booleans are converted
as the service converts them, and every mismatch has its own, sometimes odd, wording.
"""

import binascii
import math
from typing import Any, Final

import msgspec

from keystead_node.api.errors import SerializationException, ValidationException
from keystead_node.api.service_model import ATTRIBUTE_VALUE, ServiceModel, Shape

_JAVA: Final = "com.amazonaws.dynamodb.v20120810."
_JAVA_TYPES: Final = {
    "string": "String",
    "boolean": "Boolean",
    "integer": "Integer",
    "long": "Long",
    "double": "Double",
}
_BITS: Final = {"Integer": 31, "Long": 63}
_TRUE: Final = ("TRUE", "1", "YES")
_FALSE: Final = ("FALSE", "0", "NO")
_MISPLACED_MAP: Final = "Start of structure or map found where not expected"
_GENERIC: Final = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of "
    "loader 'bootstrap')"
)
NESTED_TOO_DEEP: Final = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)


def parse_body(body: bytes) -> Any:
    """The JSON value of a request's body. Raises SerializationException, or ValidationException if nested absurdly."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise ValidationException(NESTED_TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SerializationException from None


def read_request(model: ServiceModel, operation: str, body: bytes) -> dict[str, Any]:
    """The members of a request, of the model's types. Raises SerializationException."""
    value = parse_body(body)
    shape_name = model.operations[operation].input.shape
    if not isinstance(value, dict):
        raise SerializationException(
            f"Unrecognized collection type class {_JAVA}{shape_name}"
            if isinstance(value, list)
            else "Unexpected value type in payload"
        )
    try:
        return _members(model, model.shapes[shape_name], value)
    except RecursionError:
        raise ValidationException(NESTED_TOO_DEEP) from None


def _members(model: ServiceModel, shape: Shape, value: dict[str, Any]) -> dict[str, Any]:
    members = {}
    for name, reference in shape.members.items():
        content = value.get(name)
        if content is not None:
            members[name] = _read(model, reference.shape, content, "structure")
    return members


def _read(model: ServiceModel, name: str, value: Any, inside: str) -> Any:
    """`inside` is the type of the shape that holds the value."""
    shape = model.shapes[name]
    match shape.type:
        case "structure":
            return _members(model, shape, _expect_structure(name, value, inside))
        case "list":
            return _read_list(model, shape, value, inside)
        case "map":
            return _read_map(model, shape, value, inside)
        case "blob":
            return _read_blob(value)
        case "boolean":
            return _read_boolean(value)
        case "string":
            return _read_string(value)
    return _read_number(_JAVA_TYPES[shape.type], value)


def _expect_structure(name: str, value: Any, inside: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        raise SerializationException(f"Unrecognized collection type class {_JAVA}{name}")
    raise SerializationException(
        "Unexpected field type" if inside == "structure" else "Unexpected value type in payload"
    )


def _read_list(model: ServiceModel, shape: Shape, value: Any, inside: str) -> list[Any]:
    assert shape.member is not None
    if isinstance(value, dict):
        raise SerializationException(_MISPLACED_MAP)
    if not isinstance(value, list):
        raise SerializationException("Unexpected field type" if inside == "structure" else _GENERIC)
    return [_read_inside(model, shape.member.shape, member, "list") for member in value]


def _read_map(model: ServiceModel, shape: Shape, value: Any, inside: str) -> dict[str, Any]:
    assert shape.value is not None
    if isinstance(value, list):
        raise SerializationException(
            f"Unrecognized collection type java.util.Map<java.lang.String, {_java_name(model, shape.value.shape)}>"
        )
    if not isinstance(value, dict):
        raise SerializationException("Unexpected field type" if inside == "structure" else _GENERIC)
    return {key: _read_inside(model, shape.value.shape, member, "map") for key, member in value.items()}


def _read_inside(model: ServiceModel, name: str, member: Any, inside: str) -> Any:
    if member is not None:
        return _read(model, name, member, inside)
    return {} if name == ATTRIBUTE_VALUE else None


def _java_name(model: ServiceModel, name: str) -> str:
    shape = model.shapes[name]
    if shape.type == "list" and shape.member is not None:
        return f"java.util.List<{_JAVA}{shape.member.shape}>"
    return f"java.lang.{_JAVA_TYPES[shape.type]}" if shape.type in _JAVA_TYPES else _JAVA + name


def _refuse_collection(java_type: str, value: Any) -> None:
    if isinstance(value, list):
        raise SerializationException(f"Unrecognized collection type class {java_type}")
    if isinstance(value, dict):
        raise SerializationException(_MISPLACED_MAP)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    return "NUMBER_VALUE" if isinstance(value, int) or value.is_integer() else "DECIMAL_VALUE"


def _read_string(value: Any) -> str:
    _refuse_collection("java.lang.String", value)
    if not isinstance(value, str):
        raise SerializationException(f"{_literal(value)} cannot be converted to String")
    return value


def _read_number(java_type: str, value: float | str | bool | list[Any] | dict[str, Any]) -> float:
    _refuse_collection(f"java.lang.{java_type}", value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise SerializationException(f"{_literal(value)} cannot be converted to {java_type}")
    if java_type == "Double":
        return value
    whole, bits = math.floor(value), _BITS[java_type]
    if not -(1 << bits) <= whole < 1 << bits:
        raise SerializationException(f"NUMBER_VALUE cannot be converted to {java_type}")
    return whole


def _read_boolean(value: Any) -> bool:
    _refuse_collection("java.lang.Boolean", value)
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise SerializationException(f"{_literal(value)} cannot be converted to Boolean")
    if value.upper() in _TRUE:
        return True
    if value.upper() in _FALSE:
        return False
    raise SerializationException("Unexpected token received from parser")


def _read_blob(value: Any) -> str:
    """Checks that the text is canonical base64 and leaves it as it is."""
    _refuse_collection("java.nio.ByteBuffer", value)
    if not isinstance(value, str):
        raise SerializationException("only base-64-encoded strings are convertible to bytes")
    if len(value) % 4:
        raise SerializationException(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(value)}")
    try:
        canonical = binascii.b2a_base64(binascii.a2b_base64(value, strict_mode=True), newline=False)
    except (binascii.Error, ValueError):
        canonical = b""
    if canonical.decode() != value:
        raise SerializationException("Invalid last non-pad Base64 character dectected")
    return value
