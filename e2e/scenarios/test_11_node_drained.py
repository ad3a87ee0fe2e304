"""kubectl drain of a worker of a cluster of three: the budget lets one go, refuses a second, and writes go on."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.commands import CommandFailed, kubectl
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app.kubernetes.io/name=keystead")


def test_a_drained_node_hands_over_and_a_second_one_is_refused(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    master = store.main_master()
    others = [pod["metadata"]["name"] for pod in store.pods() if pod["metadata"]["name"] != master]
    machine, second = store.machine_of(master), store.machine_of(others[0])
    uid = store.identities()[master][0]
    try:
        with traffic(clients, store, f"drained-{int(time.time())}", pause_ms=20.0) as run:
            time.sleep(2)
            start = time.monotonic_ns()
            kubectl("drain", machine, *DRAIN, "--timeout=90s", seconds=100)
            figure(f"drained in {(time.monotonic_ns() - start) / 1e9:.0f} s")
            with pytest.raises(CommandFailed, match=r"disruption budget|timed? ?out"):
                kubectl("drain", second, *DRAIN, "--timeout=8s", seconds=30)
            run.wait_for_service(20)
            kubectl("uncordon", machine, second)
            store.wait_pod_ready(master, 120, not_uid=uid)
            run.wait_for_service(20)
    finally:
        kubectl("uncordon", machine, second)
    figure(f"longest time without writes {run.gap_seconds(start):.2f} s")
    store.wait_healthy(120)
