"""PVC and pod of one node deleted: a new volume is a new identity, filled from the others; the old one never votes."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = [pytest.mark.smoke, pytest.mark.timeout(420)]


def test_a_lost_volume_is_filled_again_from_the_others(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    master = store.main_master()
    uid, claim = store.identities()[master][0], store.claim_of(master)
    old_id = store.node_id(master)
    old_claim = store.kube.get("PersistentVolumeClaim", store.namespace, claim)
    assert old_claim is not None
    with traffic(clients, store, f"volume-{int(time.time())}") as run:
        time.sleep(2)
        start = time.monotonic_ns()
        store.kube.delete("PersistentVolumeClaim", store.namespace, claim)
        store.kube.delete("Pod", store.namespace, master, grace_seconds=1)
        store.wait_pod_ready(master, 180, not_uid=uid)
        seconds = store.wait_healthy(180)
        figure(f"whole again {(time.monotonic_ns() - start) / 1e9:.0f} s after the volume was deleted")
        run.wait_for_service(20)
        assert seconds < 180
    figure(f"longest time without writes {run.gap_seconds(start):.2f} s")
    new_claim = store.kube.get("PersistentVolumeClaim", store.namespace, store.claim_of(master))
    assert new_claim is not None
    assert new_claim["metadata"]["uid"] != old_claim["metadata"]["uid"], "the pod has its old volume"
    # The lost volume's identity belongs to nothing any more; the new one does.
    members = store.members()
    assert old_id not in members
    assert members[store.node_id(master)]
