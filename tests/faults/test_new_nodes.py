"""A node that has just come serves every range through the owners of its rows, as soon as it says that it is ready."""

import base64
import itertools
import os
import random
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from keystead_core.keyspace import encode_text, make_row_key
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.rescaling import Writer, declare, item, latest_map
from tests.faults.writers import WriterThreads, client

TABLE = "items"
ROWS_OF_PARTITIONS = (50, 70, 90, 110) * 2
"""They share the way of copies, and so do not get their copies all at once."""
ROW_BYTES = 100_000
"""Five megabytes in the smallest partition: more than a log keeps, so a new replica gets a copy."""
SLOW_COPIES = {"copy_mb_per_second": 1, "cold_log_mb": 1, "log_memory_mb": 1, "seal_bytes": 1 << 18}
SECONDS_MAX = 240.0
LOOK_SECONDS = 0.2
FIRST_NUMBER = 100_000_000
"""Of items that are put at the new node; the others' begin with 0."""
KEYS = 5

pytestmark = pytest.mark.timeout(900)


def fill(cluster: Cluster) -> dict[str, str]:
    """Key -> value of the rows that are there before the node comes."""
    endpoints = [client(endpoint, attempts=8) for endpoint in cluster.endpoints()]
    left = list(ROWS_OF_PARTITIONS)
    rows: dict[str, str] = {}
    for key in (f"row{number:05}" for number in itertools.count()):
        partition = make_row_key(encode_text(key))[0] * len(left) // 256
        if left[partition]:
            left[partition] -= 1
            rows[key] = base64.b64encode(os.urandom(ROW_BYTES * 3 // 4)).decode()
        elif not any(left):
            break
    for number, (key, value) in enumerate(rows.items()):
        endpoints[number % len(endpoints)].put_item(TableName=TABLE, Item={"pk": {"S": key}, "v": {"S": value}})
    return rows


def says_ready(cluster: Cluster, name: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{cluster.admin_address(name)}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False


def counted(cluster: Cluster, name: str) -> tuple[int, int, int]:
    """The table's replicas on a node, as the groups have reported: all members, those that vote, those that master.
    Copied to is a learner; it votes once it has its rows."""
    known = latest_map(cluster)
    node = next((one["id"] for one in known["nodes"].values() if one["name"] == name), "")
    mine = [entry for entry in known["partitions"].values() if entry["table"] == TABLE]
    roles = [place["role"] for entry in mine for place in entry["members"] if place["node"] == node]
    return len(roles), roles.count("voter"), sum(entry["master"] == node for entry in mine)


class Asker:
    """Asks one node alone for everything that a client can ask for. Retries, as any SDK does, what is not refused for
    good: a table or an item that is not found is."""

    def __init__(self, endpoint: str, rows: dict[str, str]) -> None:
        self._db: Any = client(endpoint, attempts=8)
        self._rows = rows
        self.rounds = 0

    def ask(self, keys: int, scan: bool = False) -> None:
        self.rounds += 1
        for key in random.sample(sorted(self._rows), keys):
            for consistent in (True, False):
                found = self._db.get_item(TableName=TABLE, Key={"pk": {"S": key}}, ConsistentRead=consistent)
                assert found["Item"]["v"]["S"] == self._rows[key]
            new = item(FIRST_NUMBER + 100_000 * self.rounds + int(key[3:]))
            self._db.put_item(TableName=TABLE, Item=new)
            where = {":k": new["pk"]}
            asked = self._db.query(
                TableName=TABLE, KeyConditionExpression="pk = :k", ExpressionAttributeValues=where, ConsistentRead=True
            )
            assert asked["Items"] == [new]
        if scan:
            for consistent in (True, False):
                self._scan(consistent)

    def _scan(self, consistent: bool) -> None:
        pages = self._db.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=consistent)
        found = [row["pk"]["S"] for page in pages for row in page["Items"]]
        assert len(found) == len(set(found)) and self._rows.keys() <= set(found)


class Looker(WriterThreads):
    """Looks beside the requests, which may take longer than the copies, at how far the node's replicas are."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        super().__init__(1)
        self._cluster, self._node = cluster, node
        self.seen: set[tuple[int, int]] = set()
        self.mastered = 0

    def run(self, number: int) -> None:
        while not self.is_stopping:
            here, full, self.mastered = counted(self._cluster, self._node)
            self.seen.add((here, full))
            time.sleep(LOOK_SECONDS)


def test_a_node_without_data_answers_for_every_item_while_the_old_owners_serve(tmp_path: Path) -> None:
    with running_cluster(tmp_path, settings=SLOW_COPIES) as cluster:
        cluster.create_table(TABLE, partitions=len(ROWS_OF_PARTITIONS))
        cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), 90)
        rows = fill(cluster)
        old = cluster.names()
        with_old = Writer([cluster.endpoint(name) for name in old], TABLE)
        with_old.start()

        declare(cluster, len(old) + 1)
        cluster.wait_until("a place for it", lambda: len(cluster.names()) > len(old), SECONDS_MAX)
        (new,) = set(cluster.names()) - set(old)
        cluster.wait_until(f"{new} is ready", lambda: says_ready(cluster, new), SECONDS_MAX)
        asker = Asker(cluster.endpoint(new), rows)
        asker.ask(keys=1)
        _, full, mastered = counted(cluster, new)
        assert not full and not mastered, "it answers before it has the rows of anything"

        looker = Looker(cluster, new)
        with looker:
            asker.ask(KEYS, scan=True)
            end = time.monotonic() + SECONDS_MAX
            while not looker.mastered:
                asker.ask(KEYS)
                assert time.monotonic() < end, f"{new} masters nothing: {cluster.partitions(TABLE)}"
            asker.ask(KEYS, scan=True)
        elsewhere = len(with_old.acknowledged)
        looks = sorted(looker.seen)
        print(f"\n{asker.rounds} rounds at {new} with (members, of which voters) {looks}; {elsewhere} writes elsewhere")
        assert any(0 < full < here for here, full in looks), f"the copies went too fast to be seen half done: {looks}"

        with_old.stop()
        with_old.check(cluster.endpoints())
