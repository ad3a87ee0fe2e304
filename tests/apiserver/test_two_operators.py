"""Two operators at once do no harm: one leads, and one that only believes to lead is refused by the catalog."""

import signal

from tests.apiserver.conftest import StartOperator
from tests.apiserver.rest import MERGE, Api, path_of
from tests.apiserver.running import RunningCluster

SHORT_LEASE = {"KEYSTEAD_TEST_LEASE_SECONDS": "4"}


def _holder(api: Api, namespace: str) -> str:
    lease = api.find("Lease", namespace, "keystead-operator") or {"spec": {}}
    return str(lease["spec"].get("holderIdentity") or "")


def _leading(*operators: object) -> int:
    return sum(one.metrics().get("keystead_operator_leading", 0) == 1 for one in operators)  # type: ignore[attr-defined]


def test_the_other_operator_takes_over_when_the_leader_dies(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    first = start_operator(environment=SHORT_LEASE)
    cluster.create()
    cluster.create_table("first")
    cluster.wait_table("first")
    second = start_operator(environment=SHORT_LEASE)
    holder = _holder(api, namespace)
    assert holder.startswith(first.name)
    first.kill()
    cluster.create_table("second")
    cluster.wait_table("second")
    assert _holder(api, namespace).startswith(second.name)


def test_operator_that_is_asked_to_end_hands_over_at_once(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    first = start_operator()
    cluster.create(nodes=1, replication={"replicas": 1})
    cluster.wait_available()
    start_operator()
    first.stop()
    assert first.exit_code == 0
    assert _holder(api, namespace) == "" or not _holder(api, namespace).startswith(first.name)
    cluster.create_table()
    cluster.wait_table()


def test_frozen_leader_that_wakes_up_changes_nothing(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    """It slept over the end of its Lease, and goes on in the middle of what it was doing."""
    first = start_operator(environment=SHORT_LEASE)
    cluster.create()
    cluster.create_table("first")
    cluster.wait_table("first")
    first.signal(signal.SIGSTOP)
    second = start_operator(environment=SHORT_LEASE)
    cluster.wait("the second leads", lambda: _holder(api, namespace).startswith(second.name), 180)
    cluster.create_table("second")
    cluster.wait_table("second")
    before = cluster.uids()
    first.signal(signal.SIGCONT)
    cluster.wait("the first knows", lambda: _leading(first) == 0, 180)
    cluster.create_table("third")
    cluster.wait_table("third")
    assert _leading(second) == 1
    assert cluster.uids() == before
    assert sorted(cluster.client().list_tables()["TableNames"]) == ["first", "second", "third"]


def test_two_leaders_at_once_do_no_harm(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    """The Lease is stolen back and forth while tables are made and deleted: what is declared is what comes about."""
    operators = [start_operator(), start_operator()]
    cluster.create()
    cluster.wait_available()
    uids, claims = cluster.uids(), set(cluster.claims())
    path = path_of("Lease", namespace, "keystead-operator")
    for number in range(6):
        cluster.create_table(f"table-{number}")
        if number % 2 and number > 1:
            api.delete("Table", namespace, f"table-{number - 2}")
        api.request("PATCH", path, {"spec": {"holderIdentity": ""}}, content_type=MERGE)
        cluster.wait("somebody leads", lambda: _holder(api, namespace) != "", 180)
    kept = ["table-0", "table-2", "table-4", "table-5"]
    for name in kept:
        cluster.wait_table(name)
    cluster.wait("the deleted are gone", lambda: api.find("Table", namespace, "table-3") is None, 180)
    assert sorted(cluster.client().list_tables()["TableNames"]) == kept
    assert cluster.uids() == uids
    assert set(cluster.claims()) == claims
    assert all(one.running for one in operators)
