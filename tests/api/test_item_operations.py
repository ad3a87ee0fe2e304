"""PutItem, GetItem and DeleteItem through boto3."""

from decimal import Decimal
from typing import Any

import pytest

from keystead_node.api.errors import OutcomeUnknown, StorageFull, Throttled, Unavailable
from tests.api.conftest import Front, create_table

EVERY_TYPE = {
    "pk": {"S": "k"},
    "s": {"S": "naïve \u0000 \U0001f980"},
    "n": {"N": "-12.5"},
    "b": {"B": b"\x00\xff"},
    "bool": {"BOOL": False},
    "null": {"NULL": True},
    "map": {"M": {"inner": {"L": [{"S": ""}, {"N": "0"}]}, "": {"M": {}}}},
    "ss": {"SS": ["a", ""]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": [b"x"]},
}


def test_an_item_of_every_type_comes_back_as_it_was_put(orders: Any) -> None:
    assert "Attributes" not in orders.put_item(TableName="orders", Item=EVERY_TYPE)
    for consistent in (True, False):
        got = orders.get_item(TableName="orders", Key={"pk": {"S": "k"}}, ConsistentRead=consistent)
        assert got["Item"] == EVERY_TYPE


def test_consistent_read_is_asked_for_and_is_off_by_default(front: Front, orders: Any) -> None:
    orders.get_item(TableName="orders", Key={"pk": {"S": "k"}})
    orders.get_item(TableName="orders", Key={"pk": {"S": "k"}}, ConsistentRead=True)
    assert front.backend.consistent_reads == [False, True]


def test_an_item_that_is_not_there_has_no_item_member(orders: Any) -> None:
    assert "Item" not in orders.get_item(TableName="orders", Key={"pk": {"S": "none"}})


def test_a_projection_returns_the_parts_that_its_paths_lead_to(orders: Any) -> None:
    orders.put_item(TableName="orders", Item=EVERY_TYPE)
    key = {"pk": {"S": "k"}}
    for paths, names, expected in (
        ("n, #b", {"#b": "b"}, {"n": EVERY_TYPE["n"], "b": EVERY_TYPE["b"]}),
        (
            "#m.#i[1], ss",
            {"#m": "map", "#i": "inner"},
            {"map": {"M": {"inner": {"L": [{"N": "0"}]}}}, "ss": {"SS": ["a", ""]}},
        ),
        ("s.aa, bb", None, {}),
    ):
        more = {} if names is None else {"ExpressionAttributeNames": names}
        assert orders.get_item(TableName="orders", Key=key, ProjectionExpression=paths, **more)["Item"] == expected
    got = orders.get_item(TableName="orders", Key=key, AttributesToGet=["bool", "map.inner", "pk"])
    assert got["Item"] == {"bool": {"BOOL": False}, "pk": {"S": "k"}}


def test_a_projection_of_an_item_that_is_not_there_has_no_item_member(orders: Any) -> None:
    got = orders.get_item(TableName="orders", Key={"pk": {"S": "none"}}, ProjectionExpression="v")
    assert "Item" not in got


def test_a_projection_changes_nothing_of_what_a_read_costs(orders: Any) -> None:
    orders.put_item(TableName="orders", Item={"pk": {"S": "k"}, "p": {"S": "x" * 9000}})
    got = orders.get_item(
        TableName="orders",
        Key={"pk": {"S": "k"}},
        ProjectionExpression="pk",
        ConsistentRead=True,
        ReturnConsumedCapacity="INDEXES",
    )
    assert got["Item"] == {"pk": {"S": "k"}}
    assert got["ConsumedCapacity"] == {"TableName": "orders", "CapacityUnits": 3.0, "Table": {"CapacityUnits": 3.0}}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"ProjectionExpression": "a", "AttributesToGet": ["a"]},
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            "{AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            {"ExpressionAttributeNames": {"#a": "a"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"ProjectionExpression": "a", "ExpressionAttributeNames": {"#a": "a"}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}",
        ),
        (
            {"ProjectionExpression": "a, b.c, a"},
            "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of "
            "these paths; path one: [a], path two: [a]",
        ),
        (
            {"ProjectionExpression": "pk.a"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        (
            {"ProjectionExpression": "pk.a", "Key": {"other": {"S": "k"}}},
            "The provided key element does not match the schema",
        ),
        (
            {"AttributesToGet": ["a", "a"]},
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        ),
        ({"AttributesToGet": [""]}, "Empty attribute name"),
        (
            {"AttributesToGet": []},
            "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy constraint: Member must "
            "have length greater than or equal to 1",
        ),
    ],
)
def test_a_bad_projection_is_refused(orders: Any, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(orders.exceptions.ClientError) as caught:
        orders.get_item(**{"TableName": "orders", "Key": {"pk": {"S": "k"}}} | parameters)
    assert caught.value.response["Error"] == {"Code": "ValidationException", "Message": message}


def test_put_replaces_the_whole_item_and_returns_the_old_one_when_asked(orders: Any) -> None:
    orders.put_item(TableName="orders", Item={"pk": {"S": "k"}, "a": {"N": "01"}})
    answer = orders.put_item(TableName="orders", Item={"pk": {"S": "k"}}, ReturnValues="ALL_OLD")
    assert answer["Attributes"] == {"pk": {"S": "k"}, "a": {"N": "1"}}
    assert orders.get_item(TableName="orders", Key={"pk": {"S": "k"}})["Item"] == {"pk": {"S": "k"}}


def test_delete_removes_an_item_and_returns_it_when_asked(front: Front, orders: Any) -> None:
    item = {"pk": {"S": "k"}, "sk": {"N": "1"}}
    orders.put_item(TableName="lines", Item=item)
    equal_key = {"pk": {"S": "k"}, "sk": {"N": "1.0"}}
    answer = orders.delete_item(TableName="lines", Key=equal_key, ReturnValues="ALL_OLD")
    assert answer["Attributes"] == item
    assert front.backend.rows["lines"] == {}
    assert "Attributes" not in orders.delete_item(TableName="lines", Key=equal_key, ReturnValues="ALL_OLD")


@pytest.mark.parametrize("key_type", ["S", "N", "B"])
def test_keys_of_every_type_address_their_items(dynamodb: Any, key_type: str) -> None:
    by_type: dict[str, list[Any]] = {"S": ["a", "b"], "N": ["1", "1.5"], "B": [b"\x00", b"\x00\x00"]}
    values = by_type[key_type]
    create_table(dynamodb, "keyed", key_type, key_type)
    for value in values:
        key = {"pk": {key_type: values[0]}, "sk": {key_type: value}}
        dynamodb.put_item(TableName="keyed", Item=key | {"v": {"S": str(value)}})
    for value in values:
        key = {"pk": {key_type: values[0]}, "sk": {key_type: value}}
        assert dynamodb.get_item(TableName="keyed", Key=key)["Item"]["v"]["S"] == str(value)


def test_consumed_capacity_counts_the_larger_of_old_and_new_item(orders: Any) -> None:
    big = {"pk": {"S": "k"}, "p": {"S": "x" * 5000}}
    put = orders.put_item(TableName="orders", Item=big, ReturnConsumedCapacity="TOTAL")
    assert put["ConsumedCapacity"] == {"TableName": "orders", "CapacityUnits": 5.0}
    small = orders.put_item(TableName="orders", Item={"pk": {"S": "k"}}, ReturnConsumedCapacity="INDEXES")
    assert small["ConsumedCapacity"] == {
        "TableName": "orders",
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 5.0},
    }
    orders.put_item(TableName="orders", Item=big)
    for consistent, units in ((True, 2.0), (False, 1.0)):
        got = orders.get_item(
            TableName="orders", Key={"pk": {"S": "k"}}, ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL"
        )
        assert got["ConsumedCapacity"]["CapacityUnits"] == units
    gone = orders.delete_item(TableName="orders", Key={"pk": {"S": "k"}}, ReturnConsumedCapacity="TOTAL")
    assert gone["ConsumedCapacity"]["CapacityUnits"] == 5.0


def test_a_table_that_the_local_map_does_not_know_yet_is_asked_for(front: Front, orders: Any) -> None:
    front.backend.hidden.add("orders")
    orders.put_item(TableName="orders", Item={"pk": {"S": "k"}})
    assert len(front.backend.rows["orders"]) == 1


def test_the_resource_interface_works(front: Front, orders: Any) -> None:
    table = front.resource().Table("lines")
    with table.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"pk": "p", "sk": number, "price": Decimal("1.10")})
    assert table.get_item(Key={"pk": "p", "sk": 59})["Item"]["price"] == Decimal("1.1")
    assert table.item_count == 60


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (OutcomeUnknown(), "InternalServerError", 500),
        (Unavailable(), "ServiceUnavailableException", 503),
        (Throttled(), "ThrottlingException", 400),
        (StorageFull(), "LimitExceededException", 400),
    ],
)
def test_a_backends_failure_reaches_the_client_as_its_own_error(
    front: Front, orders: Any, failure: Exception, code: str, status: int
) -> None:
    front.backend.failures = [failure]  # type: ignore[list-item]
    with pytest.raises(orders.exceptions.ClientError) as refused:
        orders.put_item(TableName="orders", Item={"pk": {"S": "k"}})
    assert refused.value.response["Error"] == {"Code": code, "Message": str(failure)}
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert front.operations[-1] == ("PutItem", code)


@pytest.mark.parametrize("failure", [Unavailable(), Throttled(), OutcomeUnknown()])
def test_boto3_retries_what_may_pass(front: Front, orders: Any, failure: Exception) -> None:
    front.backend.failures = [failure]  # type: ignore[list-item]
    client = front.client(attempts=3)
    client.put_item(TableName="orders", Item={"pk": {"S": "k"}})
    assert front.backend.writes == 1
    assert len(front.backend.rows["orders"]) == 1
