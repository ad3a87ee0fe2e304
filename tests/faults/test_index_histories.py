"""Histories of conditional writes and of reads through indexes, while masters die.

A consistent Query of a local index is linearizable with the writes, as a GetItem is. A read of a global index is
eventual: it shows what was written, and nothing that was not.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.cluster import Cluster
from tests.faults.load import Load
from tests.faults.test_indexes import key_schema
from tests.faults.writers import client
from tests.histories.operations import Value

TABLE = "index-histories"
SECONDS_BETWEEN = 1.5


class IndexLoad(Load):
    """Writes under conditions; reads by the local index where they are consistent, else by the global one."""

    def write_request(self, key: str, value: str | None) -> tuple[str, dict[str, Any]]:
        if value is None:
            condition = {"ConditionExpression": "attribute_exists(pk) OR attribute_not_exists(pk)"}
            return "DeleteItem", {"TableName": self.table, "Key": {"pk": {"S": key}, "sk": {"S": "s"}}, **condition}
        item = {"pk": {"S": key}, "sk": {"S": "s"}, "v": {"S": value}, "at": {"N": "7"}, "city": {"S": key}}
        return "PutItem", {
            "TableName": self.table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(v) OR v <> :v",
            "ExpressionAttributeValues": {":v": {"S": value}},
        }

    def read_request(self, key: str, consistent: bool) -> tuple[str, dict[str, Any]]:
        index, attribute = ("local", "pk") if consistent else ("global", "city")
        return "Query", {
            "TableName": self.table,
            "IndexName": index,
            "ConsistentRead": consistent,
            "KeyConditionExpression": f"{attribute} = :key",
            "ExpressionAttributeValues": {":key": {"S": key}},
        }

    def value_of(self, answer: dict[str, Any]) -> Value:
        items = answer.get("Items", [])
        assert len(items) <= 1, f"an index has an item twice: {items}"
        return str(items[0]["v"]["S"]) if items else None


@pytest.fixture
def indexed(cluster: Cluster) -> Iterator[str]:
    db = client(cluster.endpoints()[0], attempts=10)
    whole = {"Projection": {"ProjectionType": "ALL"}}
    names = (("pk", "S"), ("sk", "S"), ("city", "S"), ("at", "N"))
    db.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in names],
        KeySchema=key_schema("pk", "sk"),
        LocalSecondaryIndexes=[{"IndexName": "local", "KeySchema": key_schema("pk", "at"), **whole}],
        GlobalSecondaryIndexes=[{"IndexName": "global", "KeySchema": key_schema("city"), **whole}],
        Tags=[{"Key": "keystead:partitions", "Value": "2"}],
    )
    cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), 60)
    yield TABLE
    db.delete_table(TableName=TABLE)


def test_conditional_writes_and_index_reads_are_what_one_copy_would_answer(cluster: Cluster, indexed: str) -> None:
    with IndexLoad(cluster.endpoints(), indexed) as load:
        time.sleep(SECONDS_BETWEEN)
        for name in cluster.names()[:2]:
            cluster.kill_and_wait_for_restart(name)
            load.wait_for_service(60)
            cluster.wait_until("the table is level", lambda: cluster.all_level(indexed), 60)
            time.sleep(SECONDS_BETWEEN)
    load.read_back(60)
    load.check()
    assert load.count("read") > 100, load.summary()
    print(f"\n{load.summary()}")
