"""spec.image changed: one node after the other, zone by zone, each handing over first."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for
from tests.histories.operations import Operation

pytestmark = pytest.mark.timeout(600)


def failed_in_a_row(reads: list[Operation]) -> int:
    """The most failures without a success between them that one client saw."""
    longest = 0
    streaks: Counter[str] = Counter()
    for read in sorted(reads, key=lambda one: one.invoked):
        streaks[read.client] = streaks[read.client] + 1 if read.outcome != "ok" else 0
        longest = max(longest, streaks[read.client])
    return longest


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
    reads = [one for one in run.result.history if one.kind == "read" and one.consistent]
    failed = [one for one in reads if one.outcome != "ok"]
    figure(f"{len(failed)} of {len(reads)} consistent reads failed: {dict(run.result.errors)}")
    assert failed_in_a_row(reads) <= 1, "a consistent read failed, and so did its retry"
    assert away_most == 1, f"{away_most} nodes were away at a time"
    after = store.identities()
    assert all(after[name][0] != uid for name, (uid, _) in before.items())
