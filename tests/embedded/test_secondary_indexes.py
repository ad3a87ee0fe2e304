"""Secondary indexes with boto3 on real nodes: made with a table of several partitions, and added to it."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.index_tables import definitions, index, table
from tests.embedded.test_main_job import client
from tests.embedded.test_queries import pages_of
from tests.faults.cluster import Cluster, running_cluster

ITEMS: list[dict[str, Any]] = [
    {
        "pk": {"S": f"customer-{number % 7}"},
        "sk": {"N": str(number)},
        "city": {"S": ["Oslo", "Rome"][number % 2]},
        "kind": {"S": ["book", "pen", "lamp"][number % 3]},
        "price": {"N": str((number * 37) % 50 - 25)},
        "note": {"S": "x" * 300},
    }
    for number in range(84)
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"item_collection_mb": 1}
    with running_cluster(tmp_path_factory.mktemp("indexes"), node_command=None, settings=settings) as found:
        yield found


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> list[Any]:
    """One per node, with the table `orders` in five partitions and the items above."""
    found = [client(endpoint) for endpoint in cluster.endpoints()]
    found[0].create_table(
        **table(
            ["pk", "sk:N", "city", "kind", "price:N"],
            ["pk", "sk"],
            LocalSecondaryIndexes=[index("by-price", ["pk", "price"], "KEYS_ONLY")],
            GlobalSecondaryIndexes=[
                index("by-place", ["city:HASH", "kind:HASH", "price:RANGE", "sk:RANGE"], "INCLUDE", "note")
            ],
            Tags=[{"Key": "keystead:partitions", "Value": "5"}],
        )
    )
    found[0].get_waiter("table_exists").wait(TableName="orders", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    for start in range(0, len(ITEMS), 25):
        batch = [{"PutRequest": {"Item": item}} for item in ITEMS[start : start + 25]]
        assert not found[start % 3].batch_write_item(RequestItems={"orders": batch})["UnprocessedItems"]
    wait_until_filled(cluster, found, "by-place")
    cluster.wait_until("orders is level", lambda: cluster.all_level("orders"), 60)
    return found


def wait_until_filled(cluster: Cluster, clients: list[Any], name: str) -> None:
    """Every replica that a node may read has all items in the index."""

    def is_filled() -> bool:
        counts = [
            sum(page["Count"] for page in pages_of(one.scan, TableName="orders", IndexName=name)) for one in clients
        ]
        return counts == [len(ITEMS)] * len(clients)

    cluster.wait_until(f"{name} has all items", is_filled, 60)


def price(item: dict[str, Any]) -> int:
    return int(item["price"]["N"])


def numbers(pages: list[dict[str, Any]]) -> list[str]:
    return [item["sk"]["N"] for page in pages for item in page["Items"]]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_every_node_answers_by_a_local_index(clients: list[Any], limit: int) -> None:
    for place in range(7):
        asked = {
            "TableName": "orders",
            "IndexName": "by-price",
            "KeyConditionExpression": "pk = :p AND price >= :low",
            "ExpressionAttributeValues": {":p": {"S": f"customer-{place}"}, ":low": {"N": "-10"}},
            "Limit": limit,
        }
        own = [item for item in ITEMS if item["pk"]["S"] == f"customer-{place}" and price(item) >= -10]
        expected = sorted(own, key=lambda item: (price(item), int(item["sk"]["N"])))
        for one in clients:
            pages = pages_of(one.query, **asked, ConsistentRead=True, Select="ALL_ATTRIBUTES")
            assert [item for page in pages for item in page["Items"]] == expected
            backwards = pages_of(one.query, **asked, ScanIndexForward=False)
            assert numbers(backwards) == [item["sk"]["N"] for item in expected[::-1]]


@pytest.mark.parametrize("limit", [2, 100])
def test_every_node_answers_by_a_global_index_of_many_attributes(clients: list[Any], limit: int) -> None:
    for city in ("Oslo", "Rome"):
        values = {":c": {"S": city}, ":k": {"S": "pen"}, ":p": {"N": "7"}}
        asked = {
            "TableName": "orders",
            "IndexName": "by-place",
            "KeyConditionExpression": "city = :c AND kind = :k AND price < :p",
            "ExpressionAttributeValues": values,
            "Limit": limit,
        }
        own = [item for item in ITEMS if (item["city"]["S"], item["kind"]["S"]) == (city, "pen") and price(item) < 7]
        expected = sorted(own, key=lambda item: (price(item), int(item["sk"]["N"])))
        for one in clients:
            pages = pages_of(one.query, **asked)
            assert [item for page in pages for item in page["Items"]] == expected


@pytest.mark.parametrize("name", ["by-price", "by-place"])
def test_segments_of_a_scan_of_an_index_have_every_item_once(clients: list[Any], name: str) -> None:
    found = []
    for segment in range(4):
        asked = {"TableName": "orders", "IndexName": name, "Segment": segment, "TotalSegments": 4, "Limit": 5}
        found += numbers(pages_of(clients[segment % 3].scan, **asked))
    assert sorted(found) == sorted(item["sk"]["N"] for item in ITEMS)


def test_an_index_is_added_and_dropped_while_the_table_is_there(cluster: Cluster, clients: list[Any]) -> None:
    created = {"Create": index("by-city", ["city", "sk"], "KEYS_ONLY")}
    answer = clients[0].update_table(
        TableName="orders", AttributeDefinitions=definitions("city"), GlobalSecondaryIndexUpdates=[created]
    )
    assert answer["TableDescription"]["GlobalSecondaryIndexes"][1]["IndexStatus"] == "CREATING"

    def status() -> str:
        found = clients[1].describe_table(TableName="orders")["Table"]["GlobalSecondaryIndexes"]
        return str(found[1]["IndexStatus"])

    cluster.wait_until("by-city is active", lambda: status() == "ACTIVE", 60)
    wait_until_filled(cluster, clients, "by-city")
    values = {":c": {"S": "Rome"}}
    pages = pages_of(
        clients[2].query,
        TableName="orders",
        IndexName="by-city",
        KeyConditionExpression="city = :c",
        ExpressionAttributeValues=values,
    )
    assert numbers(pages) == [item["sk"]["N"] for item in ITEMS if item["city"]["S"] == "Rome"]
    assert clients[2].list_tables()["TableNames"] == ["orders"]
    dropped = [{"Delete": {"IndexName": "by-city"}}]
    after = clients[1].update_table(TableName="orders", GlobalSecondaryIndexUpdates=dropped)["TableDescription"]
    assert [one["IndexName"] for one in after["GlobalSecondaryIndexes"]] == ["by-place"]


def test_writes_say_what_the_indexes_cost_and_how_large_the_collection_is(clients: list[Any]) -> None:
    key = {"pk": {"S": "customer-x"}, "sk": {"N": "1"}}
    asked = {"TableName": "orders", "ReturnConsumedCapacity": "INDEXES", "ReturnItemCollectionMetrics": "SIZE"}
    metrics = {"ItemCollectionKey": {"pk": {"S": "customer-x"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    for one in clients:
        put = one.put_item(Item={**key, "price": {"N": "1"}}, **asked)
        assert put["ConsumedCapacity"]["LocalSecondaryIndexes"] == {"by-price": {"CapacityUnits": 1.0}}
        moved = one.update_item(
            Key=key, UpdateExpression="ADD price :one", ExpressionAttributeValues={":one": {"N": "1"}}, **asked
        )
        assert moved["ConsumedCapacity"]["CapacityUnits"] == 3.0
        gone = one.delete_item(Key=key, **asked)
        assert gone["ConsumedCapacity"]["LocalSecondaryIndexes"] == {"by-price": {"CapacityUnits": 1.0}}
        assert (
            put["ItemCollectionMetrics"] == moved["ItemCollectionMetrics"] == gone["ItemCollectionMetrics"] == metrics
        )


def test_items_of_one_partition_key_grow_up_to_their_limit(clients: list[Any]) -> None:
    """1 MiB here, with the entries in the local index; others of the table are not concerned."""
    big = {"pk": {"S": "big"}, "note": {"S": "x" * 300_000}}
    written = 0
    with pytest.raises(ClientError) as caught:
        for number in range(10):
            clients[number % 3].put_item(TableName="orders", Item={**big, "sk": {"N": str(number)}})
            written += 1
    assert caught.value.response["Error"] == {
        "Code": "ItemCollectionSizeLimitExceededException",
        "Message": "Collection size exceeded.",
    }
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert written == 3
    with pytest.raises(ClientError, match="Collection size exceeded"):
        clients[0].update_item(
            TableName="orders",
            Key={"pk": {"S": "big"}, "sk": {"N": "0"}},
            UpdateExpression="SET more = :m",
            ExpressionAttributeValues={":m": {"S": "y" * 50_000}},
        )
    for one in clients:
        other = {**ITEMS[0], "pk": {"S": f"beside-{clients.index(one)}"}}
        rows = [other, {**big, "sk": {"N": "9"}}, {**other, "sk": {"N": "1001"}}]
        with pytest.raises(ClientError, match="Collection size exceeded"):
            one.batch_write_item(RequestItems={"orders": [{"PutRequest": {"Item": row}} for row in rows]})
        for row in (rows[0], rows[2]):
            key = {name: row[name] for name in ("pk", "sk")}
            assert clients[0].get_item(TableName="orders", Key=key, ConsistentRead=True)["Item"] == row
    told = clients[1].put_item(
        TableName="orders", Item={**ITEMS[0], "sk": {"N": "1000"}}, ReturnItemCollectionMetrics="SIZE"
    )
    assert told["ItemCollectionMetrics"]["SizeEstimateRangeGB"] == [0.0, 1.0]
    for number in range(written):
        clients[2].delete_item(TableName="orders", Key={"pk": {"S": "big"}, "sk": {"N": str(number)}})
    clients[0].put_item(TableName="orders", Item={**big, "sk": {"N": "7"}})
