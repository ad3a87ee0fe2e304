"""Comparing attribute values as conditions do.

Values of different types are never equal and have no order; only S, N and B have one. Numbers are canonical text and
binaries canonical base64, so equal ones are equal text. Strings are ordered by their UTF-8 bytes, which is the order of
their code points. What is equal as it stands needs no look inside, which is where the time would go: a comparison may
be one of 300 on an item of 400 KB.
"""

from functools import lru_cache
from typing import Any, Final

from keystead_core.items import Attribute, binary_content
from keystead_core.keyspace import encode_number

ORDERED_TYPES: Final = ("S", "N", "B")
SET_TYPES: Final = ("SS", "NS", "BS")
SCALAR_TYPES: Final = ("S", "N", "B", "BOOL", "NULL")
ELEMENT_TYPES: Final = {"SS": "S", "NS": "N", "BS": "B"}

_ordered_number = lru_cache(4096)(encode_number)


def type_of(attribute: Attribute) -> str:
    """S N B BOOL NULL M L SS NS BS."""
    return next(iter(attribute))


def are_equal(one: Attribute, other: Attribute) -> bool:
    """Equal type and content: sets without an order, lists and maps member by member."""
    kind = type_of(one)
    if kind not in other:
        return False
    mine, theirs = one[kind], other[kind]
    if mine == theirs:
        return True
    if kind in SCALAR_TYPES:
        return False
    if kind in SET_TYPES:
        return len(mine) == len(theirs) and set(mine) == set(theirs)
    if kind == "L":
        return len(mine) == len(theirs) and all(map(are_equal, mine, theirs))
    return len(mine) == len(theirs) and all(
        name in theirs and are_equal(member, theirs[name]) for name, member in mine.items()
    )


def compare(one: Attribute, other: Attribute) -> int | None:
    """Below, at or above zero as `one` is below, equal to or above `other`; None where there is no order."""
    kind = type_of(one)
    if kind not in ORDERED_TYPES or kind not in other:
        return None
    mine, theirs = ordered(kind, one[kind]), ordered(kind, other[kind])
    return int(mine > theirs) - int(mine < theirs)


def ordered(kind: str, content: str) -> Any:
    """What an S, N or B content is ordered by among those of its type."""
    match kind:
        case "N":
            return _ordered_number(content)
        case "B":
            return binary_content(content)
    return content


def begins_with(attribute: Attribute, prefix: Attribute) -> bool:
    """A string that begins with a string, or a binary with a binary."""
    if "S" in attribute and "S" in prefix:
        return bool(attribute["S"].startswith(prefix["S"]))
    if "B" in attribute and "B" in prefix:
        return binary_content(attribute["B"]).startswith(binary_content(prefix["B"]))
    return False


def contains(attribute: Attribute, operand: Attribute) -> bool:
    """A string or binary with such a part, a set with such an element, a list with such a member."""
    kind = type_of(attribute)
    if kind == "L":
        if operand in attribute["L"]:
            return True
        return type_of(operand) not in SCALAR_TYPES and any(are_equal(member, operand) for member in attribute["L"])
    if kind in SET_TYPES:
        element = operand.get(ELEMENT_TYPES[kind])
        return element is not None and element in attribute[kind]
    if kind == "S" and "S" in operand:
        return operand["S"] in attribute["S"]
    if kind == "B" and "B" in operand:
        return binary_content(operand["B"]) in binary_content(attribute["B"])
    return False


def size(attribute: Attribute) -> int | None:
    """UTF-16 units of a string, bytes of a binary, members of a set, list or map; None for other types."""
    kind = type_of(attribute)
    content = attribute[kind]
    if kind == "S":
        return len(content) if content.isascii() else len(content.encode("utf-16-le", "surrogatepass")) // 2
    if kind == "B":
        return len(binary_content(content))
    if kind in ("L", "M") or kind in SET_TYPES:
        return len(content)
    return None
