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
# The code of this very tree, whatever else is installed.
CODE = os.pathsep.join(map(str, [REPOSITORY, *(REPOSITORY / part for part in ("core", "node", "operator"))]))
_numbers = itertools.count(1)


def grant(api: Api, namespace: str, rights: tuple[Right, ...] = (*NAMESPACED, *LEADING), *, home: str = "") -> None:
    """Gives the operator's account exactly these rights in the namespace, and the cluster-wide ones.

    `home`: where the account is, if not in that namespace; its rights are then those of all namespaces, as the chart's
    are by default, and outlive the namespace.
    """
    home = home or namespace
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}, home)
    wide = CLUSTER_WIDE if home == namespace else (*CLUSTER_WIDE, *rights)
    _bind(api, "Role", ACCOUNT, rights, home, home)
    _bind(api, "ClusterRole", f"operator-{namespace}", wide, home, "")


def _bind(api: Api, kind: str, name: str, rights: tuple[Right, ...], account_in: str, namespace: str) -> None:
    group = "rbac.authorization.k8s.io"
    role: Object = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}}
    api.apply({**role, "rules": [right.rule() for right in rights]}, namespace)
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": account_in}
    reference = {"apiGroup": group, "kind": kind, "name": name}
    api.apply({**role, "kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]}, namespace)


class OperatorProcess(Program):
    """`server`: another address of the API server, a proxy's. `environment`: see operator_under_test.py. `home`: the
    namespace of its account and its Lease, if it is another."""

    def __init__(
        self,
        control_plane: ControlPlane,
        api: Api,
        namespace: str,
        directory: Path,
        *,
        server: str = "",
        environment: dict[str, str] | None = None,
        home: str = "",
    ) -> None:
        name = f"operator-{namespace}-{next(_numbers)}"
        kubeconfig = control_plane.kubeconfig(name, token=api.token_of(home or namespace, ACCOUNT), server=server)
        self.health_port, self.metrics_port = free_port(), free_port()
        command = [
            sys.executable,
            str(Path(__file__).with_name("operator_under_test.py")),
            f"--kubeconfig={kubeconfig}",
            f"--namespace={namespace}",
            f"--lease-namespace={home or namespace}",
            f"--identity={name}",
            f"--health-port={self.health_port}",
            f"--metrics-port={self.metrics_port}",
            "--bind=127.0.0.1",
        ]
        super().__init__(name, command, directory, {**os.environ, "PYTHONPATH": CODE, **(environment or {})})

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
