"""kubectl delete namespace: everything in it goes, and nothing waits for a finalizer that nobody takes away."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.kube import Kube
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(420)


def test_nothing_is_left_of_a_deleted_namespace(
    own_store: Callable[..., Store], kube: Kube, figure: Callable[[str], None]
) -> None:
    store = own_store()
    store.create(nodes=3)
    volumes = {claim["spec"]["volumeName"] for claim in store.claims()}
    assert len(volumes) == 3
    start = time.monotonic()
    store.delete(150)
    figure(f"gone in {time.monotonic() - start:.0f} s")

    def volumes_gone() -> bool:
        left = volumes & {volume["metadata"]["name"] for volume in kube.list("PersistentVolume")}
        if left:
            raise NotYet(str(left))
        return True

    wait_for("its volumes are gone", volumes_gone, 120)
