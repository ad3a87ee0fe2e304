"""What every answer has to be: of a known type or of the operation's shape, and readable by boto3."""

import json
import zlib
from typing import Any

from botocore.model import Shape
from botocore.parsers import create_parser

from tests.api.fuzz.shapes import MODEL

COMMON_ERRORS = {
    *("SerializationException", "ValidationException", "UnknownOperationException", "AccessDeniedException"),
    *("ThrottlingException", "ServiceUnavailableException", "ResourceNotFoundException", "LimitExceededException"),
}
"""Of any operation: the common errors, and what those without errors of their own in the model say of a table."""
WITHOUT_MESSAGE = {"SerializationException", "UnknownOperationException"}
"""DynamoDB itself says no more than the type for what is no JSON and for an operation that it does not know."""
UNPUBLISHED = {"TableThroughputModeSummary"}
"""The service answers it, though its model does not say so."""
_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float),
}


def check_answer(operation: str, status: int, headers: dict[str, str], body: bytes) -> bool:
    """Whether the request was served. Raises AssertionError for an answer that no client should get."""
    assert headers["x-amz-crc32"] == str(zlib.crc32(body))
    output = MODEL.operation_model(operation).output_shape
    if status == 200 and output is None:
        assert body == b"", "the operation has nothing to answer"
        return True
    members = json.loads(body)
    parsed = create_parser("json").parse({"status_code": status, "headers": headers, "body": body}, output)
    if status == 200:
        check_shape(output, members, operation)
        assert set(parsed) - {"ResponseMetadata"} == set(members) - UNPUBLISHED, "the client lost something"
        return True
    assert status == 400, (status, body)
    kind = members["__type"].rpartition("#")[2]
    known = {error.name for error in MODEL.operation_model(operation).error_shapes}
    assert kind in known | COMMON_ERRORS, members
    message = members.get("message", members.get("Message"))
    assert message or kind in WITHOUT_MESSAGE, members
    assert parsed["Error"]["Code"] == kind
    return False


def check_shape(shape: Shape, value: Any, path: str) -> None:
    """Raises AssertionError where the value has another type than its shape, or members that the shape has not."""
    match shape.type_name:
        case "structure":
            assert isinstance(value, dict), path
            assert set(value) <= set(shape.members) | UNPUBLISHED, (path, set(value) - set(shape.members))
            assert set(shape.required_members) <= set(value), path
            for name in set(value) - UNPUBLISHED:
                check_shape(shape.members[name], value[name], f"{path}.{name}")
        case "list":
            assert isinstance(value, list), path
            for member in value:
                check_shape(shape.member, member, path + "[]")
        case "map":
            assert isinstance(value, dict), path
            for name, member in value.items():
                check_shape(shape.value, member, f"{path}[{name}]")
        case scalar:
            assert isinstance(value, _SCALARS[scalar]), (path, value)
            assert isinstance(value, bool) == (scalar == "boolean"), (path, value)
            assert not getattr(shape, "enum", None) or value in shape.enum, (path, value)
