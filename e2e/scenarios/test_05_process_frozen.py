"""SIGSTOP of the node that masters most: the others take over; awake, it follows and serves nothing stale."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)
FROZEN_SECONDS = 8.0


def test_a_frozen_master_is_followed_by_another_and_wakes_up_as_a_follower(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    master = store.main_master()
    uid = store.identities()[master][0]
    with traffic(clients, store, f"frozen-{int(time.time())}", pause_ms=20.0) as run:
        time.sleep(2)
        start = time.monotonic_ns()
        with machines.frozen(store.kube, store.namespace, master):
            run.wait_for_service(20)
            time.sleep(FROZEN_SECONDS)
        run.wait_for_service(20)
        time.sleep(2)
    store.wait_healthy(90)
    assert store.identities()[master][0] == uid, "the pod was made anew for a pause of some seconds"
    figure(f"longest time without writes {run.gap_seconds(start):.2f} s")
