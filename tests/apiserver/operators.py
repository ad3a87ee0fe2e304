"""Operator processes: each with the rights that rights.py lists and no others, by a token of its own ServiceAccount."""

import itertools
import os
import sys
import urllib.request
from pathlib import Path

from keystead_operator.kube.rights import CLUSTER_WIDE, LEADING, NAMESPACED, Right
from tests.apiserver.control_plane import REPOSITORY, ControlPlane, Program, free_port
from tests.apiserver.rest import Api, Object

ACCOUNT = "operator"
_numbers = itertools.count(1)


def grant(api: Api, namespace: str, rights: tuple[Right, ...] = (*NAMESPACED, *LEADING)) -> None:
    """Gives the operator's account in the namespace exactly these rights there, and the cluster-wide ones."""
    rbac, head = "rbac.authorization.k8s.io/v1", {"name": ACCOUNT}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": head}, namespace)
    rules = [right.rule() for right in rights]
    api.apply({"apiVersion": rbac, "kind": "Role", "metadata": head, "rules": rules}, namespace)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    binding: Object = {"apiVersion": rbac, "kind": "RoleBinding", "metadata": head}
    api.apply({**binding, "roleRef": reference, "subjects": [subject]}, namespace)
    wide = {"name": f"operator-{namespace}"}
    rules = [right.rule() for right in CLUSTER_WIDE]
    api.apply({"apiVersion": rbac, "kind": "ClusterRole", "metadata": wide, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": wide["name"]}
    binding = {"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": wide}
    api.apply({**binding, "roleRef": reference, "subjects": [subject]})


class OperatorProcess(Program):
    """`server`: another address of the API server, a proxy's. `environment`: see operator_under_test.py."""

    def __init__(
        self,
        control_plane: ControlPlane,
        api: Api,
        namespace: str,
        directory: Path,
        *,
        server: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        name = f"operator-{namespace}-{next(_numbers)}"
        kubeconfig = control_plane.kubeconfig(name, token=api.token_of(namespace, ACCOUNT), server=server)
        self.health_port, self.metrics_port = free_port(), free_port()
        command = [
            sys.executable,
            str(Path(__file__).with_name("operator_under_test.py")),
            f"--kubeconfig={kubeconfig}",
            f"--namespace={namespace}",
            f"--lease-namespace={namespace}",
            f"--identity={name}",
            f"--health-port={self.health_port}",
            f"--metrics-port={self.metrics_port}",
            "--bind=127.0.0.1",
        ]
        super().__init__(name, command, directory, {**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})})

    def metrics(self) -> dict[str, float]:
        """By name, with labels as they are written."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def memory_bytes(self) -> int:
        """What is resident now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")
