"""The API server is away, slow, forgetful or forbids: the data plane does not notice, the operator gets over it."""

import time

import pytest

from keystead_operator.kube.rights import LEADING, NAMESPACED
from tests.apiserver.conftest import StartOperator
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.operators import OperatorProcess, grant
from tests.apiserver.proxy import Proxy, gone, too_many, unavailable
from tests.apiserver.rest import Api, Object
from tests.apiserver.running import RunningCluster
from tests.faults.load import Load

FAST = {"KEYSTEAD_TEST_RESYNC_SECONDS": "2"}
LOADED: Object = {"attributes": [{"name": "pk", "type": "S"}], "keySchema": {"hashKey": "pk"}}


@pytest.fixture
def operator(start_operator: StartOperator, proxy: Proxy) -> OperatorProcess:
    """Talks to the API server through the proxy."""
    return start_operator(server=proxy.url, environment=FAST)


def _one_node(cluster: RunningCluster) -> None:
    cluster.create(nodes=1, replication={"replicas": 1})
    cluster.wait_available()


def test_api_server_that_is_away_costs_no_request(
    cluster: RunningCluster, start_operator: StartOperator, control_plane: ControlPlane, api: Api, namespace: str
) -> None:
    """Reads and writes go on while it is stopped, also over the death of a master; then tables can be made again."""
    start_operator()
    cluster.create()
    cluster.create_table(**LOADED)
    cluster.wait_table()
    cluster.wait_level()
    endpoints = cluster.endpoints()
    victim = sorted(cluster.pods())[0]
    with Load(endpoints, "orders", keys=3, request_seconds_max=10.0) as load:
        load.wait_for_service(30)
        control_plane.stop_api_server()
        try:
            stopped = time.monotonic_ns()
            time.sleep(3)
            assert all(load.successes_since(stopped).values())
            refused = [one for one in load.history if one.invoked > stopped and one.outcome != "ok"]
            assert refused == [], load.errors
            cluster.faults.kill(namespace, victim)
            load.wait_for_service(30)
        finally:
            control_plane.start_api_server()
    load.read_back(60)
    load.check()
    cluster.create_table("later")
    cluster.wait_table("later")


def test_broken_watches_are_taken_up_again(cluster: RunningCluster, operator: OperatorProcess, proxy: Proxy) -> None:
    _one_node(cluster)
    for number in range(3):
        proxy.break_watches()
        cluster.create_table(f"table-{number}")
        cluster.wait_table(f"table-{number}")


def test_410_on_watches_makes_it_list_again(
    cluster: RunningCluster, operator: OperatorProcess, proxy: Proxy, api: Api, namespace: str
) -> None:
    """What vanished meanwhile is found, though no watch ever tells of it."""
    _one_node(cluster)
    cluster.create_table("first")
    cluster.wait_table("first")
    proxy.hide = lambda event: True
    proxy.break_watches()
    api.delete("Pod", namespace, "keystead-node-0", grace_seconds=0)
    cluster.create_table("second")
    answered: list[str] = []

    def expired_once(request: object) -> object:
        if request.is_watch and answered.count(request.path) < 2:  # type: ignore[attr-defined]
            answered.append(request.path)  # type: ignore[attr-defined]
            return gone()
        return None

    proxy.refuse = expired_once  # type: ignore[assignment]
    proxy.hide = lambda event: False
    proxy.break_watches()
    cluster.wait("watches were refused", lambda: len(answered) >= 4, 180)
    cluster.wait_available()
    cluster.wait_table("second")


def test_events_that_never_come_are_found_by_the_periodic_list(
    cluster: RunningCluster, operator: OperatorProcess, proxy: Proxy, api: Api, namespace: str
) -> None:
    _one_node(cluster)
    proxy.hide = lambda event: event["type"] == "DELETED" or event["object"].get("kind") == "Table"
    before = cluster.uids()
    cluster.create_table()
    cluster.wait_table()
    api.delete("Pod", namespace, "keystead-node-0", grace_seconds=0)
    cluster.wait("another pod", lambda: cluster.uids() not in ({}, before), 180)
    cluster.wait_available()
    api.delete("Table", namespace, "orders")
    cluster.wait("the table is gone", lambda: api.find("Table", namespace, "orders") is None, 180)


def test_storm_of_429_delays_and_loses_nothing(
    cluster: RunningCluster, operator: OperatorProcess, proxy: Proxy
) -> None:
    _one_node(cluster)
    seen = 0

    def two_of_three(request: Object) -> object:
        nonlocal seen
        seen += 1
        return too_many() if seen % 3 else None

    proxy.refuse = two_of_three  # type: ignore[assignment]
    for number in range(5):
        cluster.create_table(f"table-{number}")
    cluster.wait("requests were refused", lambda: sum(one.status == 429 for one in proxy.requests) > 10, 180)
    proxy.refuse = lambda request: None
    for number in range(5):
        cluster.wait_table(f"table-{number}")
    assert operator.running
    assert operator.is_healthy()


def test_503_for_a_while_is_waited_for(cluster: RunningCluster, operator: OperatorProcess, proxy: Proxy) -> None:
    _one_node(cluster)
    proxy.refuse = lambda request: unavailable()
    proxy.break_watches()
    cluster.create_table()
    time.sleep(3)
    assert operator.running
    proxy.refuse = lambda request: None
    cluster.wait_table()


def test_revoked_rights_are_told_and_got_over(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    operator = start_operator(environment=FAST)
    _one_node(cluster)
    grant(api, namespace, tuple(right for right in (*NAMESPACED, *LEADING) if right.resource != "pods"))
    api.delete("Pod", namespace, "keystead-node-0", grace_seconds=0)
    said = cluster.wait_condition("Degraded", "True", "NotReconciled", seconds=180)
    assert "lacks a right" in said and "pods" in said
    assert operator.running
    grant(api, namespace)
    cluster.wait_available()
    cluster.create_table()
    cluster.wait_table()


def test_operator_needs_no_right_beyond_those_that_it_lists(
    cluster: RunningCluster, start_operator: StartOperator, proxy: Proxy, api: Api, namespace: str
) -> None:
    """And uses nothing that it was refused: no request of a whole life of cluster and table is answered 403."""
    start_operator(server=proxy.url)
    cluster.create()
    cluster.create_table()
    cluster.wait_table()
    cluster.wait_available()
    api.delete("Pod", namespace, sorted(cluster.pods())[0])
    cluster.wait(
        "the pod is away", lambda: cluster.condition("StorageCluster", "keystead", "Degraded")[0] == "True", 60
    )
    cluster.wait_available()
    api.delete("Table", namespace, "orders")
    cluster.wait("the table is gone", lambda: api.find("Table", namespace, "orders") is None, 180)
    api.delete("StorageCluster", namespace, "keystead")
    cluster.wait("the pods are gone", lambda: not cluster.pods(), 180)
    assert [f"{one.method} {one.path}" for one in proxy.requests if one.status == 403] == []
    assert sum(one.is_write for one in proxy.requests) > 10
