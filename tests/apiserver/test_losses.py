"""Pods, volumes and nodes come and go; what was acknowledged stays."""

from tests.apiserver.conftest import StartOperator
from tests.apiserver.rest import Api, Object
from tests.apiserver.running import RunningCluster

ROWS = [f"row-{number}" for number in range(20)]


def _start(cluster: RunningCluster, start_operator: StartOperator, **spec: object) -> None:
    """A cluster with a table of two partitions and rows in it."""
    start_operator()
    cluster.create(**spec)
    cluster.create_table()
    cluster.wait_table(seconds=180)
    cluster.wait_available()
    cluster.wait_level()
    for row in ROWS:
        cluster.put(row)


def _rows_are_there(cluster: RunningCluster) -> None:
    client = cluster.client()
    for row in ROWS:
        found = client.get_item(TableName="orders", Key={"id": {"S": row}}, ConsistentRead=True)
        assert found["Item"]["value"]["S"] == row


def test_deleted_pod_comes_back_over_its_volume(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    _start(cluster, start_operator)
    before, claims = cluster.uids(), set(cluster.claims())
    victim = sorted(before)[0]
    claim = cluster.claim_of(victim)
    api.delete("Pod", namespace, victim)
    cluster.wait("another pod", lambda: cluster.uids().get(victim, before[victim]) != before[victim], 120)
    cluster.wait_available()
    cluster.wait_level()
    assert cluster.claim_of(victim) == claim
    assert set(cluster.claims()) == claims
    after = cluster.uids()
    assert {name for name in after if after[name] != before[name]} == {victim}
    _rows_are_there(cluster)


def test_killed_process_is_whole_again_without_the_operator(
    cluster: RunningCluster, start_operator: StartOperator, namespace: str
) -> None:
    _start(cluster, start_operator)
    before = cluster.uids()
    cluster.faults.kill(namespace, sorted(before)[0])
    cluster.put("meanwhile")
    cluster.wait_level()
    cluster.wait_available()
    assert cluster.uids() == before
    assert cluster.get("meanwhile") == "meanwhile"
    _rows_are_there(cluster)


def test_lost_volume_is_replaced_and_its_replicas_are_copied_again(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    _start(cluster, start_operator)
    victim = sorted(cluster.pods())[0]
    claim = cluster.claim_of(victim)
    old = cluster.claims()[claim]["metadata"]["uid"]
    api.delete("PersistentVolumeClaim", namespace, claim)
    api.delete("Pod", namespace, victim)
    cluster.wait("another volume", lambda: _claim_uid(cluster, victim) not in ("", old), 180)
    cluster.wait_available()
    cluster.wait_level()
    _rows_are_there(cluster)


def _claim_uid(cluster: RunningCluster, pod: str) -> str:
    """Of the volume that a pod is bound to; nothing while there is no pod."""
    claim: Object | None = cluster.claims().get(cluster.claim_of(pod))
    return "" if claim is None else str(claim["metadata"]["uid"])


def test_volume_stuck_in_deletion_does_not_hold_up_its_node(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    _start(cluster, start_operator)
    victim = sorted(cluster.pods())[0]
    claim = cluster.claim_of(victim)
    finalizers = [*api.get("PersistentVolumeClaim", namespace, claim)["metadata"]["finalizers"], "tests/stuck"]
    api.patch("PersistentVolumeClaim", namespace, claim, {"metadata": {"finalizers": finalizers}})
    try:
        api.delete("PersistentVolumeClaim", namespace, claim)
        api.delete("Pod", namespace, victim)
        cluster.wait("the pod has another volume", lambda: cluster.claim_of(victim) not in ("", claim), 180)
        cluster.wait_available()
        cluster.wait_level()
        assert api.find("PersistentVolumeClaim", namespace, claim) is not None
        _rows_are_there(cluster)
    finally:
        api.patch("PersistentVolumeClaim", namespace, claim, {"metadata": {"finalizers": []}})


def test_emptied_disk_is_a_lost_volume(cluster: RunningCluster, start_operator: StartOperator, namespace: str) -> None:
    """The claim is the same, what was on it is gone: the node comes back as another one."""
    _start(cluster, start_operator)
    victim = sorted(cluster.pods())[0]
    cluster.faults.lose_volume(namespace, cluster.claim_of(victim))
    cluster.put("meanwhile")
    cluster.wait_available()
    cluster.wait_level()
    _rows_are_there(cluster)


def test_replicas_of_a_lost_node_are_made_anew_on_a_spare_one(
    cluster: RunningCluster, start_operator: StartOperator
) -> None:
    _start(cluster, start_operator, nodes=4, nodeLossGrace="5s")
    victim = _busiest(cluster)
    home = cluster.home_of(victim)
    cluster.faults.lose_node(home)
    try:
        cluster.wait_condition("Degraded", "True", "NodesAway", seconds=120)
        cluster.put("meanwhile")
        cluster.wait_level()
        _rows_are_there(cluster)
    finally:
        cluster.faults.bring_back(home)
    cluster.wait_available()
    cluster.wait_level()
    assert cluster.get("meanwhile") == "meanwhile"
    _rows_are_there(cluster)


def _busiest(cluster: RunningCluster) -> str:
    """A pod that has replicas of the table: with a node more than replicas there may be one without."""
    directory = {
        pod: cluster.faults.claim_directory(cluster.namespace, cluster.claim_of(pod)) for pod in cluster.pods()
    }
    return max(directory, key=lambda pod: sum(1 for _ in directory[pod].rglob("*")))


def test_node_gone_for_good_is_replaced_elsewhere(cluster: RunningCluster, start_operator: StartOperator) -> None:
    """Two of six nodes are in each zone: the place moves to the other one, with a new volume."""
    _start(cluster, start_operator, nodeLossGrace="5s")
    victim = sorted(cluster.pods())[0]
    home = cluster.home_of(victim)
    cluster.faults.lose_node(home)
    try:
        cluster.put("meanwhile")

        def homes() -> set[str]:
            return {cluster.home_of(name) for name, pod in cluster.pods().items() if _is_ready(pod)}

        cluster.wait("three nodes are ready elsewhere", lambda: len(homes() - {home}) == 3, 120)
        cluster.wait_level()
        _rows_are_there(cluster)
    finally:
        cluster.faults.bring_back(home)
    cluster.wait_level()
    assert cluster.get("meanwhile") == "meanwhile"


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])


def test_paused_node_is_taken_back_as_it_was(
    cluster: RunningCluster, start_operator: StartOperator, namespace: str
) -> None:
    _start(cluster, start_operator, nodeLossGrace="10m")
    before = cluster.uids()
    victim = sorted(before)[0]
    home = cluster.home_of(victim)
    cluster.faults.pause_node(home)
    try:
        cluster.put("meanwhile")
        cluster.wait_condition("Degraded", "True", "NodesAway", seconds=120)
    finally:
        cluster.faults.bring_back(home)
    cluster.wait_available()
    cluster.wait_level()
    assert cluster.uids() == before
    assert cluster.get("meanwhile") == "meanwhile"
    _rows_are_there(cluster)


def test_lost_majority_is_told_and_nothing_pretends_to_be_healthy(
    cluster: RunningCluster, start_operator: StartOperator, api: Api, namespace: str
) -> None:
    _start(cluster, start_operator)
    victims = sorted(cluster.pods())[:2]
    for victim in victims:
        api.delete("PersistentVolumeClaim", namespace, cluster.claim_of(victim))
        api.delete("Pod", namespace, victim, grace_seconds=0)

    def is_told() -> bool:
        available = cluster.condition("StorageCluster", "keystead", "Available")[0]
        lost = cluster.condition("StorageCluster", "keystead", "VolumeLost")[0]
        return available in ("False", "Unknown") and lost == "True"

    cluster.wait("the loss is told", is_told, 180)
    assert cluster.condition("Table", "orders", "Available")[0] != "True"
    told = cluster.condition("StorageCluster", "keystead", "VolumeLost")[2]
    assert "with the old volume of any one of" in told and "they come back by themselves" in told
    assert all(f"{victim} (node id " in told for victim in victims), told
