"""GET /ui of a node of a real cluster: the page's files, and what all nodes say together."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from keystead_node.ui.pages import FILES
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.load import Load

READ_UNITS, WRITE_UNITS = 60, 40


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"partition_read_units": READ_UNITS, "partition_write_units": WRITE_UNITS, "split_mb": 0}
    # Rates are worked out anew in a fraction of this; nobody is busy for so long that a split follows.
    settings |= {"split_read_units": 10**9, "split_write_units": 10**9, "split_after_seconds": 2}
    with running_cluster(tmp_path_factory.mktemp("ui"), node_command=None, settings=settings) as found:
        found.create_table("orders", partitions=4)
        yield found


def get(cluster: Cluster, path: str, node: str = "") -> tuple[bytes, Any]:
    url = f"http://{cluster.admin_address(node or cluster.names()[0])}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"}), timeout=20) as answer:
        body = answer.read()
        return gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body, answer.headers


def state(cluster: Cluster, node: str = "") -> Any:
    return json.loads(get(cluster, "/ui/state", node)[0])


def test_every_node_shows_the_same_cluster(cluster: Cluster) -> None:
    seen = [state(cluster, node) for node in cluster.names()]
    for one in seen:
        assert [node["name"] for node in one["nodes"]] == cluster.names()
        assert [node["problem"] for node in one["nodes"]] == [None] * 3
        (orders,) = [table for table in one["tables"] if table["name"] == "orders"]
        assert [(p["start"], p["end"]) for p in orders["partitions"]] == [
            (0, 0.25),
            (0.25, 0.5),
            (0.5, 0.75),
            (0.75, 1),
        ]
        for partition in orders["partitions"]:
            roles = sorted(replica["role"] for replica in partition["replicas"])
            assert roles == ["follower", "follower", "master"]
            (master,) = [replica["node"] for replica in partition["replicas"] if replica["role"] == "master"]
            assert partition["master"] == master
    assert len({one["asked"] for one in seen}) == 3


def test_the_load_of_partitions_and_nodes_is_what_clients_do(cluster: Cluster) -> None:
    with Load(cluster.endpoints(), "orders", keys=12, writers=1, readers=1, pause_ms=20):
        cluster.wait_until("the load is seen", lambda: _is_loaded(state(cluster)), 60)


def _is_loaded(seen: Any) -> bool:
    partitions = [p for table in seen["tables"] if table["name"] == "orders" for p in table["partitions"]]
    if not all(p["writeUnits"] > 0 and p["readUnits"] > 0 and p["bytes"] for p in partitions):
        return False
    for p in partitions:
        assert p["load"] == pytest.approx(p["readUnits"] / READ_UNITS + p["writeUnits"] / WRITE_UNITS, abs=0.01)
    # Followers answer eventually consistent reads: a node does something also where it masters nothing.
    assert sum(node["load"] for node in seen["nodes"]) == pytest.approx(sum(p["load"] for p in partitions), abs=0.1)
    return all(node["readUnits"] > 0 for node in seen["nodes"])


def test_a_node_that_is_away_is_shown_as_silent_and_comes_back(cluster: Cluster) -> None:
    away = cluster.names()[2]
    with cluster.frozen(away):
        cluster.wait_until(
            "its silence is seen", lambda: "did not answer" in (_problem(state(cluster), away) or ""), 30
        )
        seen = state(cluster)
        roles = {r["role"] for t in seen["tables"] for p in t["partitions"] for r in p["replicas"]}
        assert "silent" in roles
    cluster.wait_until("it is back", lambda: _problem(state(cluster), away) is None, 60)


def _problem(seen: Any, name: str) -> str | None:
    found: str | None = next(node["problem"] for node in seen["nodes"] if node["name"] == name)
    return found


def test_both_halves_of_a_split_are_shown_and_nothing_stays_under_way(cluster: Cluster) -> None:
    cluster.create_table("halves", partitions=1)
    said = cluster.cli("split", "halves", "--at", "m")
    assert "was split" in said
    partitions = [p for table in state(cluster)["tables"] if table["name"] == "halves" for p in table["partitions"]]
    assert len(partitions) == 2
    cluster.wait_until("nothing is under way", lambda: _under_way(state(cluster)) == [], 60)


def _under_way(seen: Any) -> list[Any]:
    parts = [p for table in seen["tables"] for p in table["partitions"]]
    return [p["id"] for p in parts if p["split"] or p["splitFrom"] or p["move"]]


@pytest.mark.parametrize("path", ["/ui", *(f"/ui/{name}" for name in FILES)])
def test_the_pages_files_are_served_and_load_nothing_from_elsewhere(cluster: Cluster, path: str) -> None:
    body, headers = get(cluster, path)
    assert body
    assert headers["Content-Type"].startswith("text/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b"https://" not in body


def test_nothing_else_of_the_folder_is_served(cluster: Cluster) -> None:
    for path in ("/ui/pages.py", "/ui/..%2Fadmin.py", "/ui/page"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(cluster, path)
        assert caught.value.code == 404
