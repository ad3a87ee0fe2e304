"""All of a worker machine stands still, as a frozen virtual machine does, and comes back."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_a_paused_worker_costs_a_failover_and_moves_nothing(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    gaps = []
    before = store.identities()
    for turn in range(2):
        machine = store.machine_of(store.main_master())
        with traffic(clients, store, f"paused-{turn}-{int(time.time())}", pause_ms=20.0) as run:
            time.sleep(2)
            start = time.monotonic_ns()
            with machines.paused(machine):
                run.wait_for_service(20)
                time.sleep(10)
            run.wait_for_service(20)
        gaps.append(run.gap_seconds(start))
        machines.wait_until_ready(store.kube)
        store.wait_healthy(120)
    assert {name: uid for name, (uid, _) in store.identities().items()} == {
        name: uid for name, (uid, _) in before.items()
    }
    figure(f"longest time without writes {', '.join(f'{gap:.2f}' for gap in gaps)} s")
    assert min(gaps) < 3.0
