"""Service names as /etc/hosts shows them: every address of the pods behind a Service, one line each.

A namespace has one file, bound into each of its containers. It is overwritten in place by one write and never gets
shorter, so that nobody reads half of it.
"""

import os
from pathlib import Path

from tests.apiserver.rest import Object

HEAD = "127.0.0.1 localhost\n"


class HostsFiles:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._written: dict[str, str] = {}

    def path(self, namespace: str) -> Path:
        """The file of a namespace; there is one from the first time on that it is asked for."""
        path = self._directory / namespace
        if namespace not in self._written:
            path.write_text(HEAD)
            self._written[namespace] = HEAD
        return path

    def update(self, services: list[Object], pods: list[Object]) -> None:
        addresses = {
            (service["metadata"]["namespace"], service["metadata"]["name"]): addresses_of(service, pods)
            for service in services
        }
        for namespace in self._written:
            self._write(namespace, _lines(addresses, namespace))

    def _write(self, namespace: str, content: str) -> None:
        if self._written[namespace].rstrip("\n") == content.rstrip("\n"):
            return
        path = self._directory / namespace
        padded = content.ljust(path.stat().st_size, "\n")
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, padded.encode(), 0)
        finally:
            os.close(descriptor)
        self._written[namespace] = content


def addresses_of(service: Object, pods: list[Object]) -> list[str]:
    """Pod addresses behind a Service: ready ones, or all where it publishes those that are not ready."""
    spec = service["spec"]
    selector = spec.get("selector") or {}
    if not selector:
        return []
    found = []
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        address = pod.get("status", {}).get("podIP")
        ours = pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        if not ours or not address or any(labels.get(name) != value for name, value in selector.items()):
            continue
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        if spec.get("publishNotReadyAddresses") or (is_ready(pod) and "deletionTimestamp" not in pod["metadata"]):
            found.append(address)
    return sorted(found)


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _lines(addresses: dict[tuple[str, str], list[str]], namespace: str) -> str:
    text = HEAD
    for (space, name), found in sorted(addresses.items()):
        names = [f"{name}.{space}.svc", f"{name}.{space}.svc.cluster.local", f"{name}.{space}"]
        names += [name] if space == namespace else []
        text += "".join(f"{address} {' '.join(names)}\n" for address in found)
    return text
