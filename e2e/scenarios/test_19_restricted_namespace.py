"""A namespace under the `restricted` standard and a quota takes all that the operator makes."""

from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod
from e2e.harness.commands import kubectl
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_pods_run_where_only_restricted_ones_may(own_store: Callable[..., Store], clients: ClientPod) -> None:
    store = own_store()
    store.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "small", "namespace": store.namespace},
            "spec": {"hard": {"requests.cpu": "1", "requests.memory": "1Gi", "limits.memory": "2Gi", "pods": "4"}},
        }
    )
    store.create()
    clients.call(store, "PutItem", {"TableName": store.table, "Item": {"pk": {"S": "a"}}})
    events = kubectl("--namespace", store.namespace, "get", "events", "--output", "jsonpath={.items[*].message}")
    assert "violates PodSecurity" not in events
    for pod in store.pods():
        shell = "touch /made 2>/dev/null && echo root is writable; id -u"
        said = kubectl("--namespace", store.namespace, "exec", pod["metadata"]["name"], "--", "sh", "-c", shell)
        assert said.split() == ["65532"]
