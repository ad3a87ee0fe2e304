"""Two of three volumes lost: nothing is made up, and nothing pretends to be healthy."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_a_lost_majority_is_told_and_no_new_catalog_is_formed(
    own_store: Callable[..., Store], clients: ClientPod, figure: Callable[[str], None]
) -> None:
    store = own_store()
    store.create()
    clients.call(store, "PutItem", {"TableName": store.table, "Item": {"pk": {"S": "kept"}}})
    cluster_id = store.status()["clusterId"]
    victims = [pod["metadata"]["name"] for pod in store.pods()][:2]
    for name in victims:
        store.kube.delete("PersistentVolumeClaim", store.namespace, store.claim_of(name))
    for name in victims:
        store.kube.delete("Pod", store.namespace, name, grace_seconds=0)
    start = time.monotonic()
    lost = store.wait_condition("VolumeLost", "True", 180)
    figure(f"VolumeLost {time.monotonic() - start:.0f} s after: {lost['message']}")
    available = store.wait_condition("Available", "False", 60)
    figure(f"Available: {available['reason']}")
    # It stays so: no empty catalog serves under the old name.
    time.sleep(20)
    assert store.condition("Available")["status"] != "True"
    assert store.status()["clusterId"] == cluster_id
    with pytest.raises(AssertionError):
        clients.call(store, "GetItem", {"TableName": store.table, "Key": {"pk": {"S": "kept"}}, "ConsistentRead": True})
    left = [pod["metadata"]["name"] for pod in store.pods()]
    survivor = next(name for name in left if name not in victims)
    assert store.kube.get("PersistentVolumeClaim", store.namespace, store.claim_of(survivor)) is not None
