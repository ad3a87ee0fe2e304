"""Most of a partition's volumes lost for good: what is left goes on, by a person's word, and goes on alone.

Five nodes, so that the catalog keeps its majority when two are gone.
"""

import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from keystead_node.config import EXIT_DISK_FAILED, EXIT_RENOUNCED
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.links import Links
from tests.faults.test_splits import client

ITEMS = 60
CUT_SECONDS = 10.0
"""Many times what an election takes."""
LEVEL_SECONDS_MAX = 120.0
TABLES_MAX = 4


@pytest.fixture(scope="module")
def five_links() -> Iterator[Links]:
    found = Links()
    yield found
    found.close()


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory, five_links: Links) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("recoveries"), nodes=5, links=five_links) as found:
        yield found


class Lossy:
    """A table of one partition with items, and which of its nodes can be lost while the catalog keeps a majority."""

    def __init__(self, cluster: Cluster, table: str, **spec: Any) -> None:
        self.cluster = cluster
        names = [f"{table}-{number}" for number in range(TABLES_MAX)]
        self.table = next((name for name in names if self._is_apart(name, **spec)), "")
        assert self.table, "the catalog would be lost as well, whichever table is taken"
        for other in names[: names.index(self.table)]:
            cluster.cli("delete", "table", other)
        self.items: dict[str, str] = {}
        self.put(cluster.endpoints()[0], "before", ITEMS)

    def _is_apart(self, table: str, **spec: Any) -> bool:
        """Makes it. The next one that is made has its replicas on other nodes, which have fewer."""
        self.cluster.create_table(table, partitions=1, **spec)
        self.cluster.wait_until(f"{table} is level", lambda: self.cluster.all_level(table), LEVEL_SECONDS_MAX)
        (partition,) = self.cluster.partitions(table)
        self.partition = int(partition["id"])
        holders = [replica["node"] for replica in partition["replicas"]]
        catalog = {replica["node"] for replica in self.cluster.status()["catalog"]["replicas"]}
        holders.sort(key=lambda name: name in catalog)
        self.lost, self.survivor = holders[:2], holders[2]
        return 2 * len(catalog - set(self.lost)) > len(catalog)

    def put(self, endpoint: str, what: str, count: int) -> None:
        db = client(endpoint)
        for number in range(count):
            db.put_item(TableName=self.table, Item={"pk": {"S": f"{what}-{number}"}, "v": {"S": what}})
            self.items[f"{what}-{number}"] = what

    def check(self, endpoint: str) -> None:
        """Every item is there, and nothing else, for who asks there."""
        db = client(endpoint)
        pages = db.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        assert {item["pk"]["S"]: item["v"]["S"] for page in pages for item in page["Items"]} == self.items

    def id_of(self, name: str) -> str:
        return next(str(node["id"]) for node in self.cluster.status()["nodes"] if node["name"] == name)

    def recover(self, *more: str) -> str:
        return self.cluster.cli("recover", f"{self.table}/{self.partition}", "--accept-data-loss", *more)

    def refused(self, *arguments: str) -> str:
        done = self.cluster.try_cli("recover", *arguments, "--data", str(self.cluster.data))
        assert done.returncode == 1, f"{done.stdout}{done.stderr}"
        return done.stderr

    def serves(self) -> bool:
        return self.cluster.table_serves(self.table)


def test_volumes_that_come_back_at_once_beside_their_recovered_partition_serve_nothing(
    five: Cluster, five_links: Links
) -> None:
    lossy = Lossy(five, "returning")
    name = f"{lossy.table}/{lossy.partition}"
    five.masters(lossy.table)
    assert "has a master" in lossy.refused(name, "--accept-data-loss")
    assert "cannot be recovered" in lossy.refused("catalog/1", "--accept-data-loss")
    ids = {one: lossy.id_of(one) for one in lossy.lost}
    with five.held_down(*lossy.lost):
        kept = {one: five.take_volume_away(one) for one in lossy.lost}
        five.wait_until("nobody serves", lambda: not lossy.serves(), 60)
        assert "start it" in lossy.refused(name, "--accept-data-loss")
        gone = [option for one in lossy.lost for option in ("--gone", one)]
        assert "say --accept-data-loss" in lossy.refused(name, *gone)
        assert "answers: it is not gone" in lossy.refused(name, *gone, "--accept-data-loss", "--gone", lossy.survivor)
        said = lossy.recover(*gone)
        assert "is lost" in said and all(ids[one] in said for one in lossy.lost), said
        five.wait_until("it serves", lossy.serves, 60)
        lossy.check(five.endpoint(lossy.survivor))
        lossy.put(five.endpoint(lossy.survivor), "after", ITEMS)
        for one in lossy.lost:
            kept[one].rename(five.volume(one))
            others = [other for other in five.names() if other not in lossy.lost]
            five_links.isolate(one, others)
        with five.run_by_hand(*lossy.lost) as returned:
            _demand_nothing_is_served(five, lossy)
            five_links.heal()
            # A node that has left is told so, or its volume is taken away before it hears of that.
            assert {process.wait(60) for process in returned} <= {EXIT_RENOUNCED, EXIT_DISK_FAILED}
    five.wait_until("others in their places", lambda: _are_others(five, set(ids.values())), 120)
    five.wait_until("whole again", lambda: five.all_level(lossy.table), LEVEL_SECONDS_MAX)
    for endpoint in five.endpoints():
        lossy.check(endpoint)
    assert "recovered at" in five.cli("why", lossy.table) and "recovered at" in five.cli("status")
    assert "has been recovered" in lossy.recover(), "said again it changes nothing"


def test_lost_volumes_are_known_and_a_crash_of_anybody_meanwhile_loses_nothing(five: Cluster) -> None:
    lossy = Lossy(five, "crashing")
    ids = {one: lossy.id_of(one) for one in lossy.lost}
    with five.held_down(*lossy.lost):
        for one in lossy.lost:
            five.delete_volume(one)
    five.wait_until("others in their places", lambda: _are_others(five, set(ids.values())), 120)
    five.wait_until("nobody serves", lambda: not lossy.serves(), 60)
    said = lossy.recover("--no-wait")
    assert all(ids[one] in said for one in lossy.lost), said
    five.kill_and_wait_for_restart(lossy.survivor)
    five.kill_and_wait_for_restart(five.status()["catalog"]["master"] or lossy.survivor)
    five.wait_until("it serves", lossy.serves, 60)
    lossy.recover()
    five.wait_until("whole again", lambda: five.all_level(lossy.table), LEVEL_SECONDS_MAX)
    lossy.put(five.endpoint(lossy.lost[0]), "after", ITEMS)
    for endpoint in five.endpoints():
        lossy.check(endpoint)
    with five.held_down(lossy.survivor):
        five.wait_until("another takes over", lossy.serves, 60)
        lossy.check(five.endpoint(lossy.lost[0]))


def test_one_volume_that_no_write_can_do_without_is_told_and_can_be_given_up(five: Cluster) -> None:
    """Every write has to reach all three zones: with two of three volumes there is a master, and nothing commits."""
    lossy = Lossy(five, "every-zone", replicas=3, durableZones=3)
    (lost, other) = lossy.lost
    gone = lossy.id_of(lost)
    with five.held_down(lost):
        five.delete_volume(lost)
    five.wait_until("another volume is in its place", lambda: _are_others(five, {gone}), 120)
    told = f"{lost} (node id {gone})"
    five.wait_until("it is told", lambda: told in five.cli("why", lossy.table), 60)
    with pytest.raises((ClientError, BotoCoreError)):
        client(five.endpoint(other)).put_item(TableName=lossy.table, Item={"pk": {"S": "never"}, "v": {"S": "taken"}})
    assert gone in lossy.recover()
    five.wait_until("whole again", lambda: five.all_level(lossy.table) and lossy.serves(), LEVEL_SECONDS_MAX)
    lossy.put(five.endpoint(other), "after", ITEMS)
    lossy.items |= {"never": "taken"} if _is_there(five, lossy, "never") else {}
    for endpoint in five.endpoints():
        lossy.check(endpoint)


def _is_there(cluster: Cluster, lossy: Lossy, key: str) -> bool:
    """Whether what was never acknowledged was kept."""
    db = client(cluster.endpoint(lossy.survivor))
    return "Item" in db.get_item(TableName=lossy.table, Key={"pk": {"S": key}}, ConsistentRead=True)


def _replica(cluster: Cluster, name: str, lossy: Lossy) -> dict[str, Any]:
    """What a node says of its replica of the partition as it was; empty where it says nothing."""
    with contextlib.suppress(OSError), urllib.request.urlopen(_status_of(cluster, name), timeout=2) as answer:
        found: list[dict[str, Any]] = json.load(answer)["replicas"]
        return next((replica for replica in found if replica["partition"] == lossy.partition), {})
    return {}


def _status_of(cluster: Cluster, name: str) -> str:
    return f"http://{cluster.admin_address(name)}/status"


def _are_others(cluster: Cluster, gone: set[str]) -> bool:
    """Five nodes are active, none of which is one of those. The supervisor may have taken a place away and made it
    anew meanwhile."""
    nodes = cluster.status()["nodes"]
    return len(nodes) == 5 and all(node["state"] == "active" and node["id"] not in gone for node in nodes)


def _demand_nothing_is_served(cluster: Cluster, lossy: Lossy) -> None:
    """Two of three voters are there, with rows and each other, and none of them leads, as long as one looks."""
    cluster.wait_until("the old volumes are back", lambda: all(_replica(cluster, n, lossy) for n in lossy.lost), 60)
    end = time.monotonic() + CUT_SECONDS
    while time.monotonic() < end:
        for name in lossy.lost:
            _demand_nothing_is_taken(cluster, name, lossy)
    assert all("cannot stand" in str(_replica(cluster, name, lossy)["why"]) for name in lossy.lost)


def _demand_nothing_is_taken(cluster: Cluster, name: str, lossy: Lossy) -> None:
    db = client(cluster.endpoint(name))
    with pytest.raises((ClientError, BotoCoreError)):
        db.put_item(TableName=lossy.table, Item={"pk": {"S": "before-0"}, "v": {"S": "taken beside"}})
    assert _replica(cluster, name, lossy).get("role") != "master"
