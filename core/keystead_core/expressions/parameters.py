"""Which parameters of one request exclude each other: expressions and the legacy parameters that they replace."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from keystead_core.expressions.errors import ExpressionError


class Parameters(NamedTuple):
    """An operation's expressions and legacy parameters, in the order in which messages list them."""

    expressions: tuple[str, ...]
    legacy: tuple[str, ...]


PARAMETERS: Final = {
    "GetItem": Parameters(("ProjectionExpression",), ("AttributesToGet",)),
    "BatchGetItem": Parameters(("ProjectionExpression",), ("AttributesToGet",)),
    "PutItem": Parameters(("ConditionExpression",), ("Expected", "ConditionalOperator")),
    "DeleteItem": Parameters(("ConditionExpression",), ("Expected", "ConditionalOperator")),
    "UpdateItem": Parameters(
        ("UpdateExpression", "ConditionExpression"), ("AttributeUpdates", "Expected", "ConditionalOperator")
    ),
    "Query": Parameters(
        ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
        ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
    ),
    "Scan": Parameters(
        ("ProjectionExpression", "FilterExpression"), ("AttributesToGet", "ScanFilter", "ConditionalOperator")
    ),
}


def check_parameters(operation: str, request: Mapping[str, Any]) -> None:
    """Raises ExpressionError if the request mixes expressions and legacy parameters, or brings names or values without
    an expression that could use them. A parameter that is None is not there. BatchGetItem: once for each table."""
    expressions, legacy = PARAMETERS[operation]
    given = [name for name in expressions if request.get(name) is not None]
    old = [name for name in legacy if request.get(name) is not None]
    if "KeyConditionExpression" not in given and "KeyConditions" in old:
        # A query has to have one or the other, whatever else it uses.
        old.remove("KeyConditions")
    if given and old:
        raise ExpressionError(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(old)}}} Expression parameters: {{{', '.join(given)}}}"
        )
    if request.get("ExpressionAttributeNames") is not None and not given:
        raise ExpressionError("ExpressionAttributeNames can only be specified when using expressions")
    with_values = [name for name in expressions if name != "ProjectionExpression"]
    if (
        with_values
        and request.get("ExpressionAttributeValues") is not None
        and all(name not in given for name in with_values)
    ):
        raise ExpressionError(
            "ExpressionAttributeValues can only be specified when using expressions: "
            f"{' and '.join(with_values)} {'are' if len(with_values) > 1 else 'is'} null"
        )
