"""The operator may die between any two writes: the next one finds what is so, and finishes."""

import fnmatch
from pathlib import Path

import pytest

from tests.apiserver.conftest import StartOperator
from tests.apiserver.operators import OperatorProcess
from tests.apiserver.rest import Api
from tests.apiserver.running import RunningCluster

ENOUGH_SECONDS = 280.0


def _start(start_operator: StartOperator, directory: Path, mode: str) -> OperatorProcess:
    """An operator that dies at each change; see operator_under_test.py."""
    return start_operator(
        environment={
            "KEYSTEAD_TEST_DEATHS": mode,
            "KEYSTEAD_TEST_CHANGES_FILE": str(directory / "changes"),
            "KEYSTEAD_TEST_LEASE_SECONDS": "1",
        }
    )


def _deaths(operator: OperatorProcess) -> list[str]:
    return [line for line in operator.log().splitlines() if line.startswith("killed ")]


def _is_made(cluster: RunningCluster) -> bool:
    status = (cluster.api.find("StorageCluster", cluster.namespace, cluster.name) or {}).get("status", {})
    whole = cluster.condition("StorageCluster", cluster.name, "Available")[0] == "True"
    serving = cluster.condition("Table", "orders", "Available")[0] == "True"
    return whole and serving and status.get("readyNodes") == 3


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["after", "before"])
def test_operator_killed_at_every_write_makes_the_cluster(
    cluster: RunningCluster, start_operator: StartOperator, tmp_path: Path, mode: str
) -> None:
    cluster.create()
    cluster.create_table()
    operator = _start(start_operator, tmp_path, mode)
    cluster.wait("it is made", lambda: _is_made(cluster) or not operator.running, ENOUGH_SECONDS)
    deaths = _deaths(operator)
    assert operator.running, deaths[-10:]
    assert len(deaths) >= 12, deaths
    written = ("configmaps", "services", "claims", "pods", "/catalog/form", "/catalog/command", "tables/orders/status")
    for what in written if mode == "after" else ():
        assert any(what in death for death in deaths), (what, deaths)
    assert len(cluster.pods()) == len(cluster.claims()) == 3
    cluster.put("a")
    assert cluster.get("a") == "a"


def test_operator_killed_at_every_write_deletes_a_table(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str, tmp_path: Path
) -> None:
    first = start_operator()
    cluster.create()
    cluster.create_table()
    cluster.wait_table()
    first.stop()
    api.delete("Table", namespace, "orders")
    operator = _start(start_operator, tmp_path, "after")
    cluster.wait("it is gone", lambda: api.find("Table", namespace, "orders") is None, 120)
    assert any("/catalog/command" in death for death in _deaths(operator))
    assert cluster.client().list_tables()["TableNames"] == []


@pytest.mark.timeout(600)
def test_operator_killed_at_every_write_takes_nodes_in_and_out_and_splits(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str, tmp_path: Path
) -> None:
    first = start_operator()
    cluster.create(nodes=3)
    cluster.create_table(partitions={"count": 1})
    cluster.wait_table()
    cluster.put("a")
    first.stop()
    gone = "keystead-node-0"
    cluster.change(nodes=4, removeNodes=[gone])
    api.patch("Table", namespace, "orders", {"spec": {"partitions": {"count": 4}}})
    operator = _start(start_operator, tmp_path, "after")

    def is_done() -> bool:
        names = set(cluster.pods())
        table = api.get("Table", namespace, "orders").get("status", {})
        whole = cluster.condition("StorageCluster", cluster.name, "Available")[0] == "True"
        level = cluster.condition("Table", "orders", "Degraded")[0] == "False"
        moved = len(names) == len(cluster.claims()) == 4 and gone not in names
        return moved and table.get("partitions") == 4 and whole and level

    cluster.wait(f"{gone} is gone, two others came, four partitions serve", is_done, 420)
    written = ("POST*persistentvolumeclaims", "POST*pods", "POST*/catalog/command", f"DELETE*pods/{gone}")
    for what in (*written, f"DELETE*persistentvolumeclaims/data-{gone}"):
        assert fnmatch.filter(_deaths(operator), f"*{what}"), (what, _deaths(operator))
    assert cluster.get("a") == "a"
