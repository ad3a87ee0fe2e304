"""Builders for the structural OpenAPI v3 schemas of the custom resources.

Everything has a bound (`maxItems`, `maxLength`, `maxProperties`): the API server refuses CEL rules whose cost it
cannot bound. A schema is a plain dict, ready to be written as YAML.
"""

from typing import Any, Final

Schema = dict[str, Any]

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
DURATION_PATTERN: Final = r"^([0-9]+(ms|s|m|h))+$"
# The API server compares bounds as floating point numbers: 2**63 - 1 would overflow there and refuse everything.
LONG_MAX: Final = 2**53
DNS_LABEL_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def described(schema: Schema, description: str, **more: Any) -> Schema:
    """The schema with its description first, and with further keywords such as `default`."""
    return {"description": description, **schema, **more}


def text(description: str, *, length_max: int = 253, **more: Any) -> Schema:
    return described({"type": "string", "maxLength": length_max}, description, **more)


def choice(description: str, *values: str, **more: Any) -> Schema:
    return described({"type": "string", "enum": list(values)}, description, **more)


def integer(description: str, low: int, high: int, **more: Any) -> Schema:
    return described({"type": "integer", "format": "int32", "minimum": low, "maximum": high}, description, **more)


def long(description: str, low: int, high: int, **more: Any) -> Schema:
    return described({"type": "integer", "format": "int64", "minimum": low, "maximum": high}, description, **more)


def number(description: str, low: float, high: float, **more: Any) -> Schema:
    return described({"type": "number", "minimum": low, "maximum": high}, description, **more)


def boolean(description: str, **more: Any) -> Schema:
    return described({"type": "boolean"}, description, **more)


def quantity(description: str, **more: Any) -> Schema:
    return text(description, length_max=32, pattern=QUANTITY_PATTERN, **more)


def struct(description: str, properties: Schema, *, required: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object with exactly these properties; unknown ones are refused (strict) or pruned."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return described(schema, description, **more)


def with_own_default(schema: Schema) -> Schema:
    """The object's absence stands for the defaults of its fields. They are written out: the API server checks the CEL
    rules on a default as it stands, before it fills in what is inside."""
    properties: Schema = schema["properties"]
    return {**schema, "default": {name: field["default"] for name, field in properties.items() if "default" in field}}


def mapping(description: str, values: Schema, *, entries_max: int, **more: Any) -> Schema:
    schema = {"type": "object", "additionalProperties": values, "maxProperties": entries_max}
    return described(schema, description, **more)


def list_map(description: str, items: Schema, *, key: str, items_max: int, **more: Any) -> Schema:
    """A list whose items are told apart by the field `key`."""
    schema = {
        "type": "array",
        "maxItems": items_max,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
        "items": items,
    }
    return described(schema, description, **more)


def plain_list(description: str, items: Schema, *, items_max: int, **more: Any) -> Schema:
    """A list that is replaced as a whole."""
    return described({"type": "array", "maxItems": items_max, "items": items}, description, **more)


def string_set(description: str, items: Schema, *, items_max: int, **more: Any) -> Schema:
    schema = {"type": "array", "maxItems": items_max, "x-kubernetes-list-type": "set", "items": items}
    return described(schema, description, **more)


def rule(expression: str, message: str) -> Schema:
    """One CEL rule. It is a transition rule when it names `oldSelf`."""
    return {"rule": expression, "message": message}


def with_rules(schema: Schema, *rules: Schema) -> Schema:
    return {**schema, "x-kubernetes-validations": list(rules)}


def reference(description: str, **more: Any) -> Schema:
    """A reference to an object of the same namespace by its name."""
    name = text("Name of the object.", minLength=1)
    return struct(description, {"name": name}, required=("name",), **more)


def conditions() -> Schema:
    """The conditions of a status: a list-map by type, each with the generation that it was observed at."""
    condition = struct(
        "One aspect of the current state.",
        {
            "type": text("Name of the aspect.", length_max=316, minLength=1),
            "status": choice("Whether it holds; Unknown when it could not be read.", "True", "False", "Unknown"),
            "observedGeneration": long("The spec's generation that this is about.", 0, LONG_MAX),
            "lastTransitionTime": described({"type": "string", "format": "date-time"}, "When the status last changed."),
            "reason": text("One word for programs.", length_max=1024, minLength=1),
            "message": text("A sentence for people.", length_max=32768),
        },
        required=("type", "status", "lastTransitionTime", "reason", "message"),
    )
    return list_map("What is true of the object now.", condition, key="type", items_max=32)
