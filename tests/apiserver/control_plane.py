"""A real control plane on loopback: etcd, kube-apiserver, kube-controller-manager, each a process of this machine.

RBAC is on, service account tokens are real, and etcd forgets fsync. The programs are built by
e2e/cluster/build-tools.sh, once; KEYSTEAD_E2E_CACHE says where they are kept. There is no scheduler and no kubelet:
tests/apiserver/kubelet stands for both.
"""

import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Final

from tests.apiserver.certificates import Authority

REPOSITORY: Final = Path(__file__).parents[2]
START_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 10.0
SERVICE_RANGE: Final = "10.96.0.0/16"
CONTROLLERS: Final = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "disruption-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
    "clusterrole-aggregation-controller",
)
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ControlPlaneBroken(Exception):
    """A program of the control plane did not start or ended by itself; the message has its last words."""


def tools_directory() -> Path:
    """Where build-tools.sh puts the programs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("KEYSTEAD_E2E_CACHE") or f"{base}/keystead-e2e") / "bin"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Program:
    """A process whose output goes to a file, and which ends with the thread that started it."""

    def __init__(
        self, name: str, command: list[str], directory: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = command
        self.log_path = directory / f"{name}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                preexec_fn=die_with_the_parent,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not end it in time."""
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log().splitlines()[-lines:])


def die_with_the_parent() -> None:
    """For a child process: it is killed when the thread that made it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ControlPlane:
    """`directory` holds certificates, logs, kubeconfigs and etcd's data."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.authority = Authority(directory / "certificates")
        self.port = free_port()
        self.server = f"https://127.0.0.1:{self.port}"
        self.admin_certificate = self.authority.client("admin", ("system:masters",))
        self.admin_kubeconfig = self.kubeconfig("admin", certificate=self.admin_certificate)
        self._context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        self._context.load_cert_chain(*self.admin_certificate)
        tools = tools_directory()
        etcd_port, peer_port = free_port(), free_port()
        self.etcd = Program("etcd", self._etcd_command(tools, etcd_port, peer_port), directory)
        self.api_server = Program("kube-apiserver", self._api_server_command(tools, etcd_port), directory)
        self.controllers = Program("kube-controller-manager", self._controllers_command(tools), directory)

    def start(self) -> None:
        """Returns when the API server is ready; the controllers still start. Raises ControlPlaneBroken."""
        self.etcd.start()
        self.api_server.start()
        self.wait_ready()

    def start_controllers(self) -> None:
        """Garbage collection, namespaces, service accounts, budgets. They know the kinds that exist when they start."""
        self.controllers.start()

    def stop(self) -> None:
        for program in (self.controllers, self.api_server, self.etcd):
            program.kill()

    def stop_api_server(self) -> None:
        self.api_server.kill()

    def start_api_server(self) -> None:
        self.api_server.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        until = time.monotonic() + START_SECONDS_MAX
        said = "nothing"
        while time.monotonic() < until:
            for program in (self.etcd, self.api_server):
                if program.exit_code is not None:
                    raise ControlPlaneBroken(f"{program.name} ended with {program.exit_code}:\n{program.last_words()}")
            try:
                with urllib.request.urlopen(f"{self.server}/readyz", context=self._context, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError as error:
                said = str(error)
            time.sleep(0.1)
        raise ControlPlaneBroken(f"the API server is not ready: {said}\n{self.api_server.last_words()}")

    def kubeconfig(
        self, name: str, *, certificate: tuple[Path, Path] | None = None, token: str = "", server: str = ""
    ) -> Path:
        """A kubeconfig file for a user. `server`: another address than the API server's own, such as a proxy's."""
        user = {"token": token}
        if certificate is not None:
            user = {"client-certificate": str(certificate[0]), "client-key": str(certificate[1])}
        cluster = {"server": server or self.server, "certificate-authority": str(self.authority.ca_file)}
        path = self.directory / f"{name}.kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": user}],
        }
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    def _etcd_command(self, tools: Path, port: int, peer_port: int) -> list[str]:
        return [
            str(tools / "etcd"),
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{port}",
            f"--advertise-client-urls=http://127.0.0.1:{port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
            "--unsafe-no-fsync=true",
            "--log-level=warn",
        ]

    def _api_server_command(self, tools: Path, etcd_port: int) -> list[str]:
        certificate, key = self.authority.server("kube-apiserver", ["127.0.0.1", "localhost", "kubernetes.default.svc"])
        self._public, self._private = self.authority.service_account_key()
        return [
            str(tools / "kube-apiserver"),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self.port}",
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.authority.ca_file}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._public}",
            f"--service-account-signing-key-file={self._private}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--v=1",
        ]

    def _controllers_command(self, tools: Path) -> list[str]:
        return [
            str(tools / "kube-controller-manager"),
            f"--kubeconfig={self.admin_kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            f"--service-account-private-key-file={self._private}",
            f"--root-ca-file={self.authority.ca_file}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            f"--cert-dir={self.directory / 'controllers'}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]
