"""kill -9 of the process of the node that masters most: the others take over within two leases."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_a_killed_master_is_followed_by_another(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    gaps = []
    for turn in range(3):
        master = store.main_master()
        with traffic(clients, store, f"killed-{turn}-{int(time.time())}", pause_ms=20.0) as run:
            time.sleep(2)
            start = time.monotonic_ns()
            machines.send_signal(store.kube, store.namespace, master, "KILL")
            run.wait_for_service(20)
            store.wait_pod_ready(master, 60)
        gaps.append(run.gap_seconds(start))
        store.wait_healthy(90)
    figure(f"longest time without writes {', '.join(f'{gap:.2f}' for gap in gaps)} s")
    assert sorted(gaps)[1] < 3.0
