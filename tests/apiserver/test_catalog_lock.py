"""The catalog's lock is a Lease of a real API server; that server may be away without a request failing."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead_node.catalog_locks import LockUnavailable
from keystead_node.config import LeaseName
from keystead_node.lease_lock import COUNTER, LeaseLock
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.rest import Api
from tests.pods.pods import Pods, reads, three_pods

LEASE = "orders-catalog"


@pytest.fixture
def lease(control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path) -> LeaseName:
    """The Lease as a pod's ServiceAccount may use it: that name alone, but for making it."""
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    rules = [{**leases, "resourceNames": [LEASE], "verbs": ["get", "update"]}, {**leases, "verbs": ["create"]}]
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "orders-node", "namespace": namespace}
    for manifest in (
        {"apiVersion": "v1", "kind": "ServiceAccount"},
        {"apiVersion": f"{group}/v1", "kind": "Role", "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "orders-node"},
            "subjects": [subject],
        },
    ):
        api.create({**manifest, "metadata": {"name": "orders-node", "namespace": namespace}})
    token = tmp_path / "token"
    token.write_text(api.token_of(namespace, "orders-node"))
    return LeaseName(namespace, LEASE, control_plane.server, str(token), str(control_plane.authority.ca_file))


@contextlib.contextmanager
def pods_with(lease: LeaseName, directory: Path, lock: str) -> Iterator[Pods]:
    fields = {name: getattr(lease, name) for name in lease.__struct_fields__}
    settings = {"hot_log_mb": 16, "lock": lock}
    with three_pods(directory, catalog_lock={"lease": fields}, catalog_lock_file="", settings=settings) as cluster:
        yield cluster


@contextlib.contextmanager
def api_server_away(control_plane: ControlPlane) -> Iterator[None]:
    control_plane.stop_api_server()
    try:
        yield
    finally:
        control_plane.start_api_server()


def counter(api: Api, lease: LeaseName) -> int:
    return int(api.get("Lease", lease.namespace, LEASE)["metadata"]["annotations"][COUNTER])


def test_every_taker_gets_a_number_of_its_own(api: Api, lease: LeaseName) -> None:
    async def take_all() -> list[int]:
        return await asyncio.gather(*(LeaseLock(lease).take(0, f"taker-{n}") for n in range(5)))

    taken = asyncio.run(take_all())
    assert sorted(taken) == list(range(1, 6))
    assert asyncio.run(LeaseLock(lease).take(1000, "late")) == 1001
    found = api.get("Lease", lease.namespace, LEASE)
    assert (found["metadata"]["annotations"][COUNTER], found["spec"]["holderIdentity"]) == ("1001", "late")


def test_what_others_wrote_into_the_lease_stays(api: Api, lease: LeaseName) -> None:
    labels = {"keystead.io/cluster": "orders"}
    api.apply(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": lease.namespace, "labels": labels, "annotations": {"a": "b"}},
        }
    )
    assert asyncio.run(LeaseLock(lease).take(4, "n")) == 5
    metadata = api.get("Lease", lease.namespace, LEASE)["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == (labels, {"a": "b", COUNTER: "5"})


def test_a_lease_that_was_deleted_goes_on_above_what_the_taker_has_seen(api: Api, lease: LeaseName) -> None:
    assert asyncio.run(LeaseLock(lease).take(7, "n")) == 8
    api.delete("Lease", lease.namespace, LEASE)
    assert asyncio.run(LeaseLock(lease).take(8, "n")) == 9


def test_a_lock_that_may_not_be_taken_says_why(api: Api, lease: LeaseName, control_plane: ControlPlane) -> None:
    with pytest.raises(LockUnavailable, match=r"answered 403: .*orders-node.* cannot get resource"):
        asyncio.run(LeaseLock(LeaseName(lease.namespace, "another", *_way(lease))).take(0, "n"))
    Path(lease.token_file).write_text("x.y.z")
    with pytest.raises(LockUnavailable, match="answered 401"):
        asyncio.run(LeaseLock(lease).take(0, "n"))
    Path(lease.token_file).unlink()
    with pytest.raises(LockUnavailable, match="No such file"):
        asyncio.run(LeaseLock(lease).take(0, "n"))


def test_a_candidate_for_the_catalog_takes_the_lease(api: Api, lease: LeaseName, tmp_path: Path) -> None:
    with pods_with(lease, tmp_path, "required") as cluster:
        master, before = catalog_master(cluster), counter(api, lease)
        assert api.get("Lease", lease.namespace, LEASE)["spec"]["holderIdentity"] == node_id(cluster, master)
        cluster.pods[master].kill()
        cluster.wait("another leads the catalog", lambda: catalog_master(cluster) not in ("", master))
        assert counter(api, lease) > before
        assert api.get("Lease", lease.namespace, LEASE)["spec"]["holderIdentity"] != node_id_of_lost(cluster, master)


def test_without_the_api_server_requests_and_failover_go_on(
    control_plane: ControlPlane, lease: LeaseName, tmp_path: Path
) -> None:
    with pods_with(lease, tmp_path, "preferred") as cluster:
        cluster.create_table(cluster.client("node-0"))
        with api_server_away(control_plane):
            for place in cluster.pods:
                cluster.client(place).put_item(TableName="items", Item={"pk": {"S": place}})
            master = catalog_master(cluster)
            cluster.pods[master].kill()
            other = next(place for place in cluster.pods if place != master)
            cluster.wait("another leads the catalog", lambda: catalog_master(cluster) not in ("", master))
            cluster.wait("the table is served", lambda: reads(cluster.client(other), master))
            cluster.create_table(cluster.client(other), "made-without")


def test_where_the_lock_is_required_the_catalog_waits_for_the_api_server_and_says_so(
    control_plane: ControlPlane, lease: LeaseName, tmp_path: Path
) -> None:
    with pods_with(lease, tmp_path, "required") as cluster:
        with api_server_away(control_plane):
            master = catalog_master(cluster)
            cluster.pods[master].kill()
            others = [pod for place, pod in cluster.pods.items() if place != master]
            cluster.wait("it is said", lambda: any("the catalog's lock is not taken" in pod.said() for pod in others))
            assert catalog_master(cluster) == ""
        cluster.wait("another leads the catalog", lambda: catalog_master(cluster) != "")


def catalog_master(cluster: Pods) -> str:
    """The place that serves the catalog; "" if none of those that answer does."""
    return next((place for place in cluster.pods if _leads(cluster.pods[place].status())), "")


def _leads(status: dict[str, Any]) -> bool:
    replicas = status.get("replicas", [])
    return any(r["partition"] == 1 and r["role"] == "master" and (r["lease_ms"] or 0) > 0 for r in replicas)


def node_id(cluster: Pods, place: str) -> str:
    return str(cluster.pods[place].status()["node"]["id"])


def node_id_of_lost(cluster: Pods, place: str) -> str:
    return next(str(node["id"]) for node in cluster.map()["nodes"].values() if node["name"] == place)


def _way(lease: LeaseName) -> tuple[str, str, str]:
    return lease.server, lease.token_file, lease.ca_file
