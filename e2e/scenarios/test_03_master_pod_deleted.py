"""kubectl delete pod of the node that masters most: it hands over, comes back with its volume, and no data moves."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = [pytest.mark.smoke, pytest.mark.timeout(420)]
FINE = {"pause_ms": 12.0, "writers": 3, "readers": 1}
"""Gaps of a tenth of a second are to be seen."""


def test_a_deleted_master_hands_over_and_comes_back(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    gaps = []
    for turn in range(3):
        master = store.main_master()
        uid, volume = store.identities()[master][0], store.claim_of(master)
        with traffic(clients, store, f"deleted-{turn}-{int(time.time())}", **FINE) as run:
            time.sleep(2)
            start = time.monotonic_ns()
            store.kube.delete("Pod", store.namespace, master)
            store.wait_pod_ready(master, 120, not_uid=uid)
            run.wait_for_service(20)
        gaps.append(run.gap_seconds(start))
        assert store.claim_of(master) == volume
        store.wait_healthy(90)
    # A figure of the report and of docs/operations.md, not an assertion: the machine's load is in it.
    figure(f"longest time without writes {', '.join(f'{gap:.2f}' for gap in gaps)} s")
