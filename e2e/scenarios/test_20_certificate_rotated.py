"""The cluster's certificates are made anew under load: no pod restarts, no request needs an old one for ever."""

import time
from collections.abc import Callable

import pytest

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(600)


def test_a_new_authority_takes_over_without_a_restart(
    store: Store, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    before = store.identities()
    secret = f"{store.name}-tls"
    old = store.kube.get("Secret", store.namespace, secret)
    assert old is not None
    with traffic(clients, store, f"rotated-{int(time.time())}") as run:
        time.sleep(2)
        start = time.monotonic()
        store.kube.patch(
            "StorageCluster",
            store.namespace,
            store.name,
            {"metadata": {"annotations": {"keystead.io/rotate-certificates": str(int(time.time()))}}},
        )
        known = store.authorities()

        def rotated() -> bool:
            nonlocal known
            if (now := store.authorities()) != known:
                run.trust_more(now)
                known = now
            new = store.kube.get("Secret", store.namespace, secret)
            if new is None or new["data"]["tls.crt"] == old["data"]["tls.crt"]:
                raise NotYet("the nodes' certificate is still the old one")
            return True

        wait_for("a new certificate", rotated, 240)
        figure(f"a new certificate {time.monotonic() - start:.0f} s after it was asked for")
        # Kubelets bring a changed Secret to the pods within about a minute and a half.
        time.sleep(100)
        if (now := store.authorities()) != known:
            run.trust_more(now)
        run.wait_for_service(20)
    assert store.identities() == before
    figure(f"longest time without writes {run.gap_seconds():.2f} s")
    # Connections made from now on meet the new certificates.
    with traffic(clients, store, f"rotated-after-{int(time.time())}") as run:
        time.sleep(2)
