"""spec.image changed: one node after the other, zone by zone, each handing over first."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(600)


def test_a_new_image_rolls_node_by_node_while_clients_read_and_write(
    store: Store, clients: ClientPod, image: str, figure: Callable[[str], None]
) -> None:
    second = f"{image}-second"
    for machine in machines.names():
        inside = ("ctr", "--namespace", "k8s.io", "images", "tag", "--force")
        machines.inside(machine, *inside, f"docker.io/{image}", f"docker.io/{second}")
    before = store.identities()
    away_most = 0

    def rolled() -> bool:
        nonlocal away_most
        pods = store.pods()
        ready = [
            pod
            for pod in pods
            if all(one["ready"] for one in pod["status"].get("containerStatuses", [{"ready": False}]))
        ]
        away_most = max(away_most, len(before) - len(ready))
        images = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in pods}
        if set(images.values()) != {second} or len(ready) < len(before):
            raise NotYet(str(images))
        return True

    with traffic(clients, store, f"image-{int(time.time())}", pause_ms=20.0) as run:
        start = time.monotonic()
        store.kube.patch("StorageCluster", store.namespace, store.name, {"spec": {"image": second}})
        wait_for("all pods have the new image", rolled, 300)
        store.wait_healthy(120)
        seconds = time.monotonic() - start
        run.wait_for_service(20)
    figure(f"rolled in {seconds:.0f} s; longest time without writes {run.gap_seconds():.2f} s")
    failed = [one for one in run.result.history if one.kind == "read" and one.consistent and one.outcome != "ok"]
    figure(f"{len(failed)} consistent reads failed once: {dict(run.result.errors)}")
    assert away_most == 1, f"{away_most} nodes were away at a time"
    after = store.identities()
    assert all(after[name][0] != uid for name, (uid, _) in before.items())
