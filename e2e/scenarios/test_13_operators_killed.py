"""Operators die at random while pods and volumes do, and for a while two of them believe that they lead."""

import random
import threading
import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.release import NAMESPACE, Release
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(600)


@pytest.mark.smoke
def test_an_operator_that_is_killed_is_followed_by_the_other(
    store: Store, release: Release, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    leader = release.wait_leader(60)
    before = store.identities()
    with traffic(clients, store, f"operator-{int(time.time())}") as run:
        release.kill(leader)
        start = time.monotonic()
        store.apply(store.table_manifest("after-the-kill", partitions=1))
        release.wait_leader(60, other_than=leader)
        store.wait_available(90)
        figure(f"a table applied at the kill is Available {time.monotonic() - start:.1f} s later")
        run.wait_for_service(10)
    store.kube.delete("Table", store.namespace, "after-the-kill")
    assert store.identities() == before, "a data pod was restarted"
    figure(f"longest time without writes {run.gap_seconds():.2f} s")


def test_operators_killed_at_random_meanwhile_lose_nothing(
    store: Store, release: Release, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    chance = random.Random(5)
    stop = threading.Event()
    killed: list[str] = []

    def kill_at_random() -> None:
        while not stop.wait(chance.uniform(2, 9)):
            for pod in release.pods():
                if chance.random() < 0.6:
                    release.kill(pod["metadata"]["name"])
                    killed.append(pod["metadata"]["name"])

    killer = threading.Thread(target=kill_at_random, daemon=True)
    victim = store.main_master()
    uid = store.identities()[victim][0]
    with traffic(clients, store, f"random-{int(time.time())}") as run:
        killer.start()
        try:
            store.kube.delete("PersistentVolumeClaim", store.namespace, store.claim_of(victim))
            store.kube.delete("Pod", store.namespace, victim, grace_seconds=1)
            time.sleep(25)
            other = store.main_master()
            store.kube.delete("Pod", store.namespace, other)
            time.sleep(15)
        finally:
            stop.set()
            killer.join(30)
        release.wait_ready(120)
        store.wait_pod_ready(victim, 180, not_uid=uid)
        store.wait_healthy(180)
        run.wait_for_service(20)
    assert killed
    figure(f"{len(killed)} operators killed; longest time without writes {run.gap_seconds():.2f} s")


def test_a_leader_that_wakes_up_late_does_no_harm(
    store: Store, release: Release, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    old = release.wait_leader(60)
    with traffic(clients, store, f"two-{int(time.time())}") as run:
        with machines.frozen(store.kube, NAMESPACE, old):
            start = time.monotonic()
            new = release.wait_leader(90, other_than=old)
            figure(f"the other operator leads {time.monotonic() - start:.0f} s after the leader froze")
            store.apply(store.table_manifest("under-the-second", partitions=1))
            store.wait_available(90)
        # Two are alive now, and the old one was in the midst of whatever it did.
        time.sleep(5)
        victim = store.main_master()
        uid = store.identities()[victim][0]
        store.kube.delete("Pod", store.namespace, victim)
        store.wait_pod_ready(victim, 120, not_uid=uid)
        store.wait_healthy(120)
        run.wait_for_service(20)
    assert release.leader() == new
    store.kube.delete("Table", store.namespace, "under-the-second")
