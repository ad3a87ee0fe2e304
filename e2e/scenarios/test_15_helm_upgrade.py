"""helm upgrade of the operator: its pods change, data pods do not."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.release import Release
from e2e.harness.store import Store

pytestmark = pytest.mark.timeout(420)


def test_an_upgrade_of_the_operator_restarts_no_data_pod(
    store: Store, release: Release, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    before = store.identities()
    operators = {pod["metadata"]["uid"] for pod in release.pods()}
    with traffic(clients, store, f"upgrade-{int(time.time())}") as run:
        release.apply("operator.logLevel=debug", "operator.podAnnotations.upgraded=yes")
        store.apply(store.table_manifest("after-the-upgrade", partitions=1))
        store.wait_available(90)
        time.sleep(10)
        run.wait_for_service(10)
    assert not operators & {pod["metadata"]["uid"] for pod in release.pods()}, "the upgrade changed no operator"
    assert store.identities() == before
    figure(f"longest time without writes {run.gap_seconds():.2f} s")
    store.kube.delete("Table", store.namespace, "after-the-upgrade")
    release.apply()
