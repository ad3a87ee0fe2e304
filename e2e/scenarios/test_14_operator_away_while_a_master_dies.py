"""No operator runs: the data plane fails over by itself; the operator puts things in order when it is back."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.release import Release
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_a_master_that_dies_without_an_operator_is_followed_by_another(
    store: Store, release: Release, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    release.scale(0)
    try:
        master = store.main_master()
        with traffic(clients, store, f"away-{int(time.time())}") as run:
            time.sleep(2)
            start = time.monotonic_ns()
            machines.send_signal(store.kube, store.namespace, master, "KILL")
            run.wait_for_service(20)
            second = store.main_master()
            store.kube.delete("Pod", store.namespace, second)
            run.wait_for_service(30)
            time.sleep(5)
            assert store.pod(second) is None or store.pod(second)["metadata"].get("deletionTimestamp")
            release.scale(2)
            store.wait_healthy(180)
            run.wait_for_service(20)
        figure(f"longest time without writes {run.gap_seconds(start):.2f} s")
    finally:
        release.scale(2)
