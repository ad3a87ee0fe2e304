"""Texts to trees, each text once: what was parsed is kept by its text alone, as placeholders come later.

A text that is refused is parsed again the next time it comes; 4 KB bound what that costs.
"""

from functools import lru_cache
from typing import Final

from keystead_core.expressions.condition_syntax import ConditionSyntax
from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.lexer import EXPRESSION_BYTES_MAX
from keystead_core.expressions.tree import ParsedCondition, ParsedProjection, ParsedUpdate
from keystead_core.expressions.update_syntax import ProjectionSyntax, UpdateSyntax

KEPT_MAX: Final = 1024
"""How many texts of each kind are kept: at 4 KB each, and a tree of some 30 times its text, at most 120 MB; the texts
that applications use are a hundredth of that."""


@lru_cache(KEPT_MAX)
def parse_condition(text: str) -> ParsedCondition:
    """The tree of a condition, filter or key condition. Raises ExpressionError, its message without "Invalid ...:"."""
    _check_size(text)
    return ConditionSyntax(text).parse()


@lru_cache(KEPT_MAX)
def parse_update(text: str) -> ParsedUpdate:
    """The actions of an update. Raises ExpressionError, its message without "Invalid ...:"."""
    _check_size(text)
    return UpdateSyntax(text).parse()


@lru_cache(KEPT_MAX)
def parse_projection(text: str) -> ParsedProjection:
    """The paths of a projection. Raises ExpressionError, its message without "Invalid ...:"."""
    _check_size(text)
    return ProjectionSyntax(text).parse()


def _check_size(text: str) -> None:
    if not text:
        raise ExpressionError("The expression can not be empty;")
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > EXPRESSION_BYTES_MAX:
        raise ExpressionError(f"Expression size has exceeded the maximum allowed size; expression size: {size}")
