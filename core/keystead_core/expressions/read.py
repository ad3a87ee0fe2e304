"""Reading a request's expressions: text to bound tree, with the parameter's name in front of what is wrong with it."""

from collections.abc import Callable
from typing import TypeVar

from keystead_core.expressions.bind import bind_condition, bind_projection, bind_update
from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.parse import parse_condition, parse_projection, parse_update
from keystead_core.expressions.placeholders import Placeholders
from keystead_core.expressions.tree import Condition, Projection, Update

Parsed = TypeVar("Parsed")
Bound = TypeVar("Bound")


def read_condition(text: str, placeholders: Placeholders, parameter: str = "ConditionExpression") -> Condition:
    """`parameter`: ConditionExpression, FilterExpression or KeyConditionExpression. Raises ExpressionError."""
    return _read(text, parse_condition, bind_condition, placeholders, parameter)


def read_update(text: str, placeholders: Placeholders) -> Update:
    """Raises ExpressionError."""
    return _read(text, parse_update, bind_update, placeholders, "UpdateExpression")


def read_projection(text: str, placeholders: Placeholders) -> Projection:
    """Raises ExpressionError."""
    return _read(text, parse_projection, bind_projection, placeholders, "ProjectionExpression")


def _read(
    text: str,
    parse: Callable[[str], Parsed],
    bind: Callable[[Parsed, Placeholders], Bound],
    placeholders: Placeholders,
    parameter: str,
) -> Bound:
    try:
        return bind(parse(text), placeholders)
    except ExpressionError as error:
        raise ExpressionError(f"Invalid {parameter}: {error}") from None
