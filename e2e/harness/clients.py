"""The load of the end-to-end tests: clients in a pod of the image under test, told what to do through a NodePort."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import yaml

from e2e.harness import machines
from e2e.harness.commands import REPOSITORY, kubectl
from e2e.harness.kube import Kube
from e2e.harness.store import RESTRICTED, Store, pod_is_ready
from e2e.harness.waiting import NotYet, wait_for
from tests.faults.load import Load
from tests.histories.operations import Operation

NAMESPACE = "keystead-e2e-clients"
NODE_PORT = 30080
CONNECT_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 0.0)
FILES = (
    "e2e/client/serve.py",
    "tests/faults/load.py",
    "tests/histories/operations.py",
    "tests/histories/eventual.py",
    "tests/histories/register.py",
)
FINAL_READ_SECONDS = 60.0
CHECKED_READERS = {"keys": 6, "writers": 2, "readers": 1, "pause_ms": 40.0}


class ClientPod:
    """The one pod that clients run in. It is on the control plane, out of the way of what happens to workers."""

    def __init__(self, kube: Kube, image: str) -> None:
        self.kube = kube
        self.image = image

    def start(self, machine: str = machines.CONTROL_PLANE) -> None:
        """Puts it (anew) onto a machine. Raises NotInTime."""
        content = {path.replace("/", "."): (REPOSITORY / path).read_text() for path in FILES}
        head = {"name": "clients", "namespace": NAMESPACE, "labels": {"app": "clients"}}
        kubectl("delete", "pod", "clients", "--namespace", NAMESPACE, "--ignore-not-found", "--grace-period=1")
        objects = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": RESTRICTED}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": content},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": head,
                "spec": {
                    "type": "NodePort",
                    "selector": {"app": "clients"},
                    "ports": [{"port": 9000, "nodePort": NODE_PORT}],
                },
            },
            {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": self._pod_spec(machine)},
        ]
        kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(objects))

        def probe() -> bool:
            pod = self.kube.get("Pod", NAMESPACE, "clients")
            if pod is None or not pod_is_ready(pod):
                raise NotYet(str(pod and pod["status"]))
            return True

        wait_for("the clients' pod is ready", probe, 90)
        wait_for("the clients answer", self._answers, 30)

    def _pod_spec(self, machine: str) -> dict[str, Any]:
        return {
            "nodeName": machine,
            "tolerations": [{"operator": "Exists"}],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "clients",
                    "image": self.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-m", "e2e.client.serve"],
                    "env": [{"name": "PYTHONPATH", "value": "/client"}],
                    "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "client", "mountPath": "/client", "readOnly": True}],
                }
            ],
            "volumes": [
                {
                    "name": "client",
                    "configMap": {
                        "name": "clients",
                        "items": [{"key": path.replace("/", "."), "path": path} for path in FILES],
                    },
                }
            ],
        }

    def _answers(self) -> bool:
        try:
            self.ask("POST", "/call", {"endpoint": "http://127.0.0.1:1", "ca": "", "operation": "", "body": {}})
        except OSError as problem:
            raise NotYet(str(problem)) from problem
        return True

    def ask(self, method: str, path: str, body: Any = None, seconds: float = 15.0) -> Any:
        """Through any machine that lets us in. Raises OSError, and AssertionError where the clients say no."""
        content = None if body is None else json.dumps(body).encode()
        problem: OSError = OSError("no machine runs")
        for address in machines.addresses().values():
            request = urllib.request.Request(f"http://{address}:{NODE_PORT}{path}", data=content, method=method)
            try:
                with urllib.request.urlopen(request, timeout=seconds) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as refusal:
                raise AssertionError(f"{path}: {refusal.code} {refusal.read().decode()[:2000]}") from None
            except OSError as found:
                problem = found
        raise problem

    def call(self, store: Store, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request of the API from inside of the cluster; as every SDK does, it tries again where nobody takes the
        connection: a machine may not know yet who is behind the Service. Raises AssertionError unless it succeeds."""
        wanted = {"endpoint": store.endpoint(), "ca": store.authorities(), "operation": operation, "body": body}
        for wait in CONNECT_WAITS_SECONDS:
            found: dict[str, Any] = self.ask("POST", "/call", wanted)
            if found["status"] or not found["answer"]["message"].startswith("ClientConnectorError"):
                break
            time.sleep(wait)
        assert found["status"] == 200, f"{operation}: {found}"
        answer: dict[str, Any] = found["answer"]
        return answer


class Traffic:
    """A run of clients against a store. Its figures may be asked for while it runs."""

    def __init__(self, pod: ClientPod, store: Store, name: str) -> None:
        self.pod, self.store, self.name = pod, store, name
        self.result = Load([], store.table, name=name)
        self.keys: list[str] = []

    def start(self, **options: Any) -> None:
        wanted = {"endpoint": self.store.endpoint(), "table": self.store.table, "name": self.name}
        wanted |= {"ca": self.store.authorities(), **CHECKED_READERS, **options}
        self.keys = self.pod.ask("POST", "/start", wanted)["keys"]
        self.wait_for_service(30)

    def trust_more(self, ca: str) -> None:
        self.pod.ask("POST", "/trust", {"ca": ca})

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.pod.ask("GET", "/state")
        assert not found["crash"], found["crash"]
        return found

    def wait_for_service(self, seconds: float) -> float:
        """Seconds until every key was written by a request sent from now on."""
        start = time.monotonic_ns()

        def probe() -> bool:
            try:
                state = self.state()
            except OSError as problem:
                raise NotYet(str(problem)) from problem
            missing = [key for key in self.keys if state["last_write"][key] < start]
            if missing:
                raise NotYet(f"no write to {missing}; errors {state['errors']}")
            return True

        return wait_for("every key is written", probe, seconds, poll_seconds=0.2)

    def finish(self) -> None:
        """Stops the clients, reads all back, and judges the history. Raises AssertionError."""
        answer = self.pod.ask("POST", "/stop", {"seconds": FINAL_READ_SECONDS}, seconds=FINAL_READ_SECONDS + 30)
        self.result.errors.update(answer["errors"])
        self.result.history = [Operation(**one) for one in self.pod.ask("GET", "/history", seconds=60)]
        self.result.keys = self.keys
        self.result.check()

    def gap_seconds(self, since_ns: int = 0, until_ns: int = 2**63) -> float:
        """The longest time without an acknowledged write to some key, of the time from `since_ns` on."""
        part = Load([], "", name=self.name)
        part.keys = self.keys
        part.history = [one for one in self.result.history if since_ns <= one.returned <= until_ns]
        return part.longest_gap_seconds()

    def abandon(self) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self.pod.ask("POST", "/stop", {"seconds": 0})


@contextlib.contextmanager
def traffic(pod: ClientPod, store: Store, name: str, **options: Any) -> Iterator[Traffic]:
    """Clients run for as long as the block does; then their history is judged."""
    run = Traffic(pod, store, name)
    run.start(**options)
    try:
        yield run
    except BaseException:
        run.abandon()
        raise
    run.finish()
