"""Writes to tables with secondary indexes: what may be a key, what they cost, and what is told of item collections."""

from typing import Any

import pytest

from tests.api.conftest import Front
from tests.api.index_tables import INVALID, create_orders, index, table
from tests.api.test_table_operations import refused

KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}
NOT_VALID = "One or more parameter values are not valid. "
NOT_SUPPORTED = f"{NOT_VALID}A value specified for a secondary index key is not supported. "
UPDATED = (
    f"{NOT_VALID}The update expression attempted to update a secondary index key to a "
    "value that is not supported. The AttributeValue for a key attribute cannot contain an empty string value."
)
BAD_KEYS: list[tuple[dict[str, Any], str]] = [
    ({"a": {"N": "1"}}, f"{INVALID}Type mismatch for Index Key a Expected: S Actual: N IndexName: by-a"),
    ({"n": {"S": "1"}}, f"{INVALID}Type mismatch for Index Key n Expected: N Actual: S IndexName: by-a"),
    ({"l": {"NULL": True}}, f"{INVALID}Type mismatch for Index Key l Expected: S Actual: NULL IndexName: loc"),
    (
        {"a": {"S": ""}},
        f"{NOT_SUPPORTED}The AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-a, "
        "IndexKey: a",
    ),
    (
        {"a": {"S": "x" * 2049}},
        f"{INVALID}Size limit exceeded for Index Key a Actual Size: 2049 bytes Max Size: 2048 bytes IndexName: by-a",
    ),
    (
        {"l": {"S": "é" * 513}},
        f"{INVALID}Size limit exceeded for Index Key l Actual Size: 1026 bytes Max Size: 1024 bytes IndexName: loc",
    ),
]


@pytest.fixture
def orders_by(dynamodb: Any) -> Any:
    """The client, with the table and indexes of `create_orders`."""
    create_orders(dynamodb)
    return dynamodb


@pytest.mark.parametrize(("attributes", "message"), BAD_KEYS)
def test_what_may_be_no_key_of_an_index_is_not_put(
    front: Front, orders_by: Any, attributes: dict[str, Any], message: str
) -> None:
    item = {**KEY, **attributes}
    refusal = ("ValidationException", message)
    assert refused(orders_by.put_item, TableName="orders", Item=item) == refusal
    only_new = "attribute_not_exists(pk)"
    assert refused(orders_by.put_item, TableName="orders", Item=item, ConditionExpression=only_new) == refusal
    batch = {"orders": [{"PutRequest": {"Item": {**KEY, "sk": {"S": "t"}}}}, {"PutRequest": {"Item": item}}]}
    assert refused(orders_by.batch_write_item, RequestItems=batch) == refusal
    assert front.backend.rows["orders"] == {}


@pytest.mark.parametrize(("attributes", "message"), BAD_KEYS)
@pytest.mark.parametrize("exists", [False, True])
def test_what_may_be_no_key_of_an_index_is_not_brought_in_by_an_update(
    orders_by: Any, exists: bool, attributes: dict[str, Any], message: str
) -> None:
    if exists:
        orders_by.put_item(TableName="orders", Item=KEY)
    ((name, value),) = attributes.items()
    refusal = ("ValidationException", UPDATED if message.startswith(NOT_SUPPORTED) else message)
    update = {
        "UpdateExpression": "SET #a = :a",
        "ExpressionAttributeNames": {"#a": name},
        "ExpressionAttributeValues": {":a": value},
    }
    assert refused(orders_by.update_item, TableName="orders", Key=KEY, **update) == refusal
    legacy = {name: {"Value": value, "Action": "PUT"}}
    assert refused(orders_by.update_item, TableName="orders", Key=KEY, AttributeUpdates=legacy) == refusal
    assert orders_by.get_item(TableName="orders", Key=KEY).get("Item") == (KEY if exists else None)


def test_what_may_be_no_key_is_refused_before_a_condition_is_judged(orders_by: Any) -> None:
    values = {":a": {"N": "1"}}
    update = {"UpdateExpression": "SET a = :a", "ConditionExpression": "attribute_exists(pk)"}
    assert refused(orders_by.update_item, TableName="orders", Key=KEY, ExpressionAttributeValues=values, **update) == (
        "ValidationException",
        f"{INVALID}Type mismatch for Index Key a Expected: S Actual: N IndexName: by-a",
    )


def test_a_value_that_only_the_item_shows_is_judged_too(orders_by: Any) -> None:
    orders_by.put_item(TableName="orders", Item={**KEY, "n": {"N": "1"}})
    assert refused(orders_by.update_item, TableName="orders", Key=KEY, UpdateExpression="SET a = n") == (
        "ValidationException",
        f"{INVALID}Type mismatch for Index Key a Expected: S Actual: N IndexName: by-a",
    )


def test_an_item_older_than_an_index_may_be_changed_elsewhere(dynamodb: Any) -> None:
    dynamodb.create_table(**table(["pk"], ["pk"]))
    key = {"pk": {"S": "p"}}
    dynamodb.put_item(TableName="orders", Item={**key, "a": {"L": []}})
    created = {"Create": index("by-a", ["a"])}
    defined = [{"AttributeName": "a", "AttributeType": "S"}]
    dynamodb.update_table(TableName="orders", AttributeDefinitions=defined, GlobalSecondaryIndexUpdates=[created])
    values = {":x": {"S": "x"}}
    answer = dynamodb.update_item(
        TableName="orders",
        Key=key,
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues=values,
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == {**key, "a": {"L": []}, "x": {"S": "x"}}
    assert dynamodb.scan(TableName="orders", IndexName="by-a")["Count"] == 0


def test_a_partition_key_may_be_too_long_for_a_sort_key_of_an_index(dynamodb: Any) -> None:
    of_all = [index("turned", ["sk", "pk"])]
    dynamodb.create_table(**table(["pk", "sk"], ["pk", "sk"], GlobalSecondaryIndexes=of_all))
    assert refused(dynamodb.put_item, TableName="orders", Item={**KEY, "pk": {"S": "x" * 1025}}) == (
        "ValidationException",
        f"{INVALID}Size limit exceeded for Index Key pk Actual Size: 1025 bytes Max Size: 1024 bytes IndexName: turned",
    )


@pytest.mark.parametrize(("path", "kind"), [("a.b", "IndexKey: a"), ("l[0]", "IndexKey: l"), ("pk.b", "Key: pk")])
def test_no_path_leads_into_the_key_of_an_index(orders_by: Any, path: str, kind: str) -> None:
    scalar = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
    refusal = ("ValidationException", scalar + kind)
    exists = {"ConditionExpression": f"attribute_exists({path})"}
    assert refused(orders_by.put_item, TableName="orders", Item=KEY, **exists) == refusal
    assert refused(orders_by.update_item, TableName="orders", Key=KEY, **exists) == refusal
    assert refused(orders_by.get_item, TableName="orders", Key=KEY, ProjectionExpression=path) == refusal
    assert refused(orders_by.scan, TableName="orders", FilterExpression=f"attribute_exists({path})") == refusal


A, N, L = {"a": {"S": "q"}}, {"n": {"N": "1"}}, {"l": {"S": "1"}}
LARGE = {"y": {"S": "y" * 3000}}
COSTS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, float], dict[str, float]]] = [
    ("an item in no index", {}, {}, {}, {}),
    ("it comes into one", {}, A, {"whole": 1}, {}),
    ("it comes into more", A, {**A, **N}, {"whole": 1, "by-a": 1, "some": 1}, {}),
    ("nothing changes", {**A, **N, **L}, {**A, **N, **L}, {}, {}),
    ("what one index projects changes", {**A, **N}, {**A, **N, "z": {"S": "z"}}, {"whole": 1}, {}),
    ("what two project changes", {**A, **N}, {**A, **N, "x": {"S": "z"}}, {"whole": 1, "some": 1}, {}),
    ("a range key changes", {**A, **N}, {**A, "n": {"N": "2"}}, {"whole": 1, "by-a": 2, "some": 2}, {}),
    ("a local key comes", A, {**A, **L}, {"whole": 1}, {"loc": 1, "loc-all": 1}),
    ("a local key changes", L, {"l": {"S": "2"}}, {}, {"loc": 2, "loc-all": 2}),
    ("it grows", A, {**A, **LARGE}, {"whole": 3}, {}),
    ("it shrinks", {**A, **LARGE}, A, {"whole": 3}, {}),
    ("a large key changes", {**A, **LARGE}, {"a": {"S": "r"}}, {"whole": 4}, {}),
    ("it leaves", {**A, **N}, N, {"whole": 1, "by-a": 1, "some": 1}, {}),
]


def spent(answer: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """What the indexes cost, global and local ones; the whole adds up."""
    capacity = answer["ConsumedCapacity"]
    found = [
        {name: units["CapacityUnits"] for name, units in capacity.get(member, {}).items()}
        for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    ]
    total = capacity["Table"]["CapacityUnits"] + sum(found[0].values()) + sum(found[1].values())
    assert capacity["CapacityUnits"] == total
    return found[0], found[1]


@pytest.mark.parametrize(
    ("before", "after", "of_all", "local"), [case[1:] for case in COSTS], ids=[c[0] for c in COSTS]
)
def test_a_write_costs_what_it_changes_in_each_index(
    orders_by: Any, before: dict[str, Any], after: dict[str, Any], of_all: dict[str, float], local: dict[str, float]
) -> None:
    old, new = {**KEY, **before}, {**KEY, **after}
    asked = {"TableName": "orders", "ReturnConsumedCapacity": "INDEXES"}
    orders_by.put_item(TableName="orders", Item=old)
    assert spent(orders_by.put_item(Item=new, **asked)) == (of_all, local)
    orders_by.put_item(TableName="orders", Item=old)
    assert spent(orders_by.put_item(Item=new, ConditionExpression="attribute_exists(pk)", **asked)) == (of_all, local)
    orders_by.put_item(TableName="orders", Item=old)
    gone = {name: {"Action": "DELETE"} for name in before if name not in after}
    come = {name: {"Action": "PUT", "Value": value} for name, value in after.items()}
    assert spent(orders_by.update_item(Key=KEY, AttributeUpdates={**gone, **come}, **asked)) == (of_all, local)


def test_a_delete_costs_each_index_that_has_the_item(orders_by: Any) -> None:
    asked = {"TableName": "orders", "Key": KEY, "ReturnConsumedCapacity": "INDEXES"}
    for more in ({}, {"ConditionExpression": "attribute_exists(pk)"}):
        orders_by.put_item(TableName="orders", Item={**KEY, **A, **L, **LARGE})
        assert spent(orders_by.delete_item(**asked, **more)) == ({"whole": 3}, {"loc": 1, "loc-all": 3})
    assert spent(orders_by.delete_item(**asked)) == ({}, {})


def test_the_total_has_the_indexes_in_it(orders_by: Any) -> None:
    answer = orders_by.put_item(TableName="orders", Item={**KEY, **A, **N, **L}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": "orders", "CapacityUnits": 6.0}


def test_a_batch_adds_up_what_each_index_costs(orders_by: Any) -> None:
    writes = [{"PutRequest": {"Item": {**KEY, "sk": {"S": sk}, **A, **L}}} for sk in "st"]
    answer = orders_by.batch_write_item(RequestItems={"orders": writes}, ReturnConsumedCapacity="INDEXES")
    (capacity,) = answer["ConsumedCapacity"]
    assert spent({"ConsumedCapacity": capacity}) == ({"whole": 2}, {"loc": 2, "loc-all": 2})


def test_writes_tell_of_the_item_collection_where_there_are_local_indexes(front: Front, orders_by: Any) -> None:
    asked = {"TableName": "orders", "ReturnItemCollectionMetrics": "SIZE"}
    metrics = {"ItemCollectionKey": {"pk": {"S": "p"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    assert orders_by.put_item(Item=KEY, **asked)["ItemCollectionMetrics"] == metrics
    assert orders_by.update_item(Key=KEY, **asked)["ItemCollectionMetrics"] == metrics
    front.backend.collection_bytes = 5 << 30
    metrics["SizeEstimateRangeGB"] = [5.0, 6.0]
    assert orders_by.delete_item(Key=KEY, **asked)["ItemCollectionMetrics"] == metrics
    assert "ItemCollectionMetrics" not in orders_by.put_item(TableName="orders", Item=KEY)


def test_a_batch_tells_of_each_item_collection_once(orders_by: Any) -> None:
    writes = [{"PutRequest": {"Item": {"pk": {"S": pk}, "sk": {"S": sk}}}} for pk in "pq" for sk in "st"]
    answer = orders_by.batch_write_item(RequestItems={"orders": writes}, ReturnItemCollectionMetrics="SIZE")
    keys = [metrics["ItemCollectionKey"] for metrics in answer["ItemCollectionMetrics"]["orders"]]
    assert keys == [{"pk": {"S": "p"}}, {"pk": {"S": "q"}}]


def test_tables_without_local_indexes_have_no_item_collections(orders: Any) -> None:
    asked = {"TableName": "orders", "ReturnItemCollectionMetrics": "SIZE"}
    assert "ItemCollectionMetrics" not in orders.put_item(Item={"pk": {"S": "p"}}, **asked)
    writes = {"orders": [{"DeleteRequest": {"Key": {"pk": {"S": "p"}}}}]}
    answer = orders.batch_write_item(RequestItems=writes, ReturnItemCollectionMetrics="SIZE")
    assert not answer.get("ItemCollectionMetrics")
