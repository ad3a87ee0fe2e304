"""`kubectl keystead`: what it shows is what the nodes say, and what it orders is done."""

import json
from typing import Any

from tests.kubectl.conftest import Shown, storage_cluster


def view(shown: Shown) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown.ok("status", "-o", "json"))
    return found


def test_status_shows_the_nodes_and_every_partition_with_its_replicas(shown: Shown) -> None:
    found = view(shown)
    assert (found["cluster"], found["endpoint"]) == ("c-pods", "http://orders.shop.svc:8000")
    nodes = [(node["name"], node["zone"], node["state"], node["port"]) for node in found["nodes"]]
    assert nodes == [("node-0", "a", "active", 8000), ("node-1", "b", "active", 8000), ("node-2", "c", "active", 8000)]
    assert [table["name"] for table in found["tables"]] == ["items"]
    replicas = found["tables"][0]["partitions"][0]["replicas"]
    assert sorted(replica["node"] for replica in replicas) == ["node-0", "node-1", "node-2"]
    text = shown.ok("status")
    assert "Available=True Serving: 3 nodes serve" in text
    assert "node-1" in text and "items" in text


def test_a_pod_that_does_not_run_is_shown_with_its_reason(shown: Shown) -> None:
    waiting = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    unplaced = {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
        ],
    }
    shown.show_pods(node_1=waiting, node_2=unplaced)
    states = {node["name"]: (node["state"], node["problem"]) for node in view(shown)["nodes"]}
    assert states == {
        "node-0": ("active", None),
        "node-1": ("stopped", "ImagePullBackOff"),
        "node-2": ("stopped", "Unschedulable: 0/3 nodes are available"),
    }
    sentence = shown.ok("why", "items")
    assert "node-1 (b) does not answer" in sentence and "node-2 (c) does not answer" in sentence


def test_why_says_that_a_table_is_whole(shown: Shown) -> None:
    assert shown.ok("why", "items") == "1 partition has its master and all its replicas.\n"
    found = json.loads(shown.ok("why", "items", "-o", "json"))
    assert (found["table"], found["partitions"][0]["healthy"]) == ("items", True)
    assert shown.refused("why", "nobody") == 'error: table "nobody" not found\n'


def test_a_node_is_taken_out_and_in_again_and_the_catalog_knows_it(shown: Shown) -> None:
    assert shown.ok("maintain", "orders-node-2") == "orders-node-2 is in maintenance\n"
    try:
        node = next(one for one in view(shown)["nodes"] if one["name"] == "node-2")
        assert node["state"] == "maintenance"
        assert shown.cluster.map()["nodes"][node["id"]]["state"] == "maintenance"
        refusal = shown.refused("maintain", "node-1")
        assert refusal.startswith("error: orders-node-1 refuses: ") and "replicas still wait" in refusal
        assert shown.ok("resume", "node-1") == "orders-node-1 takes part again\n"
    finally:
        assert shown.ok("resume", node["id"]) == "orders-node-2 takes part again\n"
    assert shown.cluster.map()["nodes"][node["id"]]["state"] == "active"


def test_masterships_are_handed_over(shown: Shown) -> None:
    def mastered() -> tuple[str, int]:
        """A place and the partition of the table that it masters."""
        for place, pod in shown.cluster.pods.items():
            for replica in pod.status()["replicas"]:
                if replica["role"] == "master" and replica["partition"] != 1:
                    return place, replica["partition"]
        return "", 0

    def order() -> tuple[str, str] | None:
        """The master that was told, and what the plugin said; None if the mastership moved meanwhile."""
        before, partition = mastered()
        done = shown.plugin("hand-over", before, "--partition", str(partition))
        return (before, done.stdout) if done.returncode == 0 else None

    before, said = shown.cluster.wait("a master takes the order", order)
    assert said == f"orders-{before} hands over 1 partition\n"
    shown.cluster.wait("another masters it", lambda: mastered()[0] not in ("", before))
    assert "does not master partition 77" in shown.refused("hand-over", before, "--partition", "77")


def test_a_partition_is_not_recovered_while_it_serves_or_a_lost_node_is_heard_of(shown: Shown) -> None:
    partition = view(shown)["tables"][0]["partitions"][0]["id"]
    assert "has a master" in shown.refused("recover", f"items/{partition}", "--accept-data-loss")
    away = {"phase": "Pending"}
    shown.show_pods(node_1=away, node_2=away)
    order = ("recover", f"items/{partition}", "--accept-data-loss", "--gone", "node-1", "--gone", "node-2")
    assert "is heard by node-0: it runs" in shown.refused(*order)


def test_what_is_not_there_is_named_with_what_is(shown: Shown) -> None:
    assert shown.refused("maintain", "node-9") == (
        'error: node "node-9" not found: there are orders-node-0, orders-node-1, orders-node-2\n'
    )
    assert "storageclusters.keystead.io" in shown.refused("status", "--cluster", "nothing")
    shown.set("storageclusters", [storage_cluster("orders"), storage_cluster("people")])
    assert shown.refused("status") == "error: which StorageCluster? --cluster one of orders, people\n"
    shown.set("storageclusters", [])
    assert shown.refused("status") == "error: no StorageCluster in this namespace\n"


def test_namespace_and_context_reach_kubectl(shown: Shown) -> None:
    shown.ok("status", "-n", "shop", "--context", "kind", "--kubeconfig", "/k", "-c", "orders")
    for line in (shown.directory / "calls").read_text().splitlines():
        assert line.startswith("--namespace=shop --context=kind --kubeconfig=/k ")
