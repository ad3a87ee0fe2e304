"""A partition that is used far more than the others of its table is split, though it gives what it is asked for."""

import contextlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from keystead_core.keyspace import encode_text, make_row_key
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.rescaling import entries, make_client
from tests.faults.writers import WriterThreads

TABLE = "uneven"
PARTITIONS = 4
WRITE_UNITS = 60
"""Of a partition: 12 a second are not little any more, 48 would be traffic enough by themselves."""
WRITERS = 3
PAUSE_SECONDS = 0.1
"""Of each: 30 writes a second at most, and 12 still where a busy machine takes 150 ms for one."""


class Writers(WriterThreads):
    def __init__(self, count: int, client: Any, keys: list[str]) -> None:
        super().__init__(count)
        self._client, self._keys = client, keys

    def run(self, number: int) -> None:
        for key in itertools.cycle(self._keys[number::WRITERS]):
            if self.is_stopping:
                return
            with contextlib.suppress(BotoCoreError, ClientError):  # a busy machine may lose a master
                self._client.put_item(TableName=TABLE, Item={"pk": {"S": key}})
            time.sleep(PAUSE_SECONDS)


def keys_of_the_first() -> list[str]:
    """Keys that lie in the first of four equal ranges."""
    keys = (f"k{number}" for number in itertools.count())
    first = (key for key in keys if make_row_key(encode_text(key))[0] < 256 // PARTITIONS)
    return list(itertools.islice(first, 500))


def asked_for(cluster: Cluster) -> list[str]:
    """The reasons of the splits that nodes have asked for, as they say in their logs."""
    lines = [line for path in (cluster.data / "run").glob("node-*.log") for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines if '"split asked for"' in line]
    return [str(line["reason"]) for line in found]


def test_a_partition_used_far_beyond_the_others_is_split_for_its_anomaly(tmp_path: Path) -> None:
    settings = {"partitions": PARTITIONS, "split_mb": 0}
    settings |= {"split_after_seconds": 20, "split_read_units": 10**6, "split_write_units": WRITE_UNITS}
    with running_cluster(tmp_path, settings=settings, node_command=None) as cluster:
        client, keys = make_client(cluster.endpoints()[0]), keys_of_the_first()
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), 90)
        assert len(entries(cluster, TABLE)) == PARTITIONS

        with Writers(WRITERS, client, keys):
            cluster.wait_until("it is split", lambda: len(entries(cluster, TABLE)) > PARTITIONS, 180)
        assert asked_for(cluster)[:1] == ["anomaly"]
