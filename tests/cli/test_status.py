"""keystead status, why and node: the shapes that programs rely on, and the sentences that people read."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

ORDERS = (Path(__file__).parents[2] / "examples" / "orders.yaml").read_text()


@pytest.fixture
def with_table(running: Any) -> Any:
    running.ok("apply", "-f", "-", stdin=ORDERS)
    return running


def test_status_has_the_documented_shape(with_table: Any) -> None:
    status = json.loads(with_table.ok("status", "-o", "json"))
    assert {"endpoint", "nodes", "tables", "catalog", "cluster", "mapVersion"} <= set(status)
    assert {"name", "id", "zone", "pid", "port", "dataDir", "state"} <= set(status["nodes"][0])
    assert status["endpoint"] == f"http://127.0.0.1:{status['nodes'][0]['port']}"
    (table,) = status["tables"]
    assert (table["name"], table["state"]) == ("orders", "ACTIVE")
    assert len(table["partitions"]) == 4
    for partition in table["partitions"]:
        assert {"id", "range", "generation", "epoch", "membershipVersion", "master", "replicas"} <= set(partition)
        assert partition["master"] in {"node-0", "node-1", "node-2"}
        for replica in partition["replicas"]:
            assert {"node", "zone", "role", "eligible", "lastLsn", "lag"} <= set(replica)
    assert table["partitions"][0]["range"]["low"] == ""
    assert table["partitions"][-1]["range"]["high"] is None


def test_status_shows_every_node_and_partition_to_people(with_table: Any) -> None:
    shown = with_table.ok("status")
    for word in ("endpoint http://127.0.0.1:", "node-0", "zone-b", "orders", "(catalog)", "start..4000", "c000..end"):
        assert word in shown


def test_status_works_while_a_node_is_frozen_and_says_which(with_table: Any) -> None:
    pid = with_table.pid_of("node-1")
    os.kill(pid, signal.SIGSTOP)
    try:
        status = json.loads(with_table.ok("status", "-o", "json"))
        sentences = with_table.ok("why", "orders")
    finally:
        os.kill(pid, signal.SIGCONT)
    (node,) = [node for node in status["nodes"] if node["name"] == "node-1"]
    assert node["state"] == "unreachable"
    assert node["pid"] == pid
    assert "does not answer" in node["problem"]
    roles = {replica["node"]: replica["role"] for replica in status["tables"][0]["partitions"][0]["replicas"]}
    assert roles["node-1"] == "unreachable"
    assert "but node-1 (zone-b) does not answer." in sentences


def test_why_of_a_healthy_table_is_one_sentence(with_table: Any) -> None:
    assert with_table.ok("why", "orders") == "All 4 partitions have a master and all their replicas.\n"
    explained = json.loads(with_table.ok("why", "orders", "-o", "json"))
    assert explained["table"] == "orders"
    assert [partition["healthy"] for partition in explained["partitions"]] == [True] * 4


def test_why_of_an_unknown_table_fails(with_table: Any) -> None:
    done = with_table("why", "nobody")
    assert (done.returncode, done.stderr) == (1, 'error: table "nobody" not found\n')


def test_partitions_of_one_table_are_listed(with_table: Any) -> None:
    lines = with_table.ok("get", "partitions", "orders").splitlines()
    assert lines[0].split() == ["ID", "TABLE", "RANGE", "EPOCH", "MEMBERSHIP", "MASTER", "REPLICAS"]
    assert len(lines) == 5
    assert with_table("get", "partitions", "nobody").returncode == 1


def test_node_goes_into_maintenance_and_comes_back(with_table: Any) -> None:
    assert with_table.ok("node", "maintain", "node-0") == "node-0 is in maintenance\n"
    try:
        refused = with_table("node", "maintain", "node-1")
        assert refused.returncode == 1
        assert refused.stderr == "error: node-1 refuses: another node is in maintenance already\n"
        assert "node-0 (zone-a) takes no part: planned" in with_table.ok("why", "orders")
        states = {node["name"]: node["state"] for node in json.loads(with_table.ok("status", "-o", "json"))["nodes"]}
        assert states == {"node-0": "maintenance", "node-1": "active", "node-2": "active"}
    finally:
        assert with_table.ok("node", "resume", "node-0") == "node-0 takes part again\n"


def test_node_is_found_by_its_id_too(with_table: Any) -> None:
    node_id = json.loads(with_table.ok("get", "nodes", "node-2", "-o", "json"))["id"]
    assert with_table.ok("node", "resume", node_id) == "node-2 takes part again\n"
    done = with_table("node", "maintain", "node-9")
    assert done.stderr == 'error: node "node-9" not found: there are node-0, node-1, node-2\n'


def test_json_of_objects_is_what_a_manifest_may_say(with_table: Any) -> None:
    table = json.loads(with_table.ok("get", "kst", "orders", "-o", "json"))
    wanted = yaml.safe_load(ORDERS)
    assert table["kind"] == "Table"
    assert {name: table["spec"][name] for name in wanted["spec"]} == wanted["spec"]


def test_log_dump_of_a_volume_without_a_log_says_so(with_table: Any) -> None:
    dumped = json.loads(with_table.ok("log", "dump", "--node", "node-0", "-o", "json"))
    (node,) = dumped["nodes"]
    assert (node["name"], node["log"]) == ("node-0", None)
    assert "is no data directory of a node" in node["problem"]
    assert with_table("log", "dump", "--node", "node-9").returncode == 1
