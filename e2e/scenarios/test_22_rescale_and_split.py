"""Under load: more partitions, a node more, a node less by its name. Nothing is lost, and nobody waits long."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(900)


def test_partitions_nodes_out_and_in_under_load(
    own_store: Callable[..., Store], clients: ClientPod, figure: Callable[[str], None]
) -> None:
    store = own_store()
    store.create()
    with traffic(clients, store, f"rescale-{int(time.time())}") as run:
        time.sleep(2)
        start = time.monotonic_ns()
        store.apply(store.table_manifest(store.table, partitions=6))

        def split() -> bool:
            status = (store.kube.get("Table", store.namespace, store.table) or {}).get("status", {})
            if status.get("partitions") != 6 or status.get("partitionsServing") != 6:
                raise NotYet(f"{status.get('partitions')} partitions; {status.get('splits', 'no split is told')}")
            return True

        split_seconds = wait_for("three partitions are split into six", split, 120, 0.5)
        split_ns = start, time.monotonic_ns()
        store.apply(store.manifest(nodes=4))
        store.wait_available(240)
        names = {pod["metadata"]["labels"]["keystead.io/node"] for pod in store.pods()}
        assert len(names) == 4, names
        gone = sorted(names)[0]
        store.apply(store.manifest(nodes=3, removeNodes=[gone]))

        def left() -> bool:
            names = [pod["metadata"]["labels"]["keystead.io/node"] for pod in store.pods()]
            if gone in names or len(names) != 3 or len(store.claims()) != 3:
                raise NotYet(f"{names}, {len(store.claims())} claims, {store.status().get('rescale', 'no progress')}")
            return True

        left_seconds = wait_for(f"{gone} is emptied and gone, with its volume", left, 300, 1.0)
        run.wait_for_service(20)
    gap = run.gap_seconds
    figure(f"three splits took {split_seconds:.0f} s, longest time without writes {gap(*split_ns):.2f} s")
    figure(f"{gone} was gone after {left_seconds:.0f} s, longest time without writes {gap(split_ns[1]):.2f} s")
    store.wait_healthy(240)
