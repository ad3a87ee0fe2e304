"""A cluster that only observes: nothing is refused, and what would be is counted."""

from pathlib import Path

from tests.embedded.test_capacity import client, create, figure, put
from tests.faults.cluster import running_cluster


def test_what_would_be_refused_is_counted_and_done(tmp_path: Path) -> None:
    settings = {"capacity.mode": "observe", "burst_seconds": 1}
    with running_cluster(tmp_path, nodes=1, node_command=None, settings=settings) as cluster:
        (endpoint,) = cluster.endpoints()
        dynamodb = client(endpoint)
        create(dynamodb, "watched", 5, 2)
        assert [put(dynamodb, "watched", f"k{number}") for number in range(60)] == [None] * 60
        assert dynamodb.scan(TableName="watched", Select="COUNT")["Count"] == 60
        assert figure(cluster, "keystead_consumed_units_total", table="watched", kind="write") == 60
        assert figure(cluster, "keystead_throttled_units_total", table="watched", kind="write") > 0
        assert figure(cluster, "keystead_consumed_units_total", table="watched", kind="read") > 0
