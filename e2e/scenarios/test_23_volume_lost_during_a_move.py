"""A volume is lost while replicas move to a new node, and one that its partitions cannot do without is given up."""

import base64
import json
import random
import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.commands import CommandFailed, kubectl
from e2e.harness.store import Store
from e2e.harness.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

ITEM_BYTES = 100_000
BATCH = 25
BATCHES = 120
"""300 MB, which do not compress, in three partitions: more than their logs keep, so that a new replica needs a copy."""
COPIES = {"megabytesPerSecond": 4}
"""One takes half a minute."""


def fill(clients: ClientPod, store: Store) -> None:
    for batch in range(BATCHES):
        noise = random.Random(batch)
        items = [
            {"pk": {"S": f"ballast-{batch}-{n}"}, "v": {"B": base64.b64encode(noise.randbytes(ITEM_BYTES)).decode()}}
            for n in range(BATCH)
        ]
        wanted = {store.table: [{"PutRequest": {"Item": item}} for item in items]}
        while wanted:
            wanted = clients.call(store, "BatchWriteItem", {"RequestItems": wanted}).get("UnprocessedItems") or {}


def moving(store: Store, to: str) -> list[str]:
    """Partitions that are to have a replica on that node, and have none yet that counts."""
    cluster_map = store.map()
    entries = cluster_map["partitions"].items()
    nodes = {node["id"]: node["name"] for node in cluster_map["nodes"].values() if node["state"] != "left"}
    found = []
    for number, entry in entries:
        target = [place for place in entry["target"] if nodes.get(place["node"]) == to]
        voters = {place["replica"] for place in entry["members"] if place["role"] != "learner"}
        if target and target[0]["replica"] not in voters:
            found.append(number)
    return found


def lose_volume(store: Store, pod: str) -> None:
    uid = store.identities()[pod][0]
    store.kube.delete("PersistentVolumeClaim", store.namespace, store.claim_of(pod))
    store.kube.delete("Pod", store.namespace, pod, grace_seconds=1)
    store.wait_pod_ready(pod, 180, not_uid=uid)


def test_a_volume_is_lost_while_replicas_move(
    own_store: Callable[..., Store], clients: ClientPod, figure: Callable[[str], None]
) -> None:
    store = own_store()
    store.create(copies=COPIES)
    fill(clients, store)
    before = set(store.identities())
    with traffic(clients, store, f"moved-{int(time.time())}") as run:
        time.sleep(2)
        start = time.monotonic_ns()
        store.apply(store.manifest(nodes=4, copies=COPIES))

        def new_pod() -> str:
            return min({pod["metadata"]["name"] for pod in store.pods()} - before, default="")

        victim = store.main_master()
        wait_for("replicas move to the new node", lambda: moving(store, new_pod()), 120, 0.1)
        new = new_pod()
        machines.send_signal(store.kube, store.namespace, victim, "KILL")
        under_way = moving(store, new)
        assert under_way, "all had moved before the volume was lost"
        lose_volume(store, victim)
        store.wait_healthy(300)
        seconds = (time.monotonic_ns() - start) / 1e9
        run.wait_for_service(20)
    figure(f"{len(under_way)} replicas were on the move; whole again on four nodes after {seconds:.0f} s")
    figure(f"longest time without writes {run.gap_seconds(start):.2f} s")
    members = store.members()
    assert all(members[store.node_id(pod)] for pod in store.identities()), members
    answer = clients.call(store, "Scan", {"TableName": store.table, "Select": "COUNT", "ConsistentRead": True})
    assert answer["Count"] > 0


def test_a_partition_that_lost_what_it_cannot_do_without_goes_on_by_a_persons_word(
    own_store: Callable[..., Store], clients: ClientPod, figure: Callable[[str], None]
) -> None:
    """Of two replicas, both of which every write has to reach, one is lost: the catalog, with three, goes on."""
    store = own_store("-given-up")
    store.create()
    pair = "pair"
    store.apply(store.table_manifest(pair, partitions=1, replicas=2, writeQuorum=2))
    store.wait_available(180)
    clients.call(store, "PutItem", {"TableName": pair, "Item": {"pk": {"S": "kept"}}})
    cluster_map = store.map()
    [number] = [number for number, entry in cluster_map["partitions"].items() if entry["table"] == pair]
    names = {node["id"]: node["name"] for node in cluster_map["nodes"].values()}
    places = [names[place["node"]] for place in cluster_map["partitions"][number]["members"]]
    lost = places[0]
    old = store.node_id(lost)
    lose_volume(store, lost)
    store.wait_condition("VolumeLost", "True", 60)

    def recover(*arguments: str) -> str:
        return kubectl("keystead", "recover", f"{pair}/{number}", *arguments, "--namespace", store.namespace)

    with pytest.raises(CommandFailed, match="say --accept-data-loss"):
        recover()
    start = time.monotonic()
    assert old in recover("--accept-data-loss")
    figure(f"{pair}/{number} was given up and served again after {time.monotonic() - start:.1f} s")
    found = clients.call(store, "GetItem", {"TableName": pair, "Key": {"pk": {"S": "kept"}}, "ConsistentRead": True})
    assert found.get("Item") == {"pk": {"S": "kept"}}, json.dumps(found)
    store.wait_healthy(240)
    store.wait_condition("VolumeLost", "False", 60)
    clients.call(store, "PutItem", {"TableName": pair, "Item": {"pk": {"S": "after"}}})
