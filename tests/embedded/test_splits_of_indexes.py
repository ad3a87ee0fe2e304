"""Global indexes on real nodes are divided by size, by traffic and by dial-up of their own units, and lose nothing."""

import contextlib
import itertools
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from keystead_core.cluster_map import index_table
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.rescaling import entries, make_client
from tests.faults.writers import WriterThreads

INDEX = "by-city"
WRITE_UNITS = 5
"""Of a partition, as far as splits for traffic go: 4 a second are enough, which a busy machine gives too."""
PARTITION_UNITS = 25
"""Of a partition of a provisioned table, for the dial-up."""
BUSY, CALM = (4, 0.05), (1, 1.0)
"""Writers, and the seconds between two writes of each: traffic enough for a split by itself, and not."""
BIG_ROWS, BIG_BYTES = 60, 100_000
"""Three times what a partition may weigh."""
SPLIT_SECONDS_MAX = 240.0

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"split_mb": 2, "split_anomaly_times": 0, "split_after_seconds": 8}
    settings |= {"split_read_units": 10**6, "split_write_units": WRITE_UNITS, "partition_write_units": PARTITION_UNITS}
    with running_cluster(tmp_path_factory.mktemp("index-splits"), node_command=None, settings=settings) as found:
        yield found


def item(number: int, size: int = 0) -> dict[str, Any]:
    """Each in a city of its own: by their hashes cities lie all over the index."""
    found: dict[str, Any] = {"pk": {"S": f"k{number}"}, "city": {"S": f"city-{number}"}}
    return found | ({"v": {"B": os.urandom(size)}} if size else {})


class Writers(WriterThreads):
    """Put one item after the other, through all nodes; what was not acknowledged may be there or not."""

    def __init__(self, cluster: Cluster, table: str, load: tuple[int, float]) -> None:
        super().__init__(load[0])
        self._pause_seconds = load[1]
        self._clients = [make_client(endpoint) for endpoint in cluster.endpoints()]
        self._table, self._numbers = table, itertools.count()

    def run(self, number: int) -> None:
        while not self.is_stopping:
            db = self._clients[number % len(self._clients)]
            with contextlib.suppress(BotoCoreError, ClientError):
                db.put_item(TableName=self._table, Item=item(next(self._numbers)))
            time.sleep(self._pause_seconds)


def create(cluster: Cluster, name: str, **billing: Any) -> Any:
    """A client, once the table and its index are there, with a partition each."""
    db = make_client(cluster.endpoints()[0])
    index = {
        "IndexName": INDEX,
        "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        **({"ProvisionedThroughput": billing["ProvisionedThroughput"]} if billing else {}),
    }
    db.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "city")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[index],
        Tags=[{"Key": "keystead:partitions", "Value": "1"}],
        **(billing or {"BillingMode": "PAY_PER_REQUEST"}),
    )
    db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    cluster.wait_until(f"{name} is level", lambda: cluster.all_level(name), 120)
    cluster.wait_until("with its index", lambda: bool(entries(cluster, index_table(name, INDEX))), 120)
    return db


def are_settled(cluster: Cluster, name: str, count: int) -> bool:
    """So many partitions of the index or more, each with a master, and nothing of index or table being split."""
    mine = entries(cluster, index_table(name, INDEX))
    all_ = [*mine, *entries(cluster, name)]
    return len(mine) >= count and all(one["master"] and not one["left"] and not one["split"] for one in all_)


def reasons(cluster: Cluster, name: str) -> set[str]:
    """Why nodes asked for splits of the index, as their logs say."""
    lines = [line for path in (cluster.data / "run").glob("node-*.log") for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines if '"split asked for"' in line]
    return {str(line["reason"]) for line in found if line["table"] == index_table(name, INDEX)}


def demand_index_of_rows(cluster: Cluster, name: str) -> int:
    """The index has what the rows make, through every node; how many."""
    for endpoint in cluster.endpoints():
        db = make_client(endpoint)
        rows = read(db, TableName=name, ConsistentRead=True)

        def is_whole(db: Any = db, rows: list[str] = rows) -> bool:
            return read(db, TableName=name, IndexName=INDEX) == rows

        cluster.wait_until(f"{endpoint} shows the index of {name} as its rows make it", is_whole, 120)
    for row in rows[:10]:
        where = {"KeyConditionExpression": "city = :c", "ExpressionAttributeValues": {":c": row["city"]}}
        assert db.query(TableName=name, IndexName=INDEX, **where)["Items"] == [row]
    return len(rows)


def read(db: Any, **what: Any) -> list[dict[str, Any]]:
    """By key, in whatever order they come."""
    found = [row for page in db.get_paginator("scan").paginate(**what) for row in page["Items"]]
    return sorted(found, key=lambda row: str(row["pk"]["S"]))


def test_an_index_is_split_by_its_size(cluster: Cluster) -> None:
    db = create(cluster, "large")
    for number in range(BIG_ROWS):
        db.put_item(TableName="large", Item=item(number, BIG_BYTES))
    cluster.wait_until("the index is split", lambda: are_settled(cluster, "large", 2), SPLIT_SECONDS_MAX)
    assert "size" in reasons(cluster, "large")
    assert demand_index_of_rows(cluster, "large") == BIG_ROWS


def test_an_index_is_split_by_its_traffic(cluster: Cluster) -> None:
    create(cluster, "busy")
    with Writers(cluster, "busy", BUSY):
        cluster.wait_until("it asks for it", lambda: "traffic" in reasons(cluster, "busy"), SPLIT_SECONDS_MAX)
        index = index_table("busy", INDEX)
        cluster.wait_until("the index is split", lambda: len(entries(cluster, index)) > 1, SPLIT_SECONDS_MAX)
    cluster.wait_until("nothing is split any more", lambda: are_settled(cluster, "busy", 2), SPLIT_SECONDS_MAX)
    assert demand_index_of_rows(cluster, "busy") > 30


def test_raising_an_indexs_units_splits_the_index_and_not_its_table(cluster: Cluster) -> None:
    """Four times what a partition gives, less what the reads take of it."""
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": PARTITION_UNITS - 5}
    db = create(cluster, "dialled", ProvisionedThroughput=units)
    with Writers(cluster, "dialled", CALM):
        cluster.wait_until("it is written", lambda: len(read(db, TableName="dialled")) > 3, 60)
        more = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 4 * PARTITION_UNITS - 5}
        update = {"IndexName": INDEX, "ProvisionedThroughput": more}
        db.update_table(TableName="dialled", GlobalSecondaryIndexUpdates=[{"Update": update}])
        cluster.wait_until("four partitions", lambda: are_settled(cluster, "dialled", 4), SPLIT_SECONDS_MAX)
    assert len(entries(cluster, index_table("dialled", INDEX))) == 4
    assert len(entries(cluster, "dialled")) == 1
    assert demand_index_of_rows(cluster, "dialled") > 3
