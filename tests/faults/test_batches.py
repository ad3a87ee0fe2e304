"""Batches while masters are killed: each row of one is as good as a single write, though rows of a partition are one
record. None that is acknowledged is lost, and none that comes back unprocessed was written."""

import itertools
import random
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.faults import scenarios
from tests.faults.cluster import Cluster
from tests.faults.links import Links
from tests.faults.writers import WriterThreads, client

WRITERS = 3
ROWS = 25
KILLS = 3
SECONDS_BETWEEN = 1.5
VALUE_BYTES = (1000, 1000, 20_000)
"""In turn; a batch of the last is more than one record of a partition takes."""


class Writers(WriterThreads):
    """Each writes batches of new rows, through all nodes in turn. Keys of rows by what became of them."""

    def __init__(self, endpoints: list[str], table: str) -> None:
        self.acknowledged: dict[str, str] = {}
        self.unprocessed: dict[str, str] = {}
        self.unknown = 0
        self._endpoints, self._table = endpoints, table
        super().__init__(WRITERS)

    def have_written(self, rows: int) -> bool:
        return len(self.acknowledged) > rows

    def run(self, writer: int) -> None:
        clients = itertools.cycle([client(endpoint) for endpoint in self._endpoints])
        for number in itertools.count():
            if self.is_stopping:
                return
            value = f"{writer}-{number}-" + "x" * VALUE_BYTES[number % len(VALUE_BYTES)]
            self._write(next(clients), {f"batch-{writer}-{number}-{row}": value for row in range(ROWS)})
            time.sleep(0.02)

    def _write(self, db: Any, rows: dict[str, str]) -> None:
        requests = [{"PutRequest": {"Item": {"pk": {"S": key}, "v": {"S": value}}}} for key, value in rows.items()]
        try:
            left = db.batch_write_item(RequestItems={self._table: requests})["UnprocessedItems"].get(self._table, [])
        except (BotoCoreError, ClientError):
            self.unknown += len(rows)
            return
        back = {request["PutRequest"]["Item"]["pk"]["S"] for request in left}
        self.unprocessed.update({key: rows[key] for key in back})
        self.acknowledged.update({key: value for key, value in rows.items() if key not in back})


def found(db: Any, table: str, keys: list[str]) -> Iterator[tuple[str, str]]:
    for start in range(0, len(keys), 50):
        left = {table: {"Keys": [{"pk": {"S": key}} for key in keys[start : start + 50]], "ConsistentRead": True}}
        while left:
            answer = db.batch_get_item(RequestItems=left)
            yield from ((item["pk"]["S"], item["v"]["S"]) for item in answer["Responses"][table])
            left = answer["UnprocessedKeys"]


def test_kill_9_of_masters_loses_no_acknowledged_row_of_a_batch(cluster: Cluster, links: Links, table: str) -> None:
    rng = random.Random(11)
    with Writers(cluster.endpoints(), table) as writers:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN)
            enough = len(writers.acknowledged) + 10 * ROWS
            scenarios.kill_a_masters_node(cluster, links, table, rng)
            cluster.wait_until("batches are written again", partial(writers.have_written, enough), 60)
    cluster.wait_until(f"{table} is level", lambda: cluster.all_level(table), 60)
    for endpoint in cluster.endpoints():
        db = client(endpoint, attempts=10)
        assert dict(found(db, table, list(writers.acknowledged))) == writers.acknowledged
        assert not list(found(db, table, list(writers.unprocessed)))
