"""Nodes are added and taken away under writes, on real processes: nothing acknowledged is lost, the fewest moves."""

import itertools
import threading
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import yaml

from keystead_core.ids import NodeId
from keystead_core.ledger import PlacementRule, Site
from keystead_core.rebalance import plan_moves
from tests.faults.cluster import Cluster, running_cluster
from tests.placement.node_changes import make_entry

TABLE = "items"
PARTITIONS = 12
SECONDS_MAX = 150


class Writer(threading.Thread):
    """Puts items until it is stopped, each under a new key; notes those that were acknowledged."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[int] = []
        self.refused: list[str] = []
        self._ended = threading.Event()
        self._client = make_client(endpoint)

    def run(self) -> None:
        for number in itertools.count():
            if self._ended.wait(0.02):
                return
            try:
                self._client.put_item(TableName=TABLE, Item=item(number))
            except botocore.exceptions.ClientError as problem:
                self.refused.append(str(problem))
            else:
                self.acknowledged.append(number)

    def stop(self) -> None:
        self._ended.set()
        self.join(30)


def make_client(endpoint: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"max_attempts": 8, "mode": "standard"}, read_timeout=10),
    )


def item(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"k{number:06}"}, "n": {"N": str(number)}}


def groups(cluster: Cluster) -> dict[int, set[str]]:
    """Partition -> the names of the nodes that hold its replicas."""
    return {one["id"]: {replica["node"] for replica in one["replicas"]} for one in cluster.partitions(TABLE)}


def zones(cluster: Cluster) -> dict[str, str]:
    return {node["name"]: node["zone"] for node in cluster.status()["nodes"]}


def least_moves(before: dict[int, set[str]], wanted: dict[str, str]) -> int:
    entries = [make_entry(number, [NodeId(name) for name in sorted(nodes)]) for number, nodes in before.items()]
    sites = [Site(NodeId(name), zone, name, True) for name, zone in wanted.items()]
    return plan_moves(entries, sites, PlacementRule()).moves_min


def declare(cluster: Cluster, nodes: int, *remove: str, replicas: int = 3) -> None:
    [manifest] = yaml.safe_load(cluster.cli("get", "clusters", "-o", "json"))["items"]
    spec = {**manifest["spec"], "nodes": nodes, "removeNodes": list(remove)}
    spec["replication"] = {**spec["replication"], "replicas": replicas}
    manifest = {
        **{field: manifest[field] for field in ("apiVersion", "kind")},
        "metadata": {"name": manifest["metadata"]["name"]},
        "spec": spec,
    }
    cluster.cli("apply", "-f", "-", stdin=yaml.safe_dump(manifest))


def test_three_nodes_become_five_and_then_four_under_writes(tmp_path: Path) -> None:
    with running_cluster(tmp_path, node_command=None) as cluster:
        cluster.create_table(TABLE, partitions=PARTITIONS)
        writer = Writer(cluster.endpoint("node-0"))
        writer.start()

        start = groups(cluster)
        declare(cluster, 5)
        cluster.wait_until("two nodes have come", lambda: len(zones(cluster)) == 5, 60)
        wanted = zones(cluster)
        new = set(wanted) - {"node-0", "node-1", "node-2"}
        least = least_moves(start, wanted)
        assert least == PARTITIONS, "half of what each of two nodes holds"

        def moved(before: dict[int, set[str]]) -> int:
            return sum(len(nodes - before[number]) for number, nodes in groups(cluster).items())

        def is_done(before: dict[int, set[str]], moves: int) -> bool:
            return moved(before) == moves and all(len(one) == 3 for one in groups(cluster).values())

        cluster.wait_until("they hold their share", lambda: is_done(start, least), SECONDS_MAX)
        grown = groups(cluster)
        assert all(nodes - start[number] <= new for number, nodes in grown.items()), "moves to the new nodes only"

        declare(cluster, 4, "node-1")
        least = least_moves(grown, {name: zone for name, zone in wanted.items() if name != "node-1"})
        cluster.wait_until("node-1 is gone", lambda: "node-1" not in zones(cluster), SECONDS_MAX)
        assert not cluster.volume("node-1").exists() and cluster.pid("node-1") == 0
        assert moved(grown) == least == sum("node-1" in nodes for nodes in grown.values())
        assert all(nodes == grown[number] for number, nodes in groups(cluster).items() if "node-1" not in grown[number])

        writer.stop()
        assert len(writer.acknowledged) > 50 and writer.refused == []
        for name in cluster.names():
            client = make_client(cluster.endpoint(name))
            found = {
                row["pk"]["S"]
                for page in client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
                for row in page["Items"]
            }
            assert {item(number)["pk"]["S"] for number in writer.acknowledged} <= found


def test_too_few_nodes_for_the_replicas_are_refused_and_nothing_moves(tmp_path: Path) -> None:
    with running_cluster(tmp_path, node_command=None) as cluster:
        cluster.create_table(TABLE, partitions=2, replicas=3)
        before = groups(cluster)
        declare(cluster, 2, replicas=2)
        report = cluster.data / "run" / "reconcile.json"
        cluster.wait_until("it is refused", lambda: "ScaleInBlocked" in report.read_text(), 30)
        assert groups(cluster) == before and len(zones(cluster)) == 3
