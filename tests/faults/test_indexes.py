"""Indexes under writes while masters die: once it is quiet, each has exactly the entries that the table's rows make."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.faults.cluster import Cluster
from tests.faults.writers import WriterThreads, client

TABLE = "indexed"
WRITERS = 3
KEYS = 60
SECONDS_BETWEEN = 1.5
LEVEL_SECONDS_MAX = 60.0


def key_schema(hash_key: str, range_key: str | None = None) -> list[dict[str, str]]:
    named = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return named if range_key is None else [*named, {"AttributeName": range_key, "KeyType": "RANGE"}]


@pytest.fixture
def table(cluster: Cluster) -> Iterator[Any]:
    db = client(cluster.endpoints()[0], attempts=10)
    db.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in (("pk", "S"), ("sk", "S"), ("city", "S"), ("at", "N"))
        ],
        KeySchema=key_schema("pk", "sk"),
        LocalSecondaryIndexes=[
            {"IndexName": "local", "KeySchema": key_schema("pk", "at"), "Projection": {"ProjectionType": "ALL"}}
        ],
        GlobalSecondaryIndexes=[
            {"IndexName": "first", "KeySchema": key_schema("city", "at"), "Projection": {"ProjectionType": "ALL"}}
        ],
        Tags=[{"Key": "keystead:partitions", "Value": "2"}],
    )
    cluster.wait_until("the table is active", lambda: _status(db) == "ACTIVE", 60)
    yield db
    db.delete_table(TableName=TABLE)


def _status(db: Any) -> str:
    return str(db.describe_table(TableName=TABLE)["Table"]["TableStatus"])


def add_index(db: Any) -> None:
    index = {"IndexName": "later", "KeySchema": key_schema("city"), "Projection": {"ProjectionType": "ALL"}}
    db.update_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "city", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )


class Writers(WriterThreads):
    """Threads that put, update and delete the same few items at random; what an error left undone does not matter."""

    def __init__(self, endpoints: list[str]) -> None:
        super().__init__(WRITERS)
        self._endpoints = endpoints
        self.done = [0] * WRITERS

    def run(self, number: int) -> None:
        rng = random.Random(number)
        clients = [client(endpoint) for endpoint in self._endpoints]
        while not self.is_stopping:
            try:
                self._write_one(rng, rng.choice(clients))
                self.done[number] += 1
            except (ClientError, BotoCoreError):
                time.sleep(0.05)

    def _write_one(self, rng: random.Random, db: Any) -> None:
        number = rng.randrange(KEYS)
        key = {"pk": {"S": f"p{number % 7}"}, "sk": {"S": str(number)}}
        match rng.randrange(4):
            case 0:
                db.delete_item(TableName=TABLE, Key=key)
            case 1:
                update = {"ExpressionAttributeNames": {"#a": "at"}, "ExpressionAttributeValues": {":n": {"N": "1"}}}
                db.update_item(TableName=TABLE, Key=key, UpdateExpression="ADD #a :n", **update)
            case _:
                city = {"city": {"S": rng.choice("abcde")}} if rng.random() < 0.8 else {}
                db.put_item(TableName=TABLE, Item={**key, **city, "at": {"N": str(rng.randrange(100))}})


def items(db: Any, index: str | None = None) -> list[str]:
    """All items, of the table or as an index has them, as comparable texts."""
    named = {} if index is None else {"IndexName": index}
    consistent = {"ConsistentRead": True} if index in (None, "local") else {}
    pages = db.get_paginator("scan").paginate(TableName=TABLE, **named, **consistent)
    return sorted(repr(sorted(item.items())) for page in pages for item in page["Items"])


def test_indexes_have_what_the_rows_make_however_masters_die(cluster: Cluster, table: Any) -> None:
    with Writers(cluster.endpoints()) as writers:
        time.sleep(SECONDS_BETWEEN)
        for name in cluster.names():
            cluster.kill_and_wait_for_restart(name)
            cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), 60)
            time.sleep(SECONDS_BETWEEN)
            if name == cluster.names()[1]:
                update = {
                    "IndexName": "later",
                    "KeySchema": key_schema("city"),
                    "Projection": {"ProjectionType": "ALL"},
                }
                table.update_table(
                    TableName=TABLE,
                    AttributeDefinitions=[{"AttributeName": "city", "AttributeType": "S"}],
                    GlobalSecondaryIndexUpdates=[{"Create": update}],
                )
        cluster.wait_until("the new index is filled", lambda: _index_status(table, "later") == "ACTIVE", 60)
    assert sum(writers.done) > 50, f"hardly anything was written: {writers.done}"
    rows = items(table)
    with_city = [row for row in rows if "'city'" in row]
    with_both = [row for row in with_city if "'at'" in row]
    assert items(table, "local") == [row for row in rows if "'at'" in row], "a local index is consistent"
    cluster.wait_until("the first index is level", lambda: items(table, "first") == with_both, LEVEL_SECONDS_MAX)
    cluster.wait_until("the new index is level", lambda: items(table, "later") == with_city, LEVEL_SECONDS_MAX)
    print(f"\n{sum(writers.done)} writes, {len(rows)} items, {len(with_both)} and {len(with_city)} in the indexes")


def _index_status(db: Any, name: str) -> str:
    found = db.describe_table(TableName=TABLE)["Table"]["GlobalSecondaryIndexes"]
    return str(next(index["IndexStatus"] for index in found if index["IndexName"] == name))
