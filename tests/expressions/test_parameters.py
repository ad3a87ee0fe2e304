"""A request uses expressions or the legacy parameters, and brings names and values only for expressions."""

from typing import Any

import pytest

from keystead_core.expressions import check_parameters
from tests.expressions.attributes import refusal

MIXED = (
    "Can not use both expression and non-expression parameters in the same request: "
    "Non-expression parameters: {%s} Expression parameters: {%s}"
)


@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        ("PutItem", "Expected ConditionExpression", MIXED % ("Expected", "ConditionExpression")),
        (
            "DeleteItem",
            "ConditionalOperator ConditionExpression Expected",
            MIXED % ("Expected, ConditionalOperator", "ConditionExpression"),
        ),
        (
            "UpdateItem",
            "Expected AttributeUpdates ConditionExpression UpdateExpression",
            MIXED % ("AttributeUpdates, Expected", "UpdateExpression, ConditionExpression"),
        ),
        ("GetItem", "AttributesToGet ProjectionExpression", MIXED % ("AttributesToGet", "ProjectionExpression")),
        ("BatchGetItem", "AttributesToGet ProjectionExpression", MIXED % ("AttributesToGet", "ProjectionExpression")),
        (
            "Query",
            "KeyConditions KeyConditionExpression",
            MIXED % ("KeyConditions", "KeyConditionExpression"),
        ),
        ("Query", "KeyConditions QueryFilter FilterExpression", MIXED % ("QueryFilter", "FilterExpression")),
        ("Scan", "ScanFilter ProjectionExpression", MIXED % ("ScanFilter", "ProjectionExpression")),
        (
            "GetItem",
            "ExpressionAttributeNames",
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            "PutItem",
            "ExpressionAttributeValues Expected",
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            "UpdateItem",
            "ExpressionAttributeValues",
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
        ),
        (
            "Query",
            "ExpressionAttributeValues ProjectionExpression KeyConditions",
            "ExpressionAttributeValues can only be specified when using expressions: "
            "FilterExpression and KeyConditionExpression are null",
        ),
    ],
)
def test_parameters_that_exclude_each_other_are_refused(operation: str, parameters: str, message: str) -> None:
    assert refusal(check_parameters, operation, dict.fromkeys(parameters.split(), "x")) == message


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("PutItem", {"Expected": {}, "ConditionalOperator": "OR", "ConditionExpression": None}),
        ("UpdateItem", {"UpdateExpression": "x", "ExpressionAttributeValues": {}, "ExpressionAttributeNames": {}}),
        ("Query", {"KeyConditions": {}, "FilterExpression": "x", "ExpressionAttributeValues": {}}),
        ("Query", {"KeyConditions": {}, "QueryFilter": {}}),
        ("Scan", {}),
    ],
)
def test_parameters_of_one_kind_go_together(operation: str, request_: dict[str, Any]) -> None:
    check_parameters(operation, request_)
