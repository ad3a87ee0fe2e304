"""What a user does with kubectl and boto3, from the first manifest to the last deletion."""

import botocore.exceptions
import pytest

from tests.apiserver.conftest import StartOperator
from tests.apiserver.manifests import cluster as cluster_manifest
from tests.apiserver.manifests import table as table_manifest
from tests.apiserver.operators import grant
from tests.apiserver.rest import Api
from tests.apiserver.running import RunningCluster


def test_cluster_and_table_come_up_are_used_and_go(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create()
    cluster.create_table()
    cluster.wait_available()
    cluster.wait_table()
    cluster.put("a")
    assert cluster.get("a") == "a"
    assert cluster.client().describe_table(TableName="orders")["Table"]["TableStatus"] == "ACTIVE"
    with pytest.raises(botocore.exceptions.ClientError, match="Table/orders"):
        cluster.client().delete_table(TableName="orders")
    api.delete("Table", namespace, "orders")
    cluster.wait("the object is gone", lambda: api.find("Table", namespace, "orders") is None, 120)
    assert cluster.client().list_tables()["TableNames"] == []


def test_encrypted_cluster_with_credentials_serves_those_who_have_them(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    """Certificates of its own authority, on the API as on the ports between nodes; keys from a Secret."""
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"ada": "s3cret"}}
    api.create(keys, namespace)
    start_operator()
    cluster.create(tls={"enabled": True}, credentials={"secretRef": {"name": "keys"}})
    cluster.create_table()
    cluster.wait_available()
    cluster.wait_table()
    assert cluster.endpoint().startswith("https://")
    client = cluster.client("ada", "s3cret")
    client.put_item(TableName="orders", Item={"id": {"S": "a"}})
    assert "Item" in client.get_item(TableName="orders", Key={"id": {"S": "a"}}, ConsistentRead=True)
    for key, secret in (("ada", "wrong"), ("eve", "s3cret")):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            cluster.client(key, secret, retries={"max_attempts": 1}).list_tables()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_table_that_waits_for_its_cluster_says_so_and_comes_up_with_it(
    cluster: RunningCluster, start_operator: StartOperator
) -> None:
    start_operator()
    cluster.create_table()
    message = cluster.wait_condition("Available", "False", "ClusterMissing", kind="Table", name="orders", seconds=120)
    assert "keystead" in message
    cluster.create()
    cluster.wait_table(seconds=180)


def test_protected_table_outlives_the_wish_to_delete_it(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create()
    cluster.create_table(deletionProtection=True)
    cluster.wait_table(seconds=180)
    cluster.put("a")
    api.delete("Table", namespace, "orders")
    cluster.wait(
        "it is told",
        lambda: api.get("Table", namespace, "orders").get("status", {}).get("pendingChanges"),
        30,
    )
    assert cluster.get("a") == "a"
    api.patch("Table", namespace, "orders", {"spec": {"deletionProtection": False}})
    cluster.wait("the object is gone", lambda: api.find("Table", namespace, "orders") is None, 120)
    assert cluster.client().list_tables()["TableNames"] == []


def test_suspended_cluster_serves_and_is_left_alone(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create()
    cluster.create_table()
    cluster.wait_table(seconds=180)
    cluster.change(suspend=True, nodes=4)
    cluster.create_table("later")
    cluster.wait_condition("Progressing", "True", seconds=120)
    cluster.put("a")
    assert len(cluster.pods()) == 3
    assert cluster.client().list_tables()["TableNames"] == ["orders"]
    cluster.change(suspend=False)
    cluster.wait_table("later")
    cluster.wait_available()
    assert len(cluster.pods()) == 4


def test_cluster_made_again_over_kept_volumes_has_its_data(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create()
    cluster.create_table(deletionPolicy="Retain")
    cluster.wait_table(seconds=180)
    cluster.put("a")
    identity = api.get("StorageCluster", namespace, "keystead")["status"]["clusterId"]
    claims = {name: claim["metadata"]["uid"] for name, claim in cluster.claims().items()}
    api.delete("StorageCluster", namespace, "keystead")
    cluster.wait("pods are gone", lambda: not cluster.pods(), 180)
    assert {name: claim["metadata"]["uid"] for name, claim in cluster.claims().items()} == claims
    cluster.create()
    cluster.wait_available()
    cluster.wait_table()
    assert cluster.get("a") == "a"
    assert api.get("StorageCluster", namespace, "keystead")["status"]["clusterId"] == identity
    assert {name: claim["metadata"]["uid"] for name, claim in cluster.claims().items()} == claims


def test_volumes_go_with_a_cluster_that_does_not_retain_them(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create(volumeRetention="Delete")
    cluster.wait_available()
    api.delete("StorageCluster", namespace, "keystead")
    cluster.wait("pods and volumes are gone", lambda: not cluster.pods() and not cluster.claims(), 180)


def test_deleted_namespace_leaves_nothing_hanging(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    """Also the Table with its finalizer, which the operator, who lives elsewhere, takes off."""
    home = f"{namespace}-operator"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})
    grant(api, namespace, home=home)
    start_operator(home=home)
    cluster.create()
    cluster.create_table()
    cluster.wait_table(seconds=180)
    api.delete("Namespace", "", namespace)
    cluster.wait("the namespace is gone", lambda: api.find("Namespace", "", namespace) is None, 90)


def test_two_clusters_in_a_namespace_do_not_mix(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    for name in ("one", "two"):
        api.create(
            cluster_manifest(
                name, nodes=1, replication={"replicas": 1}, tls={"enabled": False}, storage={"size": "1Gi"}
            ),
            namespace,
        )
        api.create(table_manifest("orders-" + name, clusterRef={"name": name}, tableName="orders"), namespace)
    found = [RunningCluster(api, cluster.faults, namespace, cluster.directory, name) for name in ("one", "two")]
    for one in found:
        one.wait_table("orders-" + one.name, seconds=180)
        one.put("who", one.name)
    assert [one.get("who") for one in found] == ["one", "two"]
    ids = {api.get("StorageCluster", namespace, name)["status"]["clusterId"] for name in ("one", "two")}
    assert len(ids) == 2


def test_cluster_grows_to_more_nodes_by_scale(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create()
    cluster.wait_available()
    before = cluster.uids()
    api.patch("StorageCluster", namespace, "keystead", {"spec": {"replicas": 4}}, "scale")
    cluster.wait_available()
    after = cluster.uids()
    assert len(after) == 4
    assert before.items() <= after.items()


def test_volumes_grow_in_place(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    start_operator()
    cluster.create()
    cluster.wait_available()
    before = cluster.uids()
    cluster.change(storage={"size": "2Gi"})

    def have_grown() -> bool:
        return all(claim["status"]["capacity"]["storage"] == "2Gi" for claim in cluster.claims().values())

    cluster.wait("volumes have grown", have_grown, 30)
    assert cluster.uids() == before
