"""A new authority and new certificates under load: no pod restarts, and no request fails for it.

The operator takes its time: it trusts a new authority first, and issues by it ten minutes later. Here the Secrets are
written as they are once the first step is that old, and a restart of the operator takes the second.
"""

import base64
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from e2e.harness.clients import ClientPod, traffic
from e2e.harness.forward import forwarded
from e2e.harness.release import Release
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for
from keystead_operator.kube.authority import TRUST_SECONDS, CertificateFiles, renewed

pytestmark = pytest.mark.timeout(700)
TOLD_SECONDS = 100.0
"""A kubelet brings a changed Secret to its pods within about a minute and a half."""


def _files(store: Store, secret: str) -> dict[str, bytes]:
    found = store.kube.get("Secret", store.namespace, secret)
    assert found is not None, f"no Secret {secret}"
    return {name: base64.b64decode(content) for name, content in found["data"].items()}


def _write(store: Store, secret: str, files: dict[str, bytes]) -> None:
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    store.kube.patch("Secret", store.namespace, secret, {"data": data})


def _served_serial(store: Store, pod: str) -> int:
    with forwarded(store.namespace, f"pod/{pod}", 8000) as port:
        shown = ssl.get_server_certificate(("localhost", port), timeout=10)
    return x509.load_pem_x509_certificate(shown.encode()).serial_number


def test_a_new_authority_takes_over_without_a_restart(
    store: Store, release: Release, clients: ClientPod, figure: Callable[[str], None]
) -> None:
    before = store.identities()
    authority, node, operator = (f"{store.name}-{end}" for end in ("ca", "tls", "operator-tls"))
    old = _files(store, node)
    held = CertificateFiles({}, old, _files(store, operator))
    then = datetime.now(UTC) - timedelta(seconds=TRUST_SECONDS + 60)
    first_step = renewed(held, store.name, store.namespace, then)
    with traffic(clients, store, f"rotated-{int(time.time())}") as run:
        for secret, files in zip(
            (authority, node, operator), (first_step.authority, first_step.node, first_step.operator), strict=True
        ):
            _write(store, secret, files)
        run.trust_more(first_step.node["ca.crt"].decode())
        time.sleep(TOLD_SECONDS)
        run.wait_for_service(20)
        release.kill(release.wait_leader(60))

        def issued() -> bool:
            if _files(store, node)["tls.crt"] == old["tls.crt"]:
                raise NotYet("the nodes' certificate is still the old one")
            return True

        wait_for("a certificate of the new authority", issued, 90)
        start = time.monotonic()
        wanted = x509.load_pem_x509_certificate(_files(store, node)["tls.crt"]).serial_number

        def shown() -> bool:
            late = [
                pod["metadata"]["name"]
                for pod in store.pods()
                if _served_serial(store, pod["metadata"]["name"]) != wanted
            ]
            if late:
                raise NotYet(f"{late} show the old certificate")
            return True

        wait_for("all nodes show the new certificate", shown, 180, poll_seconds=5)
        figure(f"all nodes show it {time.monotonic() - start:.0f} s after it was issued")
        run.wait_for_service(20)
    figure(f"longest time without writes {run.gap_seconds():.2f} s")
    assert store.identities() == before, "a pod was restarted"
    # Who trusts the new authority alone is served too.
    only_new = first_step.authority["ca.crt"].decode()
    with traffic(clients, store, f"rotated-after-{int(time.time())}", ca=only_new):
        time.sleep(2)
    store.wait_healthy(60)
