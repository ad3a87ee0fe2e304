"""A wrong manifest is refused with the field and the reason, and is applied once it is right."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e.harness.commands import CommandFailed
from e2e.harness.kube import condition
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({"replication": {"replicas": 5}}, "spec", "replication.replicas must not be above nodes"),
        ({"replication": {"replicas": 3, "writeQuorum": 1}}, "spec.replication", "writeQuorum must be a majority"),
        ({"nodes": 0}, "spec.nodes", "should be greater than or equal to 1"),
        ({"failover": {"lock": "sometimes"}}, "spec.failover.lock", "Unsupported value"),
        ({"storage": {"size": "ten"}}, "spec.storage.size", "should match"),
    ],
    ids=["replicas", "quorum", "nodes", "lock", "size"],
)
def test_a_wrong_cluster_is_refused_by_its_field(
    own_store: Callable[..., Store], spec: dict[str, Any], field: str, reason: str
) -> None:
    store = own_store()
    with pytest.raises(CommandFailed) as refused:
        store.apply(store.manifest(**spec))
    assert field in str(refused.value) and reason in str(refused.value)


def test_a_wrong_table_is_refused_and_serves_once_it_is_right(store: Store) -> None:
    wrong = store.table_manifest("fixed-later", keySchema={"hashKey": "other"})
    with pytest.raises(CommandFailed, match=r"keySchema.hashKey must be one of the attributes"):
        store.apply(wrong)
    store.apply(store.table_manifest("fixed-later"))
    store.wait_available(60)
    with pytest.raises(CommandFailed, match=r"the key schema is immutable"):
        store.apply(
            store.table_manifest("fixed-later", keySchema={"hashKey": "pk2"}, attributes=[{"name": "pk2", "type": "S"}])
        )
    with pytest.raises(CommandFailed, match=r"a volume cannot shrink"):
        store.apply(store.manifest(storage={"size": "512Mi"}))
    store.kube.delete("Table", store.namespace, "fixed-later")


def test_a_table_of_no_cluster_says_what_it_waits_for(own_store: Callable[..., Store]) -> None:
    store = own_store()
    store.apply(store.table_manifest("orphan"))

    def probe() -> bool:
        found = condition(store.kube.get("Table", store.namespace, "orphan"), "Available")
        if found["status"] != "False" or store.name not in found["message"]:
            raise NotYet(str(found))
        return True

    wait_for("the table says that its cluster is missing", probe, 30)
