"""The zones of the Kubernetes nodes, where the operator may read them."""

import time
from typing import Final

import structlog

from keystead_operator.kube.client import Forbidden, KubeClient
from keystead_operator.kube.kinds import KUBERNETES_NODE

KEEP_SECONDS: Final = 900.0

log = structlog.get_logger("zones")


class Zones:
    """Names of zones by the label that gives them. Reading nodes needs a right beyond the namespace; without it there
    are no zones but those that a StorageCluster names."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._found: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def under(self, label: str) -> tuple[str, ...]:
        """The label's values, sorted. Raises KubeError, but for a missing right."""
        at, found = self._found.get(label, (0.0, ()))
        now = time.monotonic()
        if label in self._found and now - at < KEEP_SECONDS:
            return found
        names: set[str] = set()
        try:
            async for page in self._client.pages(KUBERNETES_NODE, None, selector=label):
                names.update(node["metadata"]["labels"][label] for node in page)
        except Forbidden:
            log.info("nodes may not be read: zones are those that the StorageCluster names")
        self._found[label] = (now, tuple(sorted(names)))
        return self._found[label][1]
