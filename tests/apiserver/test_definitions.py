"""The CustomResourceDefinitions do what they say, on a real API server."""

import pytest

from tests.apiserver.manifests import cluster, table
from tests.apiserver.rest import Api, ApiError, Object

NOW = "2026-01-01T00:00:00Z"


def _available(status: str, reason: str) -> Object:
    return {
        "type": "Available",
        "status": status,
        "reason": reason,
        "message": "A sentence.",
        "observedGeneration": 1,
        "lastTransitionTime": NOW,
    }


def test_definitions_are_accepted_without_a_complaint(api: Api) -> None:
    found = {crd["metadata"]["name"]: crd["status"]["conditions"] for crd in api.objects("CustomResourceDefinition")}
    assert set(found) >= {"storageclusters.keystead.io", "tables.keystead.io"}
    for name, conditions in found.items():
        by_type = {condition["type"]: condition["status"] for condition in conditions}
        assert by_type.get("Established") == "True", name
        assert by_type.get("NonStructuralSchema", "False") == "False", f"{name}: {conditions}"


def test_columns_of_a_cluster_show_what_a_person_wants(api: Api, namespace: str) -> None:
    api.create(cluster(nodes=5), namespace)
    status = {
        "conditions": [_available("True", "Serving")],
        "clusterId": "c1",
        "readyNodes": 4,
        "zones": 3,
        "tables": 7,
        "partitions": 21,
    }
    api.patch("StorageCluster", namespace, "keystead", {"status": status}, "status")
    (row,) = api.table("StorageCluster", namespace)
    assert row.pop("Age").endswith("s")
    assert row == {
        "Name": "keystead",
        "Ready": "True",
        "Nodes": 4,
        "Desired": 5,
        "Zones": 3,
        "Tables": 7,
        "Partitions": 21,
        "Reason": "Serving",
    }
    assert api.table("StorageCluster", namespace, wide=True)[0]["Cluster-Id"] == "c1"


def test_columns_of_a_table_show_what_a_person_wants(api: Api, namespace: str) -> None:
    api.create(table(tableName="Orders.v2"), namespace)
    status = {
        "conditions": [_available("False", "NoQuorum")],
        "partitions": 4,
        "replicas": "11/12",
        "capacity": "on demand",
        "mastersBalanced": "2-1",
    }
    api.patch("Table", namespace, "orders", {"status": status}, "status")
    (row,) = api.table("Table", namespace, wide=True)
    row.pop("Age")
    assert row == {
        "Name": "orders",
        "Ready": "False",
        "Partitions": 4,
        "Replicas": "11/12",
        "Capacity": "on demand",
        "Masters": "2-1",
        "Reason": "NoQuorum",
        "Table": "Orders.v2",
        "Cluster": "keystead",
    }


def test_scale_turns_the_number_of_nodes_and_tells_how_many_there_are(api: Api, namespace: str) -> None:
    api.create(cluster(), namespace)
    status = {"nodes": 3, "selector": "keystead.io/cluster=keystead"}
    api.patch("StorageCluster", namespace, "keystead", {"status": status}, "status")
    scale = api.patch("StorageCluster", namespace, "keystead", {"spec": {"replicas": 5}}, "scale")
    assert scale["spec"]["replicas"] == 5
    assert scale["status"] == {"replicas": 3, "selector": "keystead.io/cluster=keystead"}
    assert api.get("StorageCluster", namespace, "keystead")["spec"]["nodes"] == 5


def test_scale_below_the_replicas_is_refused(api: Api, namespace: str) -> None:
    api.create(cluster(), namespace)
    with pytest.raises(ApiError, match="replicas must not be above nodes"):
        api.patch("StorageCluster", namespace, "keystead", {"spec": {"replicas": 2}}, "scale")


def test_status_is_written_by_its_own_subresource_only(api: Api, namespace: str) -> None:
    made = api.create({**cluster(), "status": {"clusterId": "forged"}}, namespace)
    assert "status" not in made
    api.patch("StorageCluster", namespace, "keystead", {"status": {"clusterId": "c1"}}, "status")
    stored = api.patch("StorageCluster", namespace, "keystead", {"status": {"clusterId": "forged"}})
    assert stored["status"] == {"clusterId": "c1"}
    assert stored["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    "condition",
    [_available("Yes", "Serving"), _available("True", ""), {"type": "Available", "status": "True"}],
)
def test_condition_that_is_none_is_refused(api: Api, namespace: str, condition: Object) -> None:
    api.create(table(), namespace)
    with pytest.raises(ApiError) as refused:
        api.patch("Table", namespace, "orders", {"status": {"conditions": [condition]}}, "status")
    assert refused.value.status == 422


def test_two_writers_of_conditions_do_not_overwrite_each_other(api: Api, namespace: str) -> None:
    """Conditions are a list-map by type: each field manager owns its own."""
    api.create(table(), namespace)
    head = {key: part for key, part in table().items() if key != "spec"}
    for manager, name in (("first", "Available"), ("second", "DataMoving")):
        condition = {**_available("True", "Told"), "type": name}
        api.apply({**head, "status": {"conditions": [condition]}}, namespace, manager=manager, part="status")
    stored = api.get("Table", namespace, "orders")["status"]["conditions"]
    assert [condition["type"] for condition in stored] == ["Available", "DataMoving"]


def test_short_names_and_categories_are_served(api: Api) -> None:
    resources = {one["name"]: one for one in api.request("GET", "/apis/keystead.io/v1alpha1")["resources"]}
    assert resources["tables"]["shortNames"] == ["kst"]
    assert resources["storageclusters"]["shortNames"] == ["ksc"]
    assert resources["tables"]["categories"] == resources["storageclusters"]["categories"] == ["keystead"]
    assert "storageclusters/scale" in resources
