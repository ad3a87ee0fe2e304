"""The zones of the Kubernetes nodes, where the operator may read them."""

import time
from typing import Final

import structlog

from keystead_operator.kube.client import Forbidden, KubeClient
from keystead_operator.kube.kinds import KUBERNETES_NODE
from keystead_operator.kube.seen import Json

KEEP_SECONDS: Final = 300.0
REPELLING: Final = ("NoSchedule", "NoExecute")

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
        everywhere: set[str] = set()
        usable: set[str] = set()
        try:
            async for page in self._client.pages(KUBERNETES_NODE, None, selector=label):
                for node in page:
                    name = node["metadata"]["labels"][label]
                    everywhere.add(name)
                    if takes_pods(node):
                        usable.add(name)
        except Forbidden:
            log.info("nodes may not be read: zones are those that were known, or that the StorageCluster names")
            everywhere.update(found)
        self._found[label] = (now, tuple(sorted(usable or everywhere)))
        return self._found[label][1]


def takes_pods(node: Json) -> bool:
    """Whether a pod without tolerations of its own may be scheduled there: a zone of other machines is none for us."""
    spec = node.get("spec") or {}
    taints = spec.get("taints") or ()
    return not spec.get("unschedulable") and not any(taint.get("effect") in REPELLING for taint in taints)
