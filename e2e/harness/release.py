"""The operator as helm installs it."""

from e2e.harness.commands import helm, kubectl
from e2e.harness.kube import Kube, Object
from e2e.harness.store import pod_is_ready
from e2e.harness.waiting import NotYet, wait_for

NAMESPACE = "keystead-system"
NAME = "keystead"
DEPLOYMENT = "keystead-operator"
CHART = "charts/keystead"
SELECTOR = "app.kubernetes.io/name=keystead-operator"


class Release:
    """The chart's release, of one image."""

    def __init__(self, kube: Kube, image: str) -> None:
        self.kube = kube
        self.repository, _, self.tag = image.rpartition(":")

    def apply(self, *sets: str) -> None:
        """Installs or upgrades it with these values on top, and waits until all replicas are ready."""
        values = [f"image.repository={self.repository}", f"image.tag={self.tag}", *sets]
        arguments = [part for value in values for part in ("--set", value)]
        helm("upgrade", "--install", NAME, CHART, "--namespace", NAMESPACE, "--create-namespace", *arguments)
        self.wait_ready(120)

    def wait_ready(self, seconds: float) -> float:
        def probe() -> bool:
            found = self.kube.get("Deployment", NAMESPACE, DEPLOYMENT)
            status = (found or {}).get("status", {})
            wanted = found["spec"]["replicas"] if found else -1
            figures = [status.get(name, 0) for name in ("readyReplicas", "updatedReplicas", "replicas")]
            fresh = found is not None and status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            if figures != [wanted] * 3 or not fresh:
                raise NotYet(f"{status}\n{self.logs(5)}")
            return True

        return wait_for("the operator is ready", probe, seconds, poll_seconds=0.5)

    def pods(self) -> list[Object]:
        return self.kube.list("Pod", NAMESPACE, SELECTOR)

    def leader(self) -> str:
        """The pod that holds the operator's Lease, if it is alive; else ""."""
        lease = self.kube.get("Lease", NAMESPACE, "keystead-operator")
        holder = str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")
        names = [pod["metadata"]["name"] for pod in self.pods() if pod_is_ready(pod)]
        return next((name for name in names if holder.startswith(name)), "")

    def wait_leader(self, seconds: float, other_than: str = "") -> str:
        def probe() -> bool:
            found = self.leader()
            if not found or found == other_than:
                raise NotYet(f"the Lease names {found!r}")
            return True

        wait_for("an operator leads", probe, seconds)
        return self.leader()

    def kill(self, pod: str) -> None:
        """As hard as Kubernetes can."""
        self.kube.delete("Pod", NAMESPACE, pod, grace_seconds=0)

    def scale(self, replicas: int) -> None:
        kubectl("--namespace", NAMESPACE, "scale", f"deployment/{DEPLOYMENT}", f"--replicas={replicas}")

        def probe() -> bool:
            ready = [pod for pod in self.pods() if pod_is_ready(pod)]
            if len(ready) != replicas or len(self.pods()) != replicas:
                raise NotYet(f"{len(self.pods())} pods, {len(ready)} ready")
            return True

        wait_for(f"{replicas} operators run", probe, 90)

    def logs(self, lines: int = 60) -> str:
        try:
            return kubectl(
                "--namespace", NAMESPACE, "logs", "--selector", SELECTOR, "--prefix", f"--tail={lines}", seconds=20
            )
        except AssertionError as problem:
            return str(problem)
