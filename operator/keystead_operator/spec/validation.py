"""Validates custom resources against the schemas of crds/, with the words of the API server.

All errors of an object are found at once. `old` is the object as it is stored now, for rules about changes.
Where a part of an object has errors, the CEL rules that look at it are left out: they could only repeat them.
"""

import json
import re
from typing import Any, Final

import msgspec

from keystead_operator.spec.generate import definitions
from keystead_operator.spec.schema import Schema

_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_NAME_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong: the path of the field and what the API server would say about it."""

    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}"


class Verdict(msgspec.Struct, frozen=True):
    """What was found. `unknown` are the paths of fields that the schema does not have."""

    errors: list[FieldError]
    unknown: list[str]

    @property
    def ok(self) -> bool:
        return not self.errors and not self.unknown


def schemas() -> dict[str, Schema]:
    """kind -> schema of the whole object."""
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in definitions()
    }


def with_defaults(value: Any, schema: Schema) -> Any:
    """A copy of the value in which absent fields, and nulls, have the schema's defaults where it has some."""
    if isinstance(value, dict):
        properties: Schema = schema.get("properties", {})
        filled = {}
        for name, part in value.items():
            field = properties.get(name)
            if part is None and field is not None and "default" in field:
                continue
            filled[name] = with_defaults(part, field) if field is not None else part
        for name, field in properties.items():
            if name not in filled and "default" in field:
                filled[name] = with_defaults(field["default"], field)
        return filled
    if isinstance(value, list):
        return [with_defaults(part, schema.get("items", {})) for part in value]
    return value


def validate(manifest: dict[str, Any], schema: Schema, old: dict[str, Any] | None = None) -> Verdict:
    """Checks an object that already has its defaults (see `with_defaults`)."""
    walk = _Walk()
    walk.check_name(manifest.get("metadata"))
    walk.value(manifest, schema, "", old)
    return Verdict(walk.errors, walk.unknown)


class _Walk:
    """Goes through a value and its schema, and collects what is wrong."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.unknown: list[str] = []

    def check_name(self, metadata: Any) -> None:
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not name:
            self._add("metadata.name", "Required value: name or generateName is required")
        elif not isinstance(name, str) or len(name) > 253 or not _NAME.match(name):
            self._add("metadata.name", f"Invalid value: {json.dumps(name)}: {_NAME_RULE}")

    def _add(self, path: str, detail: str) -> None:
        self.errors.append(FieldError(path, detail))

    def _invalid(self, path: str, value: Any, rule: str) -> None:
        self._add(path, f"Invalid value: {_shown(value)}: {path} in body {rule}")

    def value(self, value: Any, schema: Schema, path: str, old: Any) -> None:
        found_before = len(self.errors) + len(self.unknown)
        kind = schema.get("type")
        if not _is_a(value, kind):
            self._add(
                path or "<root>",
                f'Invalid value: "{_type_name(value)}": {path} in body must be of type {kind}: "{_type_name(value)}"',
            )
            return
        match kind:
            case "object":
                self._object(value, schema, path, old)
            case "array":
                self._array(value, schema, path, old)
            case "string":
                self._string(value, schema, path)
            case "integer" | "number":
                self._number(value, schema, path)
        if "enum" in schema and value not in schema["enum"]:
            supported = ", ".join(json.dumps(one) for one in schema["enum"])
            self._add(path, f"Unsupported value: {_shown(value)}: supported values: {supported}")
        if len(self.errors) + len(self.unknown) == found_before:
            self._rules(value, schema, path, old)

    def _object(self, value: dict[str, Any], schema: Schema, path: str, old: Any) -> None:
        before = old if isinstance(old, dict) else {}
        for name in schema.get("required", []):
            if name not in value:
                self._add(_join(path, name), "Required value")
        properties: Schema | None = schema.get("properties")
        additional: Schema | None = schema.get("additionalProperties")
        if additional is not None and len(value) > schema.get("maxProperties", len(value)):
            self._add(path, f"Too many: {len(value)}: must have at most {schema['maxProperties']} items")
        for name, part in value.items():
            if properties is not None and name in properties:
                self.value(part, properties[name], _join(path, name), before.get(name))
            elif additional is not None:
                self.value(part, additional, _join(path, name), before.get(name))
            elif properties is not None:
                self.unknown.append(_join(path, name))

    def _array(self, value: list[Any], schema: Schema, path: str, old: Any) -> None:
        if len(value) < schema.get("minItems", 0):
            self._invalid(path, len(value), f"should have at least {schema['minItems']} items")
        if len(value) > schema.get("maxItems", len(value)):
            self._add(path, f"Too many: {len(value)}: must have at most {schema['maxItems']} items")
        keys = schema.get("x-kubernetes-list-map-keys")
        unique = schema.get("x-kubernetes-list-type") in ("set", "map")
        before = {_identity(part, keys): part for part in old} if isinstance(old, list) and unique else {}
        seen = set()
        for index, part in enumerate(value):
            identity = _identity(part, keys)
            if unique and identity in seen:
                self._add(f"{path}[{index}]", f"Duplicate value: {identity}")
            seen.add(identity)
            self.value(part, schema["items"], f"{path}[{index}]", before.get(identity))

    def _string(self, value: str, schema: Schema, path: str) -> None:
        if len(value) < schema.get("minLength", 0):
            self._invalid(path, value, f"should be at least {schema['minLength']} chars long")
        if len(value) > schema.get("maxLength", len(value)):
            self._add(path, f"Too long: may not be more than {schema['maxLength']} bytes")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            self._invalid(path, value, f"should match '{schema['pattern']}'")

    def _number(self, value: float, schema: Schema, path: str) -> None:
        if value < schema.get("minimum", value):
            self._invalid(path, value, f"should be greater than or equal to {schema['minimum']}")
        if value > schema.get("maximum", value):
            self._invalid(path, value, f"should be less than or equal to {schema['maximum']}")

    def _rules(self, value: Any, schema: Schema, path: str, old: Any) -> None:
        rules = schema.get("x-kubernetes-validations", [])
        if not rules:
            return
        from keystead_operator.spec import cel  # takes half a second to import: only where a manifest is checked

        for rule in rules:
            if cel.is_transition_rule(rule["rule"]) and old is None:
                continue
            if not cel.holds(rule["rule"], value, old):
                self._add(path or "<nil>", f'Invalid value: "{_type_name(value)}": {rule["message"]}')


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _identity(item: Any, keys: list[str] | None) -> str:
    if keys is not None and isinstance(item, dict):
        return json.dumps({key: item.get(key) for key in keys}, separators=(",", ":"))
    return json.dumps(item, sort_keys=True, separators=(",", ":"))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_a(value: Any, kind: str | None) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return True


def _type_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
