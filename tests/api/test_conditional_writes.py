"""Conditions of PutItem and DeleteItem, by expression and by the legacy parameters, through boto3."""

import json
from typing import Any

import pytest

from tests.api.conftest import Front, stored_json
from tests.api.test_bad_input import VALIDATION, assert_refused, send

KEY = {"pk": {"S": "k"}}
ITEM: dict[str, Any] = {**KEY, "n": {"N": "5"}, "s": {"S": "x"}}
FAILED = ("ConditionalCheckFailedException", "The conditional request failed")


def refusal(client: Any, operation: str, **parameters: Any) -> tuple[str, str]:
    """The code and message of the error."""
    with pytest.raises(client.exceptions.ClientError) as refused:
        getattr(client, operation)(TableName="orders", **parameters)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def what(operation: str) -> dict[str, Any]:
    return {"Item": dict(KEY)} if operation == "put_item" else {"Key": dict(KEY)}


def test_a_put_of_a_new_item_alone_is_done_once(front: Front, orders: Any) -> None:
    only_new = {"TableName": "orders", "ConditionExpression": "attribute_not_exists(pk)"}
    assert "Attributes" not in orders.put_item(Item=ITEM, ReturnValues="ALL_OLD", **only_new)
    with pytest.raises(orders.exceptions.ConditionalCheckFailedException) as refused:
        orders.put_item(Item={**KEY, "s": {"S": "late"}}, **only_new)
    assert refused.value.response["Error"] == {"Code": FAILED[0], "Message": FAILED[1]}
    assert "Item" not in refused.value.response
    assert stored_json(front, "orders") == [ITEM]
    assert front.operations[-1] == ("PutItem", "ConditionalCheckFailedException")


@pytest.mark.parametrize("operation", ["put_item", "delete_item"])
def test_a_write_whose_condition_holds_is_done(front: Front, orders: Any, operation: str) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    answer = getattr(orders, operation)(
        TableName="orders",
        ConditionExpression="#n BETWEEN :low AND :high AND begins_with(s, :s)",
        ExpressionAttributeNames={"#n": "n"},
        ExpressionAttributeValues={":low": {"N": "4.0"}, ":high": {"N": "6"}, ":s": {"S": "x"}},
        ReturnValues="ALL_OLD",
        **what(operation),
    )
    assert answer["Attributes"] == ITEM
    assert stored_json(front, "orders") == ([KEY] if operation == "put_item" else [])


@pytest.mark.parametrize("operation", ["put_item", "delete_item"])
def test_the_item_that_fails_a_condition_is_in_the_error_when_asked_for(orders: Any, operation: str) -> None:
    asked = {"ConditionExpression": "n = :v", "ExpressionAttributeValues": {":v": {"N": "6"}}}
    for wanted, item in (("ALL_OLD", ITEM), ("NONE", None)):
        orders.put_item(TableName="orders", Item=ITEM)
        with pytest.raises(orders.exceptions.ConditionalCheckFailedException) as refused:
            getattr(orders, operation)(
                TableName="orders", ReturnValuesOnConditionCheckFailure=wanted, **asked, **what(operation)
            )
        assert refused.value.response.get("Item") == item
    orders.delete_item(TableName="orders", Key=KEY)
    with pytest.raises(orders.exceptions.ConditionalCheckFailedException) as refused:
        getattr(orders, operation)(
            TableName="orders", ReturnValuesOnConditionCheckFailure="ALL_OLD", **asked, **what(operation)
        )
    assert "Item" not in refused.value.response


@pytest.mark.parametrize(
    ("expected", "operator", "holds"),
    [
        ({"n": {"Value": {"N": "5.0"}}}, None, True),
        ({"n": {"Value": {"N": "6"}}}, None, False),
        ({"n": {"Value": {"N": "5"}, "Exists": True}}, None, True),
        ({"pk": {"Exists": False}}, None, False),
        ({"other": {"Exists": False}}, None, True),
        ({"n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "4"}]}}, None, True),
        ({"s": {"ComparisonOperator": "IN", "AttributeValueList": [{"S": "y"}, {"S": "x"}]}}, None, True),
        ({"s": {"ComparisonOperator": "NULL"}}, None, False),
        ({"n": {"Value": {"N": "5"}}, "s": {"Value": {"S": "y"}}}, None, False),
        ({"n": {"Value": {"N": "5"}}, "s": {"Value": {"S": "y"}}}, "AND", False),
        ({"n": {"Value": {"N": "5"}}, "s": {"Value": {"S": "y"}}}, "OR", True),
        ({}, None, True),
    ],
)
@pytest.mark.parametrize("operation", ["put_item", "delete_item"])
def test_expected_values_are_conditions_too(
    orders: Any, operation: str, expected: Any, operator: str | None, holds: bool
) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    parameters = {**what(operation), "Expected": expected} | ({"ConditionalOperator": operator} if operator else {})
    if holds:
        getattr(orders, operation)(TableName="orders", **parameters)
    else:
        assert refusal(orders, operation, **parameters) == FAILED


def test_capacity_of_a_conditional_write_counts_the_larger_item(orders: Any) -> None:
    big = {**KEY, "p": {"S": "x" * 5000}}
    asked = {"TableName": "orders", "ReturnConsumedCapacity": "TOTAL", "ReturnItemCollectionMetrics": "SIZE"}
    put = orders.put_item(Item=big, ConditionExpression="attribute_not_exists(pk)", **asked)
    assert put["ConsumedCapacity"] == {"TableName": "orders", "CapacityUnits": 5.0}
    assert "ItemCollectionMetrics" not in put
    put = orders.put_item(Item=KEY, ConditionExpression="attribute_exists(pk)", **asked)
    assert put["ConsumedCapacity"]["CapacityUnits"] == 5.0
    asked["ReturnConsumedCapacity"] = "INDEXES"
    gone = orders.delete_item(Key=KEY, ConditionExpression="attribute_exists(pk)", **asked)
    assert gone["ConsumedCapacity"] == {"TableName": "orders", "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ConditionExpression": ""}, "Invalid ConditionExpression: The expression can not be empty;"),
        (
            {"ConditionExpression": "n >> :v"},
            'Invalid ConditionExpression: Syntax error; token: ">", near: ">> :v"',
        ),
        (
            {"ConditionExpression": "n = :v"},
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :v",
        ),
        (
            {
                "ConditionExpression": "n = :v",
                "ExpressionAttributeValues": {":v": {"N": "1"}, ":w": {"N": "1"}},
            },
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}",
        ),
        (
            {"ConditionExpression": "n = :v", "ExpressionAttributeValues": {":v": {"N": "x"}}},
            "ExpressionAttributeValues contains invalid value: "
            "The parameter cannot be converted to a numeric value: x for key :v",
        ),
        (
            {"ExpressionAttributeValues": {":v": {"N": "1"}}},
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            {"ExpressionAttributeNames": {"#n": "n"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"ConditionExpression": "bad(", "Expected": {"n": {"Value": {"N": "x"}}}, "ConditionalOperator": "AND"},
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {Expected, ConditionalOperator} Expression parameters: {ConditionExpression}",
        ),
        (
            {"ConditionExpression": "pk.x = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        (
            {"Expected": {"n": {"Value": {"N": "1"}, "AttributeValueList": []}}},
            "One or more parameter values were invalid: "
            "Value and AttributeValueList cannot be used together for Attribute: n",
        ),
        ({"ConditionalOperator": "OR"}, "ConditionalOperator cannot be used without Filter or Expected"),
        (
            {"ConditionExpression": "bad(", "ReturnValues": "ALL_NEW"},
            "ReturnValues can only be ALL_OLD or NONE",
        ),
        (
            {"ConditionExpression": "bad(", "ReturnValuesOnConditionCheckFailure": "ALL_NEW"},
            "1 validation error detected: Value 'ALL_NEW' at 'returnValuesOnConditionCheckFailure' "
            "failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["put_item", "delete_item"])
def test_what_breaks_a_rule_is_a_validation_error(
    front: Front, orders: Any, operation: str, parameters: dict[str, Any], message: str
) -> None:
    assert refusal(orders, operation, **parameters, **what(operation)) == ("ValidationException", message)
    assert front.backend.writes == 0


def test_errors_come_in_the_services_order(orders: Any) -> None:
    """Mixing, then the item, then its conditions, then the table, then its keys."""
    mixed = {"ConditionExpression": "bad(", "Expected": {"n": {"Exists": True}}}
    bad_item = {"pk": {"N": "x"}}
    assert refusal(orders, "put_item", Item=bad_item, **mixed)[1].startswith("Can not use both")
    assert "numeric" in refusal(orders, "put_item", Item=bad_item, ConditionExpression="bad(")[1]
    with pytest.raises(orders.exceptions.ClientError, match="Invalid ConditionExpression"):
        orders.put_item(TableName="missing", Item=KEY, ConditionExpression="bad(")
    with pytest.raises(orders.exceptions.ResourceNotFoundException):
        orders.put_item(TableName="missing", Item={"q": {"S": "k"}}, ConditionExpression="attribute_exists(pk.x)")
    missing_key = refusal(orders, "put_item", Item={"q": {"S": "k"}}, ConditionExpression="attribute_exists(pk.x)")
    assert missing_key[1] == "One or more parameter values were invalid: Missing the key pk in the item"


def test_a_large_condition_is_judged_like_a_small_one(front: Front, orders: Any) -> None:
    """Above 8 KB the texts travel to the master."""
    values = {":v": {"S": "x" * 100_000}, ":n": {"N": "5.0"}}
    text = " OR ".join(["s = :v"] * 140) + " OR #n = :n"
    asked = {"ExpressionAttributeValues": values, "ExpressionAttributeNames": {"#n": "n"}}
    orders.put_item(TableName="orders", Item=ITEM)
    assert refusal(orders, "put_item", Item=KEY, ConditionExpression=f"NOT ({text})", **asked) == FAILED
    orders.put_item(TableName="orders", Item=KEY, ConditionExpression=text, **asked)
    assert stored_json(front, "orders") == [KEY]


@pytest.mark.parametrize("padding", [0, 10_000])
def test_the_deepest_condition_is_judged(orders: Any, padding: int) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    text = "NOT " * 298 + "n = :v"
    asked = {"ExpressionAttributeValues": {":v": {"N": "5"}}}
    orders.put_item(TableName="orders", Item={**ITEM, "p": {"S": "x" * padding}}, ConditionExpression=text, **asked)
    assert refusal(orders, "delete_item", Key=KEY, ConditionExpression=f"NOT {text}", **asked) == FAILED


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem", "UpdateItem"])
def test_an_entry_of_a_legacy_parameter_may_not_be_null(front: Front, orders: Any, operation: str) -> None:
    what = {"Item": KEY} if operation == "PutItem" else {"Key": KEY}
    cases = [("Expected", "ExpectedAttributeValue")]
    if operation == "UpdateItem":
        cases.append(("AttributeUpdates", "AttributeValueUpdate"))
    for parameter, kind in cases:
        answer = send(front, json.dumps({"TableName": "orders", parameter: {"n": None}, **what}), operation)
        message = f"One or more parameter values were invalid: {kind} must not be null for Attribute: n"
        assert_refused(answer, VALIDATION, message)
