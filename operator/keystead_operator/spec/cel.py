"""Evaluates the CEL rules of the schemas with cel-python, so that an embedded cluster refuses what Kubernetes refuses.

`quantity(...)`, `compareTo` and `sum` come from Kubernetes' CEL library and are supplied here.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

_SUFFIXES: Final = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_QUANTITY: Final = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)$")


class QuantityError(ValueError):
    """The text is no quantity such as 10Gi or 500m."""


def parse_quantity(text: str) -> Decimal:
    """The number that a Kubernetes quantity means: 10Ki is 10240. Raises QuantityError."""
    match = _QUANTITY.match(text)
    if match is None or match.group(2) not in _SUFFIXES:
        raise QuantityError(f"{text!r} is no quantity")
    return Decimal(match.group(1)) * _SUFFIXES[match.group(2)]


def _quantity(value: Any) -> Any:
    try:
        return celtypes.IntType(int(parse_quantity(str(value)) * 1000))
    except QuantityError as problem:
        return CELEvalError(str(problem), ValueError, problem.args)


def _compare_to(left: Any, right: Any) -> Any:
    return celtypes.IntType((left > right) - (left < right))


def _sum(values: Any) -> Any:
    return celtypes.IntType(sum(values))


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"quantity": _quantity, "compareTo": _compare_to, "sum": _sum}


@lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression), functions=_FUNCTIONS)


def is_transition_rule(expression: str) -> bool:
    """Whether the rule compares with the object as it was, and so applies to updates only."""
    return "oldSelf" in expression


def holds(expression: str, value: Any, old_value: Any = None) -> bool:
    """Whether a rule is true of a JSON value (and of the value before). A rule that cannot be evaluated is false."""
    activation = {"self": json_to_cel(value)}
    if is_transition_rule(expression):
        activation["oldSelf"] = json_to_cel(old_value)
    try:
        return bool(_program(expression).evaluate(activation))
    except CELEvalError:
        return False
