"""The Kubernetes nodes as what they are here: containers of the local engine that can be paused, stopped, cut off."""

import contextlib
import json
from collections.abc import Iterator

from e2e.harness.commands import CommandFailed, docker
from e2e.harness.kube import Kube, NoAnswer, Object, Refused
from e2e.harness.waiting import NotYet, wait_for

CLUSTER = "keystead-e2e"
CONTROL_PLANE = f"{CLUSTER}-control-plane"


def names() -> list[str]:
    return sorted(
        docker("ps", "--all", "--filter", f"label=io.x-k8s.kind.cluster={CLUSTER}", "--format", "{{.Names}}").split()
    )


def addresses() -> dict[str, str]:
    """Machine -> address on the bridge; machines that do not run have none."""
    found = json.loads(docker("inspect", *names()))
    return {
        machine["Name"].lstrip("/"): machine["NetworkSettings"]["Networks"]["kind"]["IPAddress"]
        for machine in found
        if machine["State"]["Running"] and not machine["State"]["Paused"]
    }


@contextlib.contextmanager
def paused(machine: str) -> Iterator[None]:
    """All processes of the machine stand still."""
    docker("pause", machine)
    try:
        yield
    finally:
        docker("unpause", machine)


@contextlib.contextmanager
def stopped(machine: str) -> Iterator[None]:
    """The machine is off: killed, as by its power. What it has on disk stays."""
    docker("kill", machine)
    try:
        yield
    finally:
        docker("start", machine)


def inside(machine: str, *command: str) -> str:
    """Runs a program on the machine, as root."""
    return docker("exec", machine, *command)


def container_pid(kube: Kube, namespace: str, pod: str) -> tuple[str, int]:
    """The machine of a pod's one container, and its process there."""
    found = kube.get("Pod", namespace, pod)
    assert found is not None, f"no pod {pod}"
    machine = str(found["spec"]["nodeName"])
    container = str(found["status"]["containerStatuses"][0]["containerID"]).rpartition("/")[2]
    tasks = inside(machine, "ctr", "--namespace", "k8s.io", "tasks", "ls")
    pid = next((line.split()[1] for line in tasks.splitlines() if line.startswith(container)), "")
    if not pid:
        raise CommandFailed(f"{pod} has no process on {machine}:\n{tasks}")
    return machine, int(pid)


def send_signal(kube: Kube, namespace: str, pod: str, signal: str) -> None:
    """To the first process of the pod's container, from outside: it cannot be ignored as from inside."""
    machine, pid = container_pid(kube, namespace, pod)
    inside(machine, "kill", f"-{signal}", str(pid))


@contextlib.contextmanager
def frozen(kube: Kube, namespace: str, pod: str) -> Iterator[None]:
    """SIGSTOP for as long as the block runs."""
    machine, pid = container_pid(kube, namespace, pod)
    inside(machine, "kill", "-STOP", str(pid))
    try:
        yield
    finally:
        with contextlib.suppress(CommandFailed):
            inside(machine, "kill", "-CONT", str(pid))


def ready(node: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))


def wait_until_ready(kube: Kube, seconds: float = 120.0) -> float:
    """Until every machine of the cluster is a node that is Ready."""

    def probe() -> bool:
        try:
            nodes = kube.list("Node")
        except (NoAnswer, Refused) as problem:  # An API server that has just started does not know who may do what.
            raise NotYet(str(problem)) from problem
        waiting = [node["metadata"]["name"] for node in nodes if not ready(node)]
        if waiting or len(nodes) < len(names()):
            raise NotYet(f"{len(nodes)} nodes, not ready: {waiting}")
        return True

    return wait_for("all nodes are ready", probe, seconds, poll_seconds=1.0)
