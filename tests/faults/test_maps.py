"""Every node knows where things are, also while whoever tells it of the map is frozen."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from keystead_core.ids import CATALOG_PARTITION
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.writers import client

NODES = 4
KNOWN_SECONDS_MAX = 5.0
"""A request's patience: a router whose map is older sends requests to those that are gone."""


def map_of(cluster: Cluster, name: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{cluster.admin_address(name)}/map", timeout=5) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def catalog_nodes(cluster: Cluster) -> tuple[str, list[str]]:
    """The catalog's master and its members, by name."""
    names = {node["id"]: node["name"] for node in cluster.status()["nodes"]}
    entry = map_of(cluster, cluster.names()[0])["partitions"][str(CATALOG_PARTITION)]
    return names[entry["master"]], [names[member["node"]] for member in entry["members"]]


def make_table(cluster: Cluster, through: str, name: str) -> None:
    """By the API, from a node; it waits for a master of the catalog, like any client."""
    client(cluster.endpoint(through), attempts=3).create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.mark.timeout(120)
def test_a_frozen_catalog_master_keeps_no_node_from_the_newest_map(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=NODES) as cluster:
        make_table(cluster, cluster.names()[0], "before")
        # A node that a slow machine kept away at its start has a stand-in for a while.
        cluster.wait_until("three nodes have the catalog", lambda: len(catalog_nodes(cluster)[1]) == 3, 60)
        master, members = catalog_nodes(cluster)
        outsider = next(name for name in cluster.names() if name not in members)
        follower = next(name for name in members if name != master)
        time.sleep(1.0)  # the outsider has asked for what comes next
        with cluster.frozen(master):
            for number in range(3):
                name = f"during-{number}"
                make_table(cluster, follower, name)
                for node in (follower, outsider):
                    cluster.wait_until(
                        f"{node} knows of {name}",
                        lambda node=node, name=name: name in map_of(cluster, node)["tables"],  # type: ignore[misc]
                        KNOWN_SECONDS_MAX,
                    )
