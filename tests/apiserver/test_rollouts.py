"""A changed image reaches the pods one by one, zone by zone; evictions are allowed as far as the quorums are."""

import time

from tests.apiserver.conftest import StartOperator
from tests.apiserver.rest import Api, ApiError, path_of
from tests.apiserver.running import RunningCluster
from tests.apiserver.test_api_trouble import LOADED
from tests.faults.load import Load


def _images(cluster: RunningCluster) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in cluster.pods().values()}


def test_changed_image_rolls_through_the_pods_under_load(
    cluster: RunningCluster, start_operator: StartOperator
) -> None:
    """One pod at a time is away, each comes back over its volume, and the history stays linearizable."""
    start_operator()
    cluster.create(nodes=3)
    cluster.create_table(**LOADED)
    cluster.wait_available()
    cluster.wait_level()
    claims = {name: cluster.claim_of(name) for name in cluster.pods()}
    most_away = 0

    def is_rolled() -> bool:
        nonlocal most_away
        pods = cluster.pods()
        ready = [name for name, pod in pods.items() if _is_ready(pod)]
        most_away = max(most_away, 3 - len(ready))
        return _images(cluster) == {"keystead/keystead:next"} and len(ready) == 3

    with Load(cluster.endpoints(), "orders", keys=2, readers=1, writers=1) as load:
        load.wait_for_service(60)
        cluster.change(image="keystead/keystead:next")
        cluster.wait("all have the new image", is_rolled, 120)
    cluster.wait_available()
    cluster.wait_level()
    assert most_away == 1
    assert {name: cluster.claim_of(name) for name in cluster.pods()} == claims
    load.endpoints = cluster.endpoints()
    load.read_back(60)
    load.check()


def test_image_that_does_not_come_up_stops_the_rollout(cluster: RunningCluster, start_operator: StartOperator) -> None:
    """One pod is lost to it, the others keep the old image and serve; the way back is the way forward."""
    start_operator()
    cluster.create(image="keystead/keystead:good")
    cluster.create_table()
    cluster.wait_available()
    cluster.wait_level()
    cluster.change(image="unpullable/keystead:bad")
    cluster.wait("one pod has it", lambda: "unpullable/keystead:bad" in _images(cluster), 60)
    cluster.wait_condition("Degraded", "True", seconds=120)
    time.sleep(5)
    images = [pod["spec"]["containers"][0]["image"] for pod in cluster.pods().values()]
    assert images.count("unpullable/keystead:bad") == 1
    cluster.put("meanwhile")
    cluster.change(image="keystead/keystead:good")
    cluster.wait("all have the good one", lambda: _images(cluster) == {"keystead/keystead:good"}, 120)
    cluster.wait_available()
    cluster.wait_level()
    assert cluster.get("meanwhile") == "meanwhile"


def _is_ready(pod: object) -> bool:
    conditions = pod["status"].get("conditions") or []  # type: ignore[index]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _evict(api: Api, namespace: str, pod: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    api.request("POST", path_of("Pod", namespace, pod, "eviction"), body)


def test_second_eviction_is_refused_until_the_first_pod_is_level_again(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    """A drain goes through all nodes, one after the other, and no partition loses its quorum."""
    start_operator()
    cluster.create()
    cluster.create_table()
    cluster.wait_available()
    cluster.wait_level()
    before = cluster.uids()

    def is_evicted(pod: str) -> bool:
        try:
            _evict(api, namespace, pod)
        except ApiError as error:
            assert error.status == 429, error
            return False
        return True

    first, second, third = sorted(before)
    cluster.wait("the first may go", lambda: is_evicted(first), 60)
    assert not is_evicted(second)
    for pod in (second, third):
        cluster.wait(f"{pod} may go", lambda pod=pod: is_evicted(pod), 120)
    cluster.wait("all are new", lambda: not before.items() & cluster.uids().items(), 120)
    cluster.wait_available()
    cluster.wait_level()
