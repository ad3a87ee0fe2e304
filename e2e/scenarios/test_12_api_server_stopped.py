"""The control plane is off: no request fails for it, and a failover goes on without it."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(600)
AWAY_SECONDS = 30.0


def test_an_api_server_that_is_away_costs_no_request(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    worker = next(name for name in machines.names() if name.endswith("-worker"))
    master = store.main_master()
    machine, pid = machines.container_pid(store.kube, store.namespace, master)
    clients.start(worker)
    try:
        with traffic(clients, store, f"alone-{int(time.time())}") as run:
            time.sleep(2)
            start = time.monotonic_ns()
            with machines.stopped(machines.CONTROL_PLANE):
                time.sleep(AWAY_SECONDS)
                end = time.monotonic_ns()
                errors = run.state()["errors"]
                # A client's own second may run out where the machine is busy; that is a gap, and gaps are judged.
                assert set(errors) <= {"TimeoutError"}, f"requests failed: {errors}"
                # The kubelet starts it again by itself.
                machines.inside(machine, "kill", "-KILL", str(pid))
                run.wait_for_service(30)
                failed_over = time.monotonic_ns()
                time.sleep(5)
            machines.wait_until_ready(store.kube, 180)
            run.wait_for_service(20)
        gap = run.gap_seconds(start, end)
        figure(f"{AWAY_SECONDS:.0f} s without a control plane: longest time without writes {gap:.2f} s")
        assert gap < 3.0
        figure(f"failover meanwhile {run.gap_seconds(end, failed_over):.2f} s")
    finally:
        machines.wait_until_ready(store.kube, 180)
        clients.start()
    store.wait_healthy(180)
