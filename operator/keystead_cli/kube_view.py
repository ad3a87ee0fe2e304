"""Looks at a StorageCluster from outside: its pods, and what the nodes in them answer."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec

from keystead_cli.kubectl_run import Kubectl, KubectlFailed, Object
from keystead_core.cluster_map import ClusterMap
from keystead_operator.cluster_view import ClusterView, NodePlace, cluster_view
from keystead_operator.manifests.frame import API_PORT, DATA_DIR, LABEL_CLUSTER, LABEL_NODE, LABEL_ZONE
from keystead_operator.node_status import NodeStatus, decode_status

MAPS_ASKED_MAX: Final = 3
AT_ONCE: Final = 16
_T = TypeVar("_T")
_R = TypeVar("_R")


class Gathered(msgspec.Struct, frozen=True):
    """`cluster` is the StorageCluster; `statuses` by pod name, of the nodes that answered."""

    cluster: Object
    pods: list[Object]
    statuses: dict[str, NodeStatus]
    problems: dict[str, str]
    map: ClusterMap | None

    def pod_of(self, node: str) -> str:
        """The pod of a node, by the pod's name, the place's or the node id; "" if there is none."""
        for pod in self.pods:
            status = self.statuses.get(name_of(pod))
            if node in (name_of(pod), place_of(pod), status.node.id if status is not None else None):
                return name_of(pod)
        return ""

    def view(self) -> ClusterView:
        places = [_place(pod, self.statuses, self.problems) for pod in self.pods]
        by_place = {place_of(pod): self.statuses[name_of(pod)] for pod in self.pods if name_of(pod) in self.statuses}
        status = self.cluster.get("status", {})
        return cluster_view(status.get("clusterId", ""), status.get("endpoint", ""), places, by_place, self.map)


def selector_of(cluster: str) -> str:
    return f"{LABEL_CLUSTER}={cluster}"


def name_of(found: Object) -> str:
    return str(found["metadata"]["name"])


def place_of(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get(LABEL_NODE) or name_of(pod))


def gather(kubectl: Kubectl, cluster: Object, maps_max: int = MAPS_ASKED_MAX) -> Gathered:
    """Asks every node, and a few for the map. Raises KubectlFailed if the API server does not list the pods."""
    pods = sorted(kubectl.items("pods", selector_of(name_of(cluster))), key=_order)
    statuses: dict[str, NodeStatus] = {}
    problems: dict[str, str] = {}
    running = [name_of(pod) for pod in pods if not pod_problem(pod)]
    for pod, (status, problem) in zip(running, all_at_once(lambda name: _status(kubectl, name), running), strict=True):
        if status is not None:
            statuses[pod] = status
        else:
            problems[pod] = problem
    # Those with a replica of the catalog know best, and a map may be large.
    asked = sorted(statuses, key=lambda pod: not statuses[pod].node.formed)[:maps_max]
    maps = [found for found in all_at_once(lambda name: _map(kubectl, name), asked) if found is not None]
    newest = max(maps, key=lambda one: one.version, default=None)
    return Gathered(cluster, pods, statuses, problems, newest)


def all_at_once(work: Callable[[_T], _R], things: Iterable[_T]) -> list[_R]:
    """The results in the order of the things."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(work, things))


def _status(kubectl: Kubectl, pod: str) -> tuple[NodeStatus | None, str]:
    try:
        return decode_status(kubectl.ask(pod, "GET", "/status")), ""
    except KubectlFailed as problem:
        return None, str(problem)
    except msgspec.DecodeError as problem:
        return None, f"an unknown status: {problem}"


def _map(kubectl: Kubectl, pod: str) -> ClusterMap | None:
    try:
        return msgspec.json.decode(kubectl.ask(pod, "GET", "/map"), type=ClusterMap)
    except (KubectlFailed, msgspec.DecodeError):
        return None


def _order(pod: Object) -> tuple[str, int]:
    """node-10 comes after node-9."""
    stem, _, number = name_of(pod).rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name_of(pod), 0)


def _place(pod: Object, statuses: dict[str, NodeStatus], problems: dict[str, str]) -> NodePlace:
    name = name_of(pod)
    status = statuses.get(name)
    problem = pod_problem(pod) or problems.get(name, "")
    return NodePlace(
        name=place_of(pod),
        zone=str(pod["metadata"].get("labels", {}).get(LABEL_ZONE, "")),
        port=API_PORT,
        data_dir=DATA_DIR,
        pid=status.node.pid if status is not None else int(not pod_problem(pod)),
        problem=problem,
    )


def pod_problem(pod: Object) -> str:
    """Why a pod runs no node, in a sentence; "" where it does."""
    status: dict[str, Any] = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return "the pod is being deleted"
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        for kind in ("waiting", "terminated"):
            if kind in state:
                return _sentence(state[kind].get("reason", kind), state[kind].get("message", ""))
    if status.get("phase") != "Running":
        unmet = [c for c in status.get("conditions", []) if c["type"] == "PodScheduled" and c["status"] != "True"]
        why = _sentence(unmet[0].get("reason", ""), unmet[0].get("message", "")) if unmet else ""
        return why or f"the pod is {status.get('phase', 'unknown').lower()}"
    return ""


def _sentence(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason
