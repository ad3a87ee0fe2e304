"""ExpressionAttributeNames and ExpressionAttributeValues of one request, which all its expressions share.

Their keys and values are checked once, before any expression is read; after the last one, `check_all_used`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.tree import Literal
from keystead_core.items import Attribute, ItemError, check_attributes

KEY_BYTES_MAX: Final = 255
NAME_BYTES_MAX: Final = 65_535

_NAMES: Final = "ExpressionAttributeNames"
_VALUES: Final = "ExpressionAttributeValues"
_KEY: Final = re.compile(r"[#:][A-Za-z0-9_]+")


class Placeholders:
    """The request's names and values, and which of them no expression has used yet."""

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Attribute] | None = None,
        *,
        is_checked: bool = False,
    ) -> None:
        """Numbers in `values` are normalised in place. Raises ExpressionError, and ItemShapeError if a value is no
        attribute value. `is_checked`: the same names and values have been through this before, in another process."""
        if not is_checked:
            _check_names(names)
            _check_values(values)
        self._names = names or {}
        self._values = values or {}
        self._unused_names = dict.fromkeys(self._names)
        self._unused_values = dict.fromkeys(self._values)

    def name(self, key: str) -> str:
        """The attribute name that `#key` stands for. Raises ExpressionError."""
        name = self._names.get(key)
        if name is None:
            raise ExpressionError(
                f"An expression attribute name used in the document path is not defined; attribute name: {key}"
            )
        self._unused_names.pop(key, None)
        return name

    def value(self, key: str) -> Literal:
        """The value that `:key` stands for. Raises ExpressionError."""
        value = self._values.get(key)
        if value is None:
            raise ExpressionError(
                f"An expression attribute value used in expression is not defined; attribute value: {key}"
            )
        self._unused_values.pop(key, None)
        return Literal(value)

    def check_all_used(self) -> None:
        """Raises ExpressionError if a name or a value is in no expression that has been bound."""
        for parameter, unused in ((_NAMES, self._unused_names), (_VALUES, self._unused_values)):
            if unused:
                raise ExpressionError(
                    f"Value provided in {parameter} unused in expressions: keys: {{{', '.join(unused)}}}"
                )


def _check_names(names: Mapping[str, str] | None) -> None:
    if names is None:
        return
    _check_keys(_NAMES, "#", names)
    for key, name in names.items():
        if not name:
            raise ExpressionError(f"{_NAMES} contains invalid value: Empty attribute name for key {key}")
        if len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES_MAX:
            raise ExpressionError(
                f"{_NAMES} contains invalid value: "
                f"Attribute name is too large, must be less than {NAME_BYTES_MAX + 1} bytes for key {key}"
            )


def _check_values(values: Mapping[str, Attribute] | None) -> None:
    if values is None:
        return
    _check_keys(_VALUES, ":", values)
    for key, value in values.items():
        if value is None:
            raise ExpressionError(
                f"{_VALUES} contains invalid value: The supplied Item contains a null AttributeValue for key {key}"
            )
        try:
            check_attributes({"": value})
        except ItemError as error:
            raise ExpressionError(f"{_VALUES} contains invalid value: {error} for key {key}") from None


def _check_keys(parameter: str, prefix: str, mapping: Mapping[str, Any]) -> None:
    if not mapping:
        raise ExpressionError(f"{parameter} must not be empty")
    for key in mapping:
        if not key:
            problem = "The expression attribute map contains an empty key;"
        elif len(key) > KEY_BYTES_MAX:
            problem = "The expression attribute map contains a key that is too long;"
            if parameter == _NAMES:
                problem += f" size of key: {len(key)}"
        elif key[0] != prefix or not _KEY.fullmatch(key):
            problem = f'Syntax error; key: "{key}"'
        else:
            continue
        raise ExpressionError(f"{parameter} contains invalid key: {problem}")
