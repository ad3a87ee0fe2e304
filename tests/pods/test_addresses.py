"""Pods come back with other addresses: they are heard at once, and find the others when all have moved."""

import asyncio
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from keystead_core.cluster_map import NodeEntry
from keystead_core.ids import NodeId
from keystead_node.transport.addresses import AddressBook, AddressError, join_address, split_address
from keystead_operator.admin_client import AdminClient, NodeUnreachable
from tests.pods.pods import ADMIN, API, PEER, Pods, reads, three_pods, writes


def test_a_node_that_comes_back_with_another_address_follows_its_masters_at_once(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        client = cluster.client("node-0")
        cluster.create_table(client)
        cluster.pods["node-2"].kill()
        # If it was the master, the first write may be on its way to it: its outcome is unknown, and it is said again.
        cluster.wait("it is written", lambda: writes(client, "while away"))
        moved = cluster.start("node-2", "c", 33)
        cluster.wait("it follows every master", lambda: _is_level(cluster, moved.status()))
        cluster.wait_registered()
        addresses = [node["peer_address"] for node in cluster.map()["nodes"].values()]
        assert f"{cluster.address(3)}:{PEER}" not in addresses
        for place in ("node-0", "node-1"):
            cluster.pods[place].kill()  # node-2 and whoever is left must know each other's addresses of now
            cluster.start(place, "ab"[int(place[-1])], 40 + int(place[-1]))
            cluster.wait_registered()
        client = cluster.client("node-2")
        cluster.wait("it serves", lambda: reads(client, "while away"))


def test_nodes_that_all_come_back_with_other_addresses_find_each_other_by_a_name(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        client = cluster.client("node-1")
        cluster.create_table(client)
        client.put_item(TableName="items", Item={"pk": {"S": "kept"}})
        for pod in cluster.pods.values():
            pod.kill()
        cluster.config["seeds"] = [f"peers.test:{PEER}"]
        cluster.set_hosts("peers.test", [1, 2, 3])
        cluster.start_all(first_number=11)
        cluster.wait("all nodes answer", lambda: all(pod.status() for pod in cluster.pods.values()))
        cluster.set_hosts("peers.test", [3, 12, 11, 13])  # as a name service does: late, and not without old addresses
        client = cluster.client("node-1")
        cluster.wait("the table is served", lambda: reads(client, "kept"))
        cluster.wait_registered()


def test_the_api_listens_at_a_second_address_for_those_who_come_from_inside_of_the_pod(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        cluster.create_table(cluster.client("node-0"))
        cluster.pods["node-1"].kill()
        inside = cluster.config["local"] = cluster.address(77)
        cluster.start("node-1", "b", 2)
        client = cluster.client("node-1", endpoint_url=f"http://{inside}:{API}")
        cluster.wait("it answers there", lambda: _lists(client))
        with pytest.raises(NodeUnreachable):
            asyncio.run(AdminClient().status(f"{inside}:{ADMIN}"))


def _lists(client: Any) -> bool:
    try:
        return bool(client.list_tables()["TableNames"] == ["items"])
    except botocore.exceptions.BotoCoreError:
        return False


def test_an_address_that_now_belongs_to_another_node_confuses_nobody(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        client = cluster.client("node-0")
        cluster.create_table(client)
        for place in ("node-1", "node-2"):
            cluster.pods[place].kill()
        cluster.start("node-1", "b", 3)
        cluster.start("node-2", "c", 2)
        cluster.wait_registered()
        cluster.wait("both follow", lambda: all(_is_level(cluster, pod.status()) for pod in cluster.pods.values()))
        before = cluster.pods["node-0"].said().count("mastership")
        client.put_item(TableName="items", Item={"pk": {"S": "x"}})
        assert cluster.pods["node-0"].said().count("mastership") == before


def test_a_file_without_the_nodes_name_is_refused_unless_the_environment_gives_it(tmp_path: Path) -> None:
    cluster = Pods(tmp_path)
    try:
        pod = cluster.start("", "a", 1)
        assert pod.process.wait(60) == 2
        assert "no `name`, and KEYSTEAD_NAME is not set" in pod.said()
    finally:
        cluster.destroy()


def test_of_two_addresses_of_a_node_the_one_of_the_later_boot_counts() -> None:
    book = AddressBook()
    assert book.of_entry(_entry(boot=4)) == "registered:7000"
    assert book.hear(NodeId("n"), 5, "heard:7000")
    assert not book.hear(NodeId("n"), 4, "older:7000")
    assert not book.hear(NodeId("n"), 6, "")
    assert book.of_entry(_entry(boot=4)) == "heard:7000"
    assert book.of_entry(_entry(boot=5)) == "registered:7000"
    assert book.of_node(NodeId("n"), "last:7000") == "heard:7000"
    assert book.of_node(NodeId("m"), "last:7000") == "last:7000"


@pytest.mark.parametrize(("host", "address"), [("10.0.0.7", "10.0.0.7:7000"), ("fd00::7", "[fd00::7]:7000")])
def test_addresses_of_both_families_come_back_from_their_text(host: str, address: str) -> None:
    assert join_address(host, 7000) == address
    assert split_address(address) == (host, 7000)


@pytest.mark.parametrize("text", ["", "host", ":7000", "host:", "host:http"])
def test_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        split_address(text)


def _entry(boot: int) -> NodeEntry:
    return NodeEntry(
        id=NodeId("n"),
        name="n",
        zone="a",
        host="",
        disk="",
        api_address="",
        peer_address="registered:7000",
        admin_address="",
        boot=boot,
        state="active",
    )


def _is_level(cluster: Pods, status: dict[str, Any]) -> bool:
    """Every replica of the node has what the masters have committed."""
    others = [pod.status() for pod in cluster.pods.values()]
    committed = {r["partition"]: r["commitLsn"] for s in others if s for r in s["replicas"] if r["role"] == "master"}
    replicas = status.get("replicas", [])
    return bool(replicas) and all(r["durableLsn"] >= committed.get(r["partition"], 1 << 60) for r in replicas)
