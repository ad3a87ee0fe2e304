"""A worker machine never comes back: after nodeLossGrace its replicas are made anew on another node."""

import time
from collections.abc import Callable

import pytest

from e2e.harness import machines
from e2e.harness.clients import ClientPod, traffic
from e2e.harness.kube import condition
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(900)


def test_replicas_of_a_lost_machine_are_made_anew_elsewhere(
    own_store: Callable[..., Store], clients: ClientPod, figure: Callable[[str], None]
) -> None:
    store = own_store()
    store.create(nodes=4, nodeLossGrace="20s")
    master = store.main_master()
    machine, lost = store.machine_of(master), store.node_id(master)
    assert store.members()[lost]
    with traffic(clients, store, f"gone-{int(time.time())}") as run:
        time.sleep(2)
        start = time.monotonic_ns()
        with machines.stopped(machine):
            run.wait_for_service(30)

            def replaced() -> bool:
                if left := store.members().get(lost):
                    raise NotYet(f"{lost} is still a member of partitions {left}")
                table = store.kube.get("Table", store.namespace, store.table)
                level, _, wanted = str((table or {}).get("status", {}).get("replicas", "")).partition("/")
                if not wanted or level != wanted or condition(table, "Available")["status"] != "True":
                    raise NotYet(f"{level}/{wanted} replicas")
                return True

            seconds = wait_for("every replica is made anew on the nodes that are left", replaced, 240, 1.0)
            figure(f"replicas whole again {seconds:.0f} s after the machine was lost (grace 20 s)")
            run.wait_for_service(20)
        machines.wait_until_ready(store.kube)
    figure(f"longest time without writes {run.gap_seconds(start):.2f} s")
    store.wait_healthy(240)
