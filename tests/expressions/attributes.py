"""Short names for attribute values, and for reading one expression as a request would."""

import re
from typing import Any

import pytest

from keystead_core.cluster_map import KeyAttribute
from keystead_core.expressions import (
    Condition,
    ExpressionError,
    KeySchema,
    Placeholders,
    Projection,
    Update,
    matches,
    read_condition,
    read_projection,
    read_update,
)
from keystead_core.items import Attribute, Item, check_attributes

Values = dict[str, Attribute]

HASH_ONLY = KeySchema((KeyAttribute("pk", "S"),))
HASH_RANGE = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "N"),))


def s(text: str) -> Attribute:
    return {"S": text}


def n(number: object) -> Attribute:
    return {"N": str(number)}


def b(base64: str) -> Attribute:
    return {"B": base64}


def ss(*elements: str) -> Attribute:
    return {"SS": list(elements)}


def ns(*elements: object) -> Attribute:
    return {"NS": [str(element) for element in elements]}


def bs(*elements: str) -> Attribute:
    return {"BS": list(elements)}


def lst(*members: Attribute) -> Attribute:
    return {"L": list(members)}


def mp(**members: Attribute) -> Attribute:
    return {"M": members}


TRUE: Attribute = {"BOOL": True}
FALSE: Attribute = {"BOOL": False}
NULL: Attribute = {"NULL": True}

SAMPLES: Values = {
    ":s": s("x"),
    ":n": n(1),
    ":b": b("AAE="),
    ":ss": ss("x"),
    ":ns": ns(1),
    ":bs": bs("AAE="),
    ":l": lst(n(1)),
    ":m": mp(a=n(1)),
    ":t": TRUE,
    ":u": NULL,
}
"""One value of each type."""


def item(**attributes: Attribute) -> Item:
    """An item as it is stored: checked, with canonical numbers."""
    check_attributes(attributes)
    return attributes


def condition(text: str, values: Values | None = None, names: dict[str, str] | None = None) -> Condition:
    placeholders = Placeholders(names, values)
    read = read_condition(text, placeholders)
    placeholders.check_all_used()
    return read


def update(text: str, values: Values | None = None, names: dict[str, str] | None = None) -> Update:
    placeholders = Placeholders(names, values)
    read = read_update(text, placeholders)
    placeholders.check_all_used()
    return read


def projection(text: str, names: dict[str, str] | None = None) -> Projection:
    placeholders = Placeholders(names)
    read = read_projection(text, placeholders)
    placeholders.check_all_used()
    return read


def holds(text: str, stored: Item, values: Values | None = None, names: dict[str, str] | None = None) -> bool:
    return matches(condition(text, values, names), stored)


def used(text: str, values: Values = SAMPLES) -> Values | None:
    """The samples that the text names."""
    keys = re.findall(":[a-z]+", text)
    return {key: value for key, value in values.items() if key in keys} or None


def refusal(call: Any, *arguments: Any) -> str:
    """The message with which the call is refused."""
    with pytest.raises(ExpressionError) as refused:
        call(*arguments)
    return str(refused.value)
