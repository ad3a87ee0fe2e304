"""The operator may die between any two writes: the next one finds what is so, and finishes."""

import pytest

from tests.apiserver.conftest import StartOperator
from tests.apiserver.operators import OperatorProcess
from tests.apiserver.rest import MERGE, Api, path_of
from tests.apiserver.running import RunningCluster

DEATHS_MAX = 150
DEATH_SECONDS_MAX = 60.0


def _let_go(api: Api, namespace: str) -> None:
    """As if the dead operator's Lease had run out."""
    path = path_of("Lease", namespace, "keystead-operator")
    if api.find("Lease", namespace, "keystead-operator") is not None:
        api.request("PATCH", path, {"spec": {"holderIdentity": ""}}, content_type=MERGE)


def _die_again_and_again(
    cluster: RunningCluster, start_operator: StartOperator, is_done: bool, converged: "Converged"
) -> list[str]:
    """Operators that are killed at their first write, one after the other, until there is nothing to write any more.

    Killed before its first write, an operator would never get on: there it is the second, and the first is done.
    """
    last_words: list[str] = []
    environment = {"KEYSTEAD_TEST_WRITES": "1" if is_done else "2", "KEYSTEAD_TEST_WRITE_IS_DONE": str(int(is_done))}
    for _ in range(DEATHS_MAX):
        _let_go(cluster.api, cluster.namespace)
        operator: OperatorProcess = start_operator(environment=environment)
        _wait_for_an_end(cluster, operator, converged)
        if operator.exit_code is None:
            return last_words
        last_words.append(operator.last_words(1))
    raise AssertionError(f"not done after {DEATHS_MAX} deaths: {last_words[-10:]}\n{cluster.describe()}")


def _wait_for_an_end(cluster: RunningCluster, operator: OperatorProcess, converged: "Converged") -> None:
    cluster.wait("it dies, or all is done", lambda: operator.exit_code is not None or converged(), 240)


class Converged:
    """Whether cluster and table are as declared."""

    def __init__(self, cluster: RunningCluster) -> None:
        self._cluster = cluster

    def __call__(self) -> bool:
        found = self._cluster
        status = (found.api.find("StorageCluster", found.namespace, found.name) or {}).get("status", {})
        whole = found.condition("StorageCluster", found.name, "Available")[0] == "True"
        serving = found.condition("Table", "orders", "Available")[0] == "True"
        return whole and serving and status.get("readyNodes") == 3


@pytest.mark.parametrize("is_done", [True, False], ids=["after a write", "before the next write"])
def test_operator_killed_at_every_write_still_makes_the_cluster(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str, is_done: bool
) -> None:
    cluster.create()
    cluster.create_table()
    deaths = _die_again_and_again(cluster, start_operator, is_done, Converged(cluster))
    assert len(deaths) >= 10, deaths
    assert any("/catalog/" in words for words in deaths), deaths
    assert len(cluster.pods()) == len(cluster.claims()) == 3
    cluster.put("a")
    assert cluster.get("a") == "a"


def test_operator_killed_at_every_write_still_deletes_a_table(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    first = start_operator()
    cluster.create()
    cluster.create_table()
    cluster.wait_table()
    first.kill()
    api.delete("Table", namespace, "orders")

    class Gone(Converged):
        def __call__(self) -> bool:
            return api.find("Table", namespace, "orders") is None

    _die_again_and_again(cluster, start_operator, True, Gone(cluster))
    assert cluster.client().list_tables()["TableNames"] == []
