"""The shapes of DynamoDB's operations, read from the service model that botocore ships.

The model says which members an operation has, which are required, and their length, range and pattern limits. Where
the real service is stricter than its published model, or lists an enum in another order, `_AMENDED` says so.
"""

import gzip
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

API_VERSION: Final = "2012-08-10"
TARGET_PREFIX: Final = "DynamoDB_20120810."
ATTRIBUTE_VALUE: Final = "AttributeValue"
TABLE_ARN: Final = "TableArn"

_TABLE_NAME: Final = {"type": "string", "min": 3, "max": 255, "pattern": "[a-zA-Z0-9_.-]+"}
_GLOBAL_KEY_SCHEMA: Final = "GlobalIndexKeySchema"
_GLOBAL_INDEX_SHAPES: Final = ("GlobalSecondaryIndex", "CreateGlobalSecondaryIndexAction")
_AMENDED: Final[dict[str, dict[str, Any]]] = {
    TABLE_ARN: _TABLE_NAME,  # of the name in it
    "AttributeNameList": {"max": 255},
    "KeySchema": {"max": 2},
    _GLOBAL_KEY_SCHEMA: {"type": "list", "member": {"shape": "KeySchemaElement"}, "min": 1},
    "ProjectionType": {"enum": ["ALL", "INCLUDE", "KEYS_ONLY"]},
    "CreateTableInput": {"required": ["TableName", "AttributeDefinitions", "KeySchema"]},
    "ScalarAttributeType": {"enum": ["B", "N", "S"]},
    "ReturnValue": {"enum": ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"]},
    "ComparisonOperator": {
        "enum": [
            *("IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT"),
            *("NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"),
        ]
    },
    "ConditionalOperator": {"enum": ["OR", "AND"]},
    "Select": {"enum": ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"]},
}


class Reference(msgspec.Struct, frozen=True):
    """Names a shape."""

    shape: str


class Shape(msgspec.Struct, frozen=True):
    """One shape. `min` and `max` limit the length of strings, lists and maps, and the value of numbers."""

    type: str
    members: dict[str, Reference] = {}
    required: list[str] = []
    member: Reference | None = None
    key: Reference | None = None
    value: Reference | None = None
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    enum: list[str] = []


class OperationModel(msgspec.Struct, frozen=True):
    """An operation; `input` names the shape of its request."""

    name: str
    input: Reference


class ServiceModel(msgspec.Struct, frozen=True):
    """Every operation and shape, by name."""

    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]


@cache
def service_model() -> ServiceModel:
    """The model, read once in a process's life (about 20 ms)."""
    path = resources.files("botocore") / "data" / "dynamodb" / API_VERSION / "service-2.json.gz"
    document = msgspec.json.decode(gzip.decompress(path.read_bytes()))
    shapes = document["shapes"]
    for name, amendment in _AMENDED.items():
        shapes[name] = shapes.get(name, {}) | amendment
    for name in _GLOBAL_INDEX_SHAPES:  # have more key attributes than a table; how many is checked with the indexes
        shapes[name]["members"]["KeySchema"] = {"shape": _GLOBAL_KEY_SCHEMA}
    return msgspec.convert(document, ServiceModel)
