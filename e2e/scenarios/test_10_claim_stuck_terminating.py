"""A deleted PVC that does not go, as with a finalizer of a broken driver: a claim of another name takes its place."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_a_claim_that_is_stuck_is_not_waited_for(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    victim = store.main_master()
    uid, claim = store.identities()[victim][0], store.claim_of(victim)
    store.kube.patch(
        "PersistentVolumeClaim", store.namespace, claim, {"metadata": {"finalizers": ["keystead.io/e2e-stuck"]}}
    )
    try:
        with traffic(clients, store, f"stuck-{int(time.time())}") as run:
            start = time.monotonic()
            store.kube.delete("PersistentVolumeClaim", store.namespace, claim)
            store.kube.delete("Pod", store.namespace, victim, grace_seconds=1)
            store.wait_pod_ready(victim, 180, not_uid=uid)
            store.wait_healthy(180)
            figure(f"whole again {time.monotonic() - start:.0f} s later, on claim {store.claim_of(victim)}")
            run.wait_for_service(20)
        assert store.claim_of(victim) != claim
        stuck = store.kube.get("PersistentVolumeClaim", store.namespace, claim)
        assert stuck is not None and stuck["metadata"]["deletionTimestamp"]
    finally:
        if store.kube.get("PersistentVolumeClaim", store.namespace, claim) is not None:
            store.kube.patch("PersistentVolumeClaim", store.namespace, claim, {"metadata": {"finalizers": None}})
