"""Comparing attribute values as conditions do.

Values of different types are never equal and have no order; only S, N and B have one. Numbers are canonical text and
binaries canonical base64, so equal ones are equal text. Strings are ordered by their UTF-8 bytes, which is the order of
their code points. A comparison may be one of 300 on an item of 400 KB: what one evaluation has found out about lists,
maps and sets it keeps in a Memo.
"""

from functools import lru_cache
from typing import Any, Final

from keystead_core.items import Attribute, binary_content
from keystead_core.keyspace import encode_number

ORDERED_TYPES: Final = ("S", "N", "B")
SET_TYPES: Final = ("SS", "NS", "BS")
SCALAR_TYPES: Final = ("S", "N", "B", "BOOL", "NULL")
ELEMENT_TYPES: Final = {"SS": "S", "NS": "N", "BS": "B"}

SHORT_LIST: Final = 32
"""Up to here a list is looked through, one that is longer is looked up in."""

_ordered_number = lru_cache(4096)(encode_number)


def type_of(attribute: Attribute) -> str:
    """S N B BOOL NULL M L SS NS BS."""
    return next(iter(attribute))


class Memo:
    """What one evaluation knows about lists, maps and sets, by their identity: they live longer than it."""

    __slots__ = ("_contained", "_equal", "_members")

    def __init__(self) -> None:
        self._equal: dict[tuple[int, int], bool] = {}
        self._contained: dict[tuple[int, int], bool] = {}
        self._members: dict[int, frozenset[Any]] = {}

    def are_equal(self, kind: str, mine: Any, theirs: Any) -> bool:
        pair = (id(mine), id(theirs))
        found = self._equal.get(pair)
        if found is None:
            found = self._equal[pair] = _are_alike(kind, mine, theirs)
        return found

    def contains(self, values: list[Attribute], operand: Attribute) -> bool:
        """Whether a long list has this very member."""
        pair = (id(values), id(operand))
        found = self._contained.get(pair)
        if found is None:
            members = self._members.get(id(values))
            if members is None:
                members = self._members[id(values)] = frozenset(map(_frozen, values))
            found = _frozen(operand) in members
            if type_of(operand) not in SCALAR_TYPES:  # Others may be made on the way, and their identity be another's.
                self._contained[pair] = found
        return found


def are_equal(one: Attribute, other: Attribute, memo: Memo) -> bool:
    """Equal type and content: sets without an order, lists and maps member by member."""
    kind = type_of(one)
    if kind not in other:
        return False
    mine, theirs = one[kind], other[kind]
    if kind in SCALAR_TYPES:
        return bool(mine == theirs)
    return len(mine) == len(theirs) and memo.are_equal(kind, mine, theirs)


def _are_alike(kind: str, mine: Any, theirs: Any) -> bool:
    """The same of contents that are no scalars, and of equal length."""
    if mine == theirs:
        return True
    if kind in SET_TYPES:
        return set(mine) == set(theirs)
    if kind == "L":
        return all(map(_are_alike_inside, mine, theirs))
    return all(name in theirs and _are_alike_inside(member, theirs[name]) for name, member in mine.items())


def _are_alike_inside(one: Attribute, other: Attribute) -> bool:
    kind = type_of(one)
    if kind not in other:
        return False
    mine, theirs = one[kind], other[kind]
    if kind in SCALAR_TYPES:
        return bool(mine == theirs)
    return len(mine) == len(theirs) and _are_alike(kind, mine, theirs)


def _frozen(attribute: Attribute) -> tuple[str, Any]:
    """The value in a form that can be hashed, and is equal where the value is."""
    ((kind, content),) = attribute.items()
    if kind in SCALAR_TYPES:
        return kind, content
    if kind in SET_TYPES:
        return kind, frozenset(content)
    if kind == "L":
        return kind, tuple(map(_frozen, content))
    return kind, frozenset((name, _frozen(member)) for name, member in content.items())


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


def contains(attribute: Attribute, operand: Attribute, memo: Memo) -> bool:
    """A string or binary with such a part, a set with such an element, a list with such a member."""
    kind = type_of(attribute)
    if kind == "L":
        if len(attribute["L"]) > SHORT_LIST:
            return memo.contains(attribute["L"], operand)
        return any(are_equal(member, operand, memo) for member in attribute["L"])
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
