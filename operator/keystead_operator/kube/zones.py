"""The zones of the Kubernetes nodes, where the operator may read them."""

import time
from typing import Final

import msgspec
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
        self._found: dict[tuple[str, bytes], tuple[float, tuple[str, ...]]] = {}

    async def under(self, label: str, scheduling: Json) -> tuple[str, ...]:
        """The label's values, sorted, on machines that take pods of this `scheduling` (as in a StorageCluster's spec).

        Raises KubeError, but for a missing right.
        """
        key = (label, msgspec.json.encode(scheduling, order="deterministic"))
        at, found = self._found.get(key, (0.0, ()))
        now = time.monotonic()
        if key in self._found and now - at < KEEP_SECONDS:
            return found
        everywhere: set[str] = set()
        usable: set[str] = set()
        try:
            async for page in self._client.pages(KUBERNETES_NODE, None, selector=label):
                for node in page:
                    name = node["metadata"]["labels"][label]
                    everywhere.add(name)
                    if takes_pods(node, scheduling):
                        usable.add(name)
        except Forbidden:
            log.info("nodes may not be read: zones are those that were known, or that the StorageCluster names")
            everywhere.update(found)
        self._found[key] = (now, tuple(sorted(usable or everywhere)))
        return self._found[key][1]


def takes_pods(node: Json, scheduling: Json) -> bool:
    """Whether a pod of this `scheduling` may run there: a zone of other machines is none for us."""
    spec = node.get("spec") or {}
    labels = node["metadata"].get("labels") or {}
    wanted = scheduling.get("nodeSelector", {})
    if spec.get("unschedulable") or any(labels.get(name) != value for name, value in wanted.items()):
        return False
    repelling = [taint for taint in spec.get("taints") or () if taint.get("effect") in REPELLING]
    tolerations = scheduling.get("tolerations", [])
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in repelling)


def _tolerates(toleration: Json, taint: Json) -> bool:
    """Kubernetes' own rule: what is absent stands for any, and Exists asks for no value."""
    if toleration.get("effect") not in (None, taint.get("effect")):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
