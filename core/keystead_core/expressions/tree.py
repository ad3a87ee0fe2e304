"""What an expression is once it has been read. Everything here is immutable, and msgspec encodes and decodes it.

    node       = Path | Literal | Operation          | Placeholder, before the placeholders are substituted
    operator   = AND OR NOT  = <> < <= > >=  BETWEEN IN  + -  or a function's name

AND and OR take two or more operands, BETWEEN the value and both bounds, IN the value and its candidates. In a Path that
is not yet bound, an element that begins with # is a placeholder.
"""

from typing import Final

import msgspec

from keystead_core.items import Attribute

OPERATORS_MAX: Final = 300
PATH_DEPTH_MAX: Final = 32
IN_OPERANDS_MAX: Final = 100
INDEX_MAX: Final = 2**31 - 1

COMPARATORS: Final = ("=", "<>", "<", "<=", ">", ">=")
CONDITION_FUNCTIONS: Final = ("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains")
UPDATE_FUNCTIONS: Final = ("if_not_exists", "list_append")
FUNCTION_OPERANDS: Final = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
    "if_not_exists": 2,
    "list_append": 2,
}


class Path(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """A document path: an attribute's name, then names of map members and indexes of list elements."""

    elements: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"[{', '.join(e if isinstance(e, str) else f'[{e}]' for e in self.elements)}]"


class Placeholder(msgspec.Struct, frozen=True, array_like=True, tag="v"):
    """`:name`, which ExpressionAttributeValues has to define."""

    name: str


class Literal(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """A value of the request: {type: content}, checked and with its numbers canonical."""

    attribute: Attribute


class Operation(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    operator: str
    operands: tuple["Node", ...]


Node = Path | Placeholder | Literal | Operation


class Action(msgspec.Struct, frozen=True, array_like=True):
    """One change. `section`: SET | REMOVE | ADD | DELETE; `value` is None for REMOVE."""

    section: str
    path: Path
    value: Node | None = None


class ParsedCondition(msgspec.Struct, frozen=True):
    root: Operation


class ParsedUpdate(msgspec.Struct, frozen=True):
    actions: tuple[Action, ...]


class ParsedProjection(msgspec.Struct, frozen=True):
    paths: tuple[Path, ...]


class Condition(msgspec.Struct, frozen=True):
    """A condition, filter or key condition with its placeholders substituted."""

    root: Operation


class Update(msgspec.Struct, frozen=True):
    """An update with its placeholders substituted. `is_legacy`: from AttributeUpdates, whose errors differ."""

    actions: tuple[Action, ...]
    is_legacy: bool = False


class Projection(msgspec.Struct, frozen=True):
    """Document paths of which none is or contains another."""

    paths: tuple[Path, ...]
