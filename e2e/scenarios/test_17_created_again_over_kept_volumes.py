"""StorageCluster deleted with volumeRetention Retain, and made again: the same identity, the same rows."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(420)


def test_rows_are_there_again_after_the_cluster_was_deleted_and_created(
    own_store: Callable[..., Store], clients: ClientPod, figure: Callable[[str], None]
) -> None:
    store = own_store()
    store.create(volumeRetention="Retain")
    with traffic(clients, store, f"kept-{int(time.time())}"):
        time.sleep(3)
    for number in range(20):
        clients.call(store, "PutItem", {"TableName": store.table, "Item": {"pk": {"S": f"row{number}"}}})
    cluster_id, claims = store.status()["clusterId"], {claim["metadata"]["uid"] for claim in store.claims()}
    store.kube.delete("StorageCluster", store.namespace, store.name)

    def gone() -> bool:
        left = [pod["metadata"]["name"] for pod in store.pods()]
        if left or store.kube.get("StorageCluster", store.namespace, store.name) is not None:
            raise NotYet(f"pods {left}")
        return True

    figure(f"deleted in {wait_for('the cluster is gone', gone, 120):.0f} s")
    assert {claim["metadata"]["uid"] for claim in store.claims()} == claims, "volumes went with the cluster"
    start = time.monotonic()
    store.create(volumeRetention="Retain")
    figure(f"Available {time.monotonic() - start:.0f} s after it was created again")
    assert store.status()["clusterId"] == cluster_id
    assert {claim["metadata"]["uid"] for claim in store.claims()} == claims
    for number in range(20):
        key = {"TableName": store.table, "Key": {"pk": {"S": f"row{number}"}}, "ConsistentRead": True}
        assert clients.call(store, "GetItem", key).get("Item") == {"pk": {"S": f"row{number}"}}
