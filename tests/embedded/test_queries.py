"""Queries and filtered scans with boto3 on real nodes: order, ranges and pages over the rows of several partitions."""

import operator
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.embedded.test_main_job import client
from tests.faults.cluster import Cluster, running_cluster

COMPARISONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SORT_KEYS: dict[str, list[Any]] = {
    "N": ["-1000000", "-12.5", "-12.49", "-1", "-0.001", "0", "1E-100", "0.5", "9", "10", "100.25", "1E+50"],
    "S": ["\x00", "A", "a", "a\x00", "a\x00\x01", "aa", "b", "é", "éa", "\uffff", "\U0001f980", "\U0001f980a"],
    "B": [
        b"\x00",
        b"\x00\x00",
        b"\x00\x01",
        b"\x00\xff",
        b"\x01",
        b"a",
        b"ab",
        b"\xfe",
        b"\xff",
        b"\xff\x00",
        b"\xff\xff",
    ],
}
ORDERS: dict[str, Any] = {"N": Decimal, "S": str.encode, "B": bytes}
CUSTOMERS = [f"customer-{number:02}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("queries"), node_command=None) as found:
        yield found


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> list[Any]:
    """One per node, with a table for each type of sort key, in five partitions: the same rows for each customer."""
    found = [client(endpoint) for endpoint in cluster.endpoints()]
    for kind in SORT_KEYS:
        found[0].create_table(
            TableName=f"by_{kind}",
            AttributeDefinitions=[
                {"AttributeName": "customer", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": kind},
            ],
            KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
            Tags=[{"Key": "keystead:partitions", "Value": "5"}],
        )
    for kind in SORT_KEYS:
        found[0].get_waiter("table_exists").wait(TableName=f"by_{kind}", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        items = [
            {"customer": {"S": customer}, "at": {kind: at}, "v": {"N": str(place % 3)}, "pad": {"S": "x" * 500}}
            for customer in CUSTOMERS
            for place, at in enumerate(SORT_KEYS[kind])
        ]
        for start in range(0, len(items), 25):
            batch = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            left = found[start % 3].batch_write_item(RequestItems={f"by_{kind}": batch})["UnprocessedItems"]
            assert not left
    wait_until_level(cluster)
    return found


def wait_until_level(cluster: Cluster) -> None:
    """Eventually consistent reads show all that was written from here on."""
    for kind in SORT_KEYS:
        cluster.wait_until(f"by_{kind} is level", lambda kind=kind: cluster.all_level(f"by_{kind}"), 60)


def pages_of(call: Any, **parameters: Any) -> list[dict[str, Any]]:
    pages = [call(**parameters)]
    while "LastEvaluatedKey" in pages[-1]:
        pages.append(call(ExclusiveStartKey=pages[-1]["LastEvaluatedKey"], **parameters))
    return pages


def sort_keys(kind: str, pages: list[dict[str, Any]]) -> list[Any]:
    return [ORDERS[kind](item["at"][kind]) for page in pages for item in page["Items"]]


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("kind", SORT_KEYS)
def test_every_node_answers_a_query_in_the_order_of_the_sort_key(
    clients: list[Any], kind: str, consistent: bool
) -> None:
    expected = sorted(map(ORDERS[kind], SORT_KEYS[kind]))
    for number, customer in enumerate(CUSTOMERS):
        for forward in (True, False):
            pages = pages_of(
                clients[number % 3].query,
                TableName=f"by_{kind}",
                KeyConditionExpression="customer = :c",
                ExpressionAttributeValues={":c": {"S": customer}},
                ScanIndexForward=forward,
                ConsistentRead=consistent,
                Limit=number + 1,
            )
            assert sort_keys(kind, pages) == (expected if forward else expected[::-1])
            assert all(page["Count"] == number + 1 for page in pages[:-1])


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("kind", SORT_KEYS)
def test_a_condition_on_the_sort_key_reads_just_its_range(clients: list[Any], kind: str, forward: bool) -> None:
    order = ORDERS[kind]
    expected = sorted(map(order, SORT_KEYS[kind]), reverse=not forward)
    for place, at in enumerate(SORT_KEYS[kind]):
        for symbol, holds in COMPARISONS.items():
            page = clients[place % 3].query(
                TableName=f"by_{kind}",
                KeyConditionExpression=f"customer = :c AND #at {symbol} :at",
                ExpressionAttributeNames={"#at": "at"},
                ExpressionAttributeValues={":c": {"S": CUSTOMERS[place]}, ":at": {kind: at}},
                ScanIndexForward=forward,
                ConsistentRead=place % 2 == 0,
            )
            assert sort_keys(kind, [page]) == [other for other in expected if holds(other, order(at))]
            assert page["ScannedCount"] == page["Count"]


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [("S", "a"), ("S", "\U0001f980"), ("S", "\x00"), ("B", b"\xff"), ("B", b"\x00"), ("B", b"\xff\xff")],
)
@pytest.mark.parametrize("forward", [True, False])
def test_a_prefix_of_the_sort_key_reads_just_its_range(
    clients: list[Any], kind: str, prefix: Any, forward: bool
) -> None:
    page = clients[0].query(
        TableName=f"by_{kind}",
        KeyConditionExpression="customer = :c AND begins_with(#at, :at)",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":c": {"S": CUSTOMERS[5]}, ":at": {kind: prefix}},
        ScanIndexForward=forward,
        ConsistentRead=True,
    )
    expected = sorted((at for at in SORT_KEYS[kind] if at.startswith(prefix)), key=ORDERS[kind], reverse=not forward)
    assert sort_keys(kind, [page]) == list(map(ORDERS[kind], expected))


@pytest.mark.parametrize("consistent", [True, False])
def test_a_filtered_scan_over_all_partitions_reads_every_item_once(clients: list[Any], consistent: bool) -> None:
    for kind, limit in (("N", 7), ("S", 50), ("B", 1000)):
        pages = pages_of(
            clients[1].scan,
            TableName=f"by_{kind}",
            FilterExpression="v = :v",
            ProjectionExpression="customer, #at",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={":v": {"N": "1"}},
            ConsistentRead=consistent,
            Limit=limit,
        )
        found = [(item["customer"]["S"], ORDERS[kind](item["at"][kind])) for page in pages for item in page["Items"]]
        wanted = [ORDERS[kind](at) for place, at in enumerate(SORT_KEYS[kind]) if place % 3 == 1]
        assert sorted(found) == sorted((customer, at) for customer in CUSTOMERS for at in wanted)
        assert sum(page["ScannedCount"] for page in pages) == len(CUSTOMERS) * len(SORT_KEYS[kind])


def test_pages_of_a_megabyte_lose_nothing_in_either_direction(clients: list[Any]) -> None:
    expected = list(range(40))
    for number in expected:
        item = {"customer": {"S": "large"}, "at": {"N": str(number)}, "pad": {"S": "x" * 100_000}}
        clients[number % 3].put_item(TableName="by_N", Item=item)
    for forward in (True, False):
        for more in ({}, {"ReturnConsumedCapacity": "TOTAL"}):
            pages = pages_of(
                clients[2].query,
                TableName="by_N",
                KeyConditionExpression="customer = :c",
                ExpressionAttributeValues={":c": {"S": "large"}},
                ScanIndexForward=forward,
                ConsistentRead=True,
                **more,
            )
            assert sort_keys("N", pages) == (expected if forward else expected[::-1])
            assert [page["Count"] for page in pages] == [11, 11, 11, 7]


def test_queries_go_on_while_a_node_is_down(cluster: Cluster, clients: list[Any]) -> None:
    name = cluster.names()[0]
    with cluster.held_down(name):
        for customer in CUSTOMERS:
            page = clients[1].query(
                TableName="by_S",
                KeyConditionExpression="customer = :c",
                ExpressionAttributeValues={":c": {"S": customer}},
                ScanIndexForward=False,
                ConsistentRead=True,
            )
            assert sort_keys("S", [page]) == sorted(map(str.encode, SORT_KEYS["S"]), reverse=True)
    cluster.wait_until(f"{name} is back and level", lambda: cluster.all_level("by_S"), 60)
