"""UpdateItem through boto3."""

from decimal import Decimal
from typing import Any

import pytest

from tests.api.conftest import Front, stored_json
from tests.api.test_conditional_writes import FAILED, refusal

KEY = {"pk": {"S": "k"}}
ITEM: dict[str, Any] = {
    **KEY,
    "n": {"N": "5"},
    "s": {"S": "x"},
    "m": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}},
    "l": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]},
    "ss": {"SS": ["a", "b"]},
}


def updated(client: Any, expression: str | None, values: Any = None, **parameters: Any) -> dict[str, Any]:
    if expression is not None:
        parameters["UpdateExpression"] = expression
    if values:
        parameters["ExpressionAttributeValues"] = values
    answer: dict[str, Any] = client.update_item(TableName="orders", Key=KEY, **parameters)
    return answer


def item_of(front: Front) -> dict[str, Any]:
    (item,) = stored_json(front, "orders")
    return item


def test_an_update_makes_the_item_where_there_is_none(front: Front, orders: Any) -> None:
    assert "Attributes" not in updated(orders, "SET n = :v", {":v": {"N": "1.0"}})
    assert item_of(front) == {**KEY, "n": {"N": "1"}}


@pytest.mark.parametrize("parameters", [{}, {"AttributeUpdates": {}}])
def test_an_update_without_changes_makes_the_item_or_leaves_it(
    front: Front, orders: Any, parameters: dict[str, Any]
) -> None:
    assert "Attributes" not in updated(orders, None, ReturnValues="UPDATED_NEW", **parameters)
    assert item_of(front) == KEY
    orders.put_item(TableName="orders", Item=ITEM)
    assert updated(orders, None, ReturnValues="ALL_NEW", **parameters)["Attributes"] == ITEM
    assert item_of(front) == ITEM


def test_all_four_sections_change_the_item(front: Front, orders: Any) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    updated(
        orders,
        "SET m.#new = list_append(l, :l), l[1] = if_not_exists(q, :one) REMOVE s, m.x ADD n :one, q :one DELETE ss :a",
        {":l": {"L": [{"S": "end"}]}, ":one": {"N": "1"}, ":a": {"SS": ["a"]}},
        ExpressionAttributeNames={"#new": "new"},
    )
    assert item_of(front) == {
        **KEY,
        "n": {"N": "6"},
        "m": {"M": {"y": {"N": "2"}, "new": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}, {"S": "end"}]}}},
        "l": {"L": [{"N": "1"}, {"N": "1"}, {"N": "3"}]},
        "ss": {"SS": ["b"]},
        "q": {"N": "1"},
    }


def test_removing_everything_leaves_the_key(front: Front, orders: Any) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    updated(orders, "REMOVE n, s, m, l DELETE ss :both", {":both": {"SS": ["b", "a"]}})
    assert item_of(front) == KEY


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ("NONE", None),
        ("ALL_OLD", ITEM),
        ("UPDATED_OLD", {"n": {"N": "5"}, "m": {"M": {"x": {"N": "1"}}}, "s": {"S": "x"}}),
        ("UPDATED_NEW", {"n": {"N": "6"}, "m": {"M": {"x": {"N": "1"}}}, "q": {"N": "1"}}),
        (
            "ALL_NEW",
            {name: value for name, value in ITEM.items() if name != "s"} | {"n": {"N": "6"}, "q": {"N": "1"}},
        ),
    ],
)
def test_an_update_returns_what_is_asked_for(orders: Any, returns: str, expected: Any) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    answer = updated(orders, "SET n = n + :v, m.x = :v, q = :v REMOVE s", {":v": {"N": "1"}}, ReturnValues=returns)
    assert answer.get("Attributes") == expected


@pytest.mark.parametrize("returns", ["NONE", "ALL_OLD", "UPDATED_OLD"])
def test_an_item_that_was_not_there_has_no_old_attributes(orders: Any, returns: str) -> None:
    assert "Attributes" not in updated(orders, "SET n = :v", {":v": {"N": "1"}}, ReturnValues=returns)


def test_an_update_whose_condition_fails_changes_nothing(front: Front, orders: Any) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    asked: dict[str, Any] = {
        "Key": KEY,
        "UpdateExpression": "SET n = n - :v",
        "ConditionExpression": "n >= :v",
        "ExpressionAttributeValues": {":v": {"N": "3"}},
    }
    orders.update_item(TableName="orders", **asked)
    assert refusal(orders, "update_item", **asked) == FAILED
    with pytest.raises(orders.exceptions.ConditionalCheckFailedException) as refused:
        orders.update_item(TableName="orders", ReturnValuesOnConditionCheckFailure="ALL_OLD", **asked)
    assert refused.value.response["Item"] == {**ITEM, "n": {"N": "2"}}
    assert item_of(front)["n"] == {"N": "2"}


def test_a_condition_comes_before_what_the_item_does_not_allow(orders: Any) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    asked: dict[str, Any] = {"Key": KEY, "ExpressionAttributeValues": {":v": {"N": "1"}}}
    update = {"UpdateExpression": "ADD s :v"}
    assert refusal(orders, "update_item", ConditionExpression="n = :v", **update, **asked) == FAILED
    assert refusal(orders, "update_item", ConditionExpression="n > :v", **update, **asked) == (
        "ValidationException",
        "An operand in the update expression has an incorrect data type",
    )


def test_legacy_updates_put_add_and_delete(front: Front, orders: Any) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    answer = updated(
        orders,
        None,
        AttributeUpdates={
            "n": {"Action": "ADD", "Value": {"N": "-7.0"}},
            "q": {"Value": {"S": "new"}},
            "s": {"Action": "DELETE"},
            "ss": {"Action": "DELETE", "Value": {"SS": ["a"]}},
            "l": {"Action": "ADD", "Value": {"L": [{"S": "end"}]}},
            "m": {"Action": "PUT", "Value": {"M": {}}},
        },
        Expected={"n": {"Value": {"N": "5"}}, "s": {"ComparisonOperator": "NOT_NULL"}},
        ConditionalOperator="AND",
        ReturnValues="ALL_NEW",
    )
    expected = {
        **KEY,
        "n": {"N": "-2"},
        "m": {"M": {}},
        "l": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}, {"S": "end"}]},
        "ss": {"SS": ["b"]},
        "q": {"S": "new"},
    }
    assert answer["Attributes"] == expected
    assert item_of(front) == expected
    failed = {"AttributeUpdates": {"n": {"Action": "DELETE"}}, "Expected": {"n": {"Value": {"N": "5"}}}}
    assert refusal(orders, "update_item", Key=KEY, **failed) == FAILED


def test_capacity_counts_the_larger_of_old_and_new_item(orders: Any) -> None:
    grown = updated(orders, "SET p = :p", {":p": {"S": "x" * 5000}}, ReturnConsumedCapacity="TOTAL")
    assert grown["ConsumedCapacity"] == {"TableName": "orders", "CapacityUnits": 5.0}
    shrunk = updated(orders, "REMOVE p", ReturnConsumedCapacity="INDEXES", ReturnItemCollectionMetrics="SIZE")
    assert shrunk == {
        "ConsumedCapacity": {"TableName": "orders", "CapacityUnits": 5.0, "Table": {"CapacityUnits": 5.0}},
        "ResponseMetadata": shrunk["ResponseMetadata"],
    }
    assert "ConsumedCapacity" not in updated(orders, "SET n = :v", {":v": {"N": "1"}}, ReturnConsumedCapacity="NONE")


def nested(levels: int) -> Any:
    value: Any = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


ONE = {":v": {"N": "1"}}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"UpdateExpression": ""}, "Invalid UpdateExpression: The expression can not be empty;"),
        (
            {"UpdateExpression": "SET n"},
            'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "n"',
        ),
        (
            {"UpdateExpression": "bad(", "ConditionExpression": "worse("},
            'Invalid UpdateExpression: Syntax error; token: "bad", near: "bad("',
        ),
        (
            {"UpdateExpression": "SET n = :v, n = :v", "ExpressionAttributeValues": ONE},
            "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of "
            "these paths; path one: [n], path two: [n]",
        ),
        (
            {"UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": ONE},
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            {"AttributeUpdates": {"pk": {"Value": {"S": "k"}}}},
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            {"UpdateExpression": "SET n = pk[0]"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        (
            {"UpdateExpression": "SET n = absent + :v", "ExpressionAttributeValues": ONE},
            "The provided expression refers to an attribute that does not exist in the item",
        ),
        (
            {"UpdateExpression": "SET q.x = :v", "ExpressionAttributeValues": ONE},
            "The document path provided in the update expression is invalid for update",
        ),
        (
            {"UpdateExpression": "ADD s :v", "ExpressionAttributeValues": ONE},
            "An operand in the update expression has an incorrect data type",
        ),
        (
            {"UpdateExpression": "ADD n :v", "ExpressionAttributeValues": {":v": {"S": "1"}}},
            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, "
            "operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND",
        ),
        (
            {"AttributeUpdates": {"s": {"Action": "ADD", "Value": {"N": "1"}}}},
            "Type mismatch for attribute to update",
        ),
        (
            {"AttributeUpdates": {"n": {"Action": "PUT"}}},
            "One or more parameter values were invalid: "
            "Only DELETE action is allowed when no attribute value is specified",
        ),
        (
            {"AttributeUpdates": {"n": {"Action": "DELETE", "Value": {"N": "5"}}}},
            "One or more parameter values were invalid: DELETE action with value is not supported for the type N",
        ),
        (
            {"AttributeUpdates": {"n": {"Action": "MOVE", "Value": {"N": "5"}}}},
            "1 validation error detected: Value 'MOVE' at 'attributeUpdates.n.member.action' "
            "failed to satisfy constraint: Member must satisfy enum value set: [ADD, PUT, DELETE]",
        ),
        (
            {"AttributeUpdates": {}, "Expected": {}, "UpdateExpression": "bad(", "ConditionExpression": "bad("},
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributeUpdates, Expected} "
            "Expression parameters: {UpdateExpression, ConditionExpression}",
        ),
        (
            {"ExpressionAttributeValues": ONE},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
        ),
        (
            {"UpdateExpression": "REMOVE n", "ExpressionAttributeValues": ONE},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}",
        ),
        (
            {"UpdateExpression": "SET q = :v", "ExpressionAttributeValues": {":v": {"S": "x" * 409_600}}},
            "Item size to update has exceeded the maximum allowed size",
        ),
        (
            {"UpdateExpression": "SET q = :v, r = :v", "ExpressionAttributeValues": {":v": {"S": "x" * 204_800}}},
            "Item size to update has exceeded the maximum allowed size",
        ),
        (
            {"UpdateExpression": "SET m.q = :v", "ExpressionAttributeValues": {":v": nested(31)}},
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit",
        ),
        (
            {"Key": {"pk": {"N": "1"}}, "UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": ONE},
            "The provided key element does not match the schema",
        ),
        (
            {"Key": {"pk": {"N": "x"}}, "UpdateExpression": "bad("},
            "The parameter cannot be converted to a numeric value: x",
        ),
        (
            {"ReturnValues": "EVERYTHING", "UpdateExpression": "bad("},
            "1 validation error detected: Value 'EVERYTHING' at 'returnValues' failed to satisfy constraint: "
            "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
        ),
    ],
)
def test_what_breaks_a_rule_is_a_validation_error(
    front: Front, orders: Any, parameters: dict[str, Any], message: str
) -> None:
    orders.put_item(TableName="orders", Item=ITEM)
    assert refusal(orders, "update_item", **{"Key": KEY, **parameters}) == ("ValidationException", message)
    assert item_of(front) == ITEM and front.backend.writes == 1


def test_an_item_may_be_updated_up_to_its_largest_size(front: Front, orders: Any) -> None:
    updated(orders, "SET q = :v", {":v": {"S": "x" * (409_600 - 4)}})
    assert len(item_of(front)["q"]["S"]) == 409_596
    assert refusal(
        orders, "update_item", Key=KEY, UpdateExpression="SET r = :v", ExpressionAttributeValues={":v": {"S": ""}}
    ) == ("ValidationException", "Item size to update has exceeded the maximum allowed size")


def test_key_attributes_may_be_read_by_an_update(front: Front, orders: Any) -> None:
    updated(orders, "SET copied = pk", ConditionExpression="attribute_not_exists(pk)")
    assert item_of(front) == {**KEY, "copied": {"S": "k"}}


def test_the_resource_interface_counts(front: Front, orders: Any) -> None:
    table = front.resource().Table("lines")
    for _ in range(3):
        answer = table.update_item(
            Key={"pk": "p", "sk": Decimal("1")},
            UpdateExpression="ADD hits :one SET tags = if_not_exists(tags, :none)",
            ExpressionAttributeValues={":one": 1, ":none": []},
            ReturnValues="ALL_NEW",
        )
    assert answer["Attributes"] == {"pk": "p", "sk": Decimal("1"), "hits": Decimal("3"), "tags": []}
