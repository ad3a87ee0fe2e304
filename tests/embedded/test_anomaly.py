"""A partition that is used far more than the others of its table is split, though it gives what it is asked for."""

import itertools
import json
import threading
from pathlib import Path
from typing import Any

from keystead_core.keyspace import encode_text, make_row_key
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.rescaling import latest_map, make_client

TABLE = "uneven"
PARTITIONS = 4
WRITE_UNITS = 100
"""Of a partition: 20 a second are not little any more, 80 would be traffic enough by themselves."""
PAUSE_SECONDS = 0.012


def entries(cluster: Cluster) -> list[dict[str, Any]]:
    return [entry for entry in latest_map(cluster)["partitions"].values() if entry["table"] == TABLE]


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
        client, ended, keys = make_client(cluster.endpoints()[0]), threading.Event(), keys_of_the_first()
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), 90)
        assert len(entries(cluster)) == PARTITIONS

        def write() -> None:
            for key in itertools.cycle(keys):
                if ended.wait(PAUSE_SECONDS):
                    return
                client.put_item(TableName=TABLE, Item={"pk": {"S": key}})

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            cluster.wait_until("it is split", lambda: len(entries(cluster)) > PARTITIONS, 90)
        finally:
            ended.set()
            writer.join(30)
        assert asked_for(cluster)[:1] == ["anomaly"]
