"""Partitions that are split under load while their nodes die: every item is there once, every history linearizable."""

import base64
import contextlib
import itertools
import json
import random
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keystead_core.keyspace import encode_text, make_row_key
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.load import Load
from tests.faults.writers import client

ITEMS = 200
SETTLED_SECONDS_MAX = 60.0
SERVICE_SECONDS_MAX = 60.0
PATIENT_SECONDS = 20.0
"""Longer than a router's patience: a client hears from a node whatever becomes of its request."""
LEVEL_SECONDS_MAX = 90.0


class Splitting:
    """A table of one partition with some items beside those of the load."""

    def __init__(self, cluster: Cluster, table: str) -> None:
        self.cluster, self.table = cluster, table
        cluster.create_table(table, partitions=1)
        cluster.wait_until(f"{table} is level", lambda: cluster.all_level(table), LEVEL_SECONDS_MAX)
        self.items = {f"item-{number}": "x" * (number % 300) for number in range(ITEMS)}
        db = client(cluster.endpoints()[0], attempts=6)
        for name, value in self.items.items():
            db.put_item(TableName=table, Item={"pk": {"S": name}, "v": {"S": f"-{value}"}})
        self.keys: set[str] = set()
        self.load = self.new_load()

    def new_load(self, **options: Any) -> Load:
        found = Load(self.cluster.endpoints(), self.table, keys=8, writers=1, readers=1, **options)
        self.keys |= set(found.keys)
        return found

    def entries(self) -> list[dict[str, Any]]:
        """The table's partitions in the map of a node that answers, in key order."""
        for name in self.cluster.names():
            try:
                with urllib.request.urlopen(f"http://{self.cluster.admin_address(name)}/map", timeout=2) as answer:
                    found = json.load(answer)["partitions"].values()
            except OSError:
                continue
            return sorted((entry for entry in found if entry["table"] == self.table), key=lambda entry: entry["id"])
        return []

    def plan(self) -> None:
        (entry,) = self.entries()
        body = json.dumps({"type": "PlanSplit", "partition": entry["id"]}).encode()
        for name in self.cluster.names():
            try:
                address = f"http://{self.cluster.admin_address(name)}/catalog/command"
                with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=10) as answer:
                    reply = json.load(answer)
            except OSError:
                continue
            assert not reply.get("error"), reply
            return
        raise AssertionError("no node takes the command")

    def is_settled(self) -> bool:
        found = self.entries()
        return len(found) == 2 and not any(entry.get("left") or entry.get("split") for entry in found)

    def wait_until_settled(self) -> float:
        """Seconds."""
        what = f"the split of {self.table} is settled"
        return self.cluster.wait_until(what, self.is_settled, SETTLED_SECONDS_MAX)

    def master_of(self, number: int) -> str:
        """The node of the left (0) or right (1) half's master, once it has one."""
        self.cluster.wait_until("it has a master", lambda: bool(self.entries()[number]["master"]), SERVICE_SECONDS_MAX)
        nodes = {node["id"]: node["name"] for node in self.cluster.status()["nodes"]}
        return str(nodes[self.entries()[number]["master"]])

    def check(self) -> None:
        """Every item is there once, by scans of all kinds and by itself; the load's history is linearizable."""
        self.load.read_back(SERVICE_SECONDS_MAX)
        self.load.check()
        for endpoint in self.cluster.endpoints():
            db = client(endpoint, attempts=6)
            pages = db.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True, Limit=37)
            found = [item for page in pages for item in page["Items"]]
            names = [item["pk"]["S"] for item in found]
            assert len(set(names)) == len(names), "an item came twice"
            kept = {item["pk"]["S"]: item["v"]["S"][1:] for item in found if item["pk"]["S"] in self.items}
            assert kept == self.items
            assert set(names) - set(self.items) <= self.keys
        for name, value in self.items.items():
            item = db.get_item(TableName=self.table, Key={"pk": {"S": name}}, ConsistentRead=True)["Item"]
            assert item["v"]["S"] == f"-{value}"

    def demand_only_unknown_outcomes(self) -> None:
        """What clients were told meanwhile: nodes that cannot be reached, and writes of which nobody knows."""
        told = [error for error in self.load.errors if ":" in error]
        wrong = [error for error in told if not error.startswith(("InternalServerError", "ServiceUnavailable"))]
        assert not wrong, dict(self.load.errors)


_tables = itertools.count(1)


@pytest.fixture
def splitting(cluster: Cluster, table: str) -> Splitting:
    """A table of the test's own on the shared cluster, which is whole at its start."""
    return Splitting(cluster, f"split-{next(_tables)}")


def run(splitting: Splitting, meanwhile: Callable[[], str]) -> None:
    """Splits under load, with something that happens meanwhile, and checks all that must hold behind it."""
    with splitting.load as load:
        load.wait_for_service(SERVICE_SECONDS_MAX)
        splitting.plan()
        what = meanwhile()
        took = splitting.wait_until_settled()
        load.wait_for_service(SERVICE_SECONDS_MAX)
    print(f"\n{what}: settled {took:.2f} s after it; {load.summary()}; {dict(load.errors)}")
    splitting.check()


def test_a_split_under_load_gives_no_client_an_error(splitting: Splitting) -> None:
    splitting.load = splitting.new_load(request_seconds_max=PATIENT_SECONDS)
    run(splitting, lambda: "nothing else")
    assert not splitting.load.errors, dict(splitting.load.errors)


@pytest.mark.parametrize("moment", range(4))
def test_kill_9_of_the_left_master_at_any_moment_of_a_split(splitting: Splitting, moment: int) -> None:
    """From before the record is appended to when the right half has a master of its own."""
    delay = (0.0, 0.1, 0.3, 0.7)[moment] + random.random() * 0.2

    def kill() -> str:
        victim = splitting.master_of(0)
        time.sleep(delay)
        splitting.cluster.kill_and_wait_for_restart(victim)
        return f"kill -9 of the left master {delay:.2f} s behind the plan"

    run(splitting, kill)
    splitting.demand_only_unknown_outcomes()


def test_kill_9_of_each_node_in_turn_during_a_split(splitting: Splitting) -> None:
    def in_turn() -> str:
        for name in splitting.cluster.names():
            splitting.cluster.kill_and_wait_for_restart(name)
        return "kill -9 of every node in turn"

    run(splitting, in_turn)
    splitting.demand_only_unknown_outcomes()


def keys_of_half(splitting: Splitting, half: int) -> list[str]:
    """The load's keys that the left (0) or the right (1) half has."""
    at = base64.b64decode(splitting.entries()[1]["low"])
    return [key for key in splitting.load.keys if (make_row_key(encode_text(key)) >= at) == bool(half)]


def map_versions(cluster: Cluster) -> set[int]:
    """Of all nodes; 0 of one that does not answer yet."""
    found = set()
    for name in cluster.names():
        version = 0
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://{cluster.admin_address(name)}/map", timeout=5) as answer,
        ):
            version = int(json.load(answer)["version"])
        found.add(version)
    return found


def demand_failover_alone(splitting: Splitting, half: int) -> None:
    """With one half's master gone another takes over, and the other half's writes go on.

    The node that comes back may have lost its replica of the catalog meanwhile, and yet has to follow the map.
    """
    cluster, load = splitting.cluster, splitting.load
    before = splitting.entries()
    victim = splitting.master_of(half)
    keys = keys_of_half(splitting, 1 - half)
    assert keys, "the load writes to both halves"
    with cluster.held_down(victim):
        killed = time.monotonic_ns()
        what, gone = f"half {half} has another master than {victim}", before[half]["master"]
        cluster.wait_until(what, lambda: splitting.entries()[half]["master"] != gone, SERVICE_SECONDS_MAX)
        what = f"writes to the other half than {half} go on"
        cluster.wait_until(what, lambda: all(map(load.successes_since(killed).get, keys)), SERVICE_SECONDS_MAX)
        load.wait_for_service(SERVICE_SECONDS_MAX)
    after = splitting.entries()
    assert after[half]["epoch"] > before[half]["epoch"]
    cluster.wait_until("every node has the latest map", lambda: len(map_versions(cluster)) == 1, LEVEL_SECONDS_MAX)
    cluster.wait_until("level again", lambda: cluster.all_level(splitting.table), LEVEL_SECONDS_MAX)


def test_on_five_nodes_the_right_half_stands_where_no_rows_were_and_each_half_fails_over_by_itself(
    tmp_path: Path,
) -> None:
    with running_cluster(tmp_path, nodes=5) as cluster:
        splitting = Splitting(cluster, "five")
        (before,) = splitting.entries()
        splitting.load = splitting.new_load(request_seconds_max=PATIENT_SECONDS)
        run(splitting, lambda: "five nodes")
        assert not splitting.load.errors, dict(splitting.load.errors)
        left, right = splitting.entries()
        here = {place["node"] for place in before["target"]}
        assert {place["node"] for place in left["target"]} == here
        assert {place["node"] for place in right["target"]} - here, "the right half stands elsewhere, at least in part"
        cluster.wait_until("both halves are level", lambda: cluster.all_level("five"), LEVEL_SECONDS_MAX)
        cluster.wait_until("masters apart", lambda: len(set(cluster.masters("five"))) == 2, LEVEL_SECONDS_MAX)
        splitting.load = splitting.new_load()
        with splitting.load as load:
            load.wait_for_service(SERVICE_SECONDS_MAX)
            for half in (0, 1):
                demand_failover_alone(splitting, half)
        splitting.check()
        splitting.demand_only_unknown_outcomes()
