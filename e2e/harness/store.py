"""One StorageCluster in a namespace of its own: made, looked at, changed, the way a person does it by kubectl."""

import base64
import json
import os
import re
from typing import Any

import yaml

from e2e.harness.commands import CommandFailed, kubectl
from e2e.harness.kube import Kube, NoAnswer, Object, Refused, condition
from e2e.harness.waiting import NotYet, wait_for

API_VERSION = "keystead.io/v1alpha1"
ADMIN_PORT = 7001
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


class Store:
    """The StorageCluster `name` in `namespace`. Methods raise AssertionError with what was seen."""

    def __init__(self, kube: Kube, namespace: str, name: str = "keystead", encrypted: bool = True) -> None:
        self.encrypted = encrypted and not os.environ.get("KEYSTEAD_E2E_PLAIN")
        self.kube = kube
        self.namespace = namespace
        self.name = name
        self.table = "e2e-load"

    @property
    def scheme(self) -> str:
        return "https" if self.encrypted else "http"

    # ---- what is declared

    def make_namespace(self, restricted: bool = True) -> None:
        labels = RESTRICTED if restricted else {}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}})

    def manifest(self, **spec: Any) -> Object:
        defaults: Object = {
            "nodes": 3,
            "storage": {"size": "1Gi"},
            "replication": {"replicas": 3, "writeQuorum": 2, "durableZones": 2},
            "tls": {"enabled": self.encrypted},
            "credentials": {"insecureNoAuth": True},
            "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        }
        metadata = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": API_VERSION, "kind": "StorageCluster", "metadata": metadata, "spec": {**defaults, **spec}}

    def table_manifest(self, name: str, partitions: int = 3, **spec: Any) -> Object:
        return {
            "apiVersion": API_VERSION,
            "kind": "Table",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "clusterRef": {"name": self.name},
                "attributes": [{"name": "pk", "type": "S"}],
                "keySchema": {"hashKey": "pk"},
                "partitions": {"count": partitions},
                **spec,
            },
        }

    def apply(self, *objects: Object) -> str:
        """What kubectl said. Raises CommandFailed with its reason."""
        return kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def create(self, **spec: Any) -> None:
        """The cluster and the table of the load, until both are Available."""
        self.apply(self.manifest(**spec), self.table_manifest(self.table))
        self.wait_available(180)

    # ---- what there is

    def pods(self) -> list[Object]:
        labels = f"app.kubernetes.io/name=keystead,keystead.io/cluster={self.name}"
        return sorted(self.kube.list("Pod", self.namespace, labels), key=lambda pod: str(pod["metadata"]["name"]))

    def pod(self, name: str) -> Object | None:
        return self.kube.get("Pod", self.namespace, name)

    def claims(self) -> list[Object]:
        return self.kube.list("PersistentVolumeClaim", self.namespace, f"keystead.io/cluster={self.name}")

    def claim_of(self, pod: str) -> str:
        found = self.pod(pod)
        assert found is not None, f"no pod {pod}"
        volumes = found["spec"]["volumes"]
        return str(next(v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v))

    def identities(self) -> dict[str, tuple[str, int]]:
        """Pod -> (uid, restarts of its container): the same twice means that nothing was restarted."""
        return {
            pod["metadata"]["name"]: (
                pod["metadata"]["uid"],
                sum(one["restartCount"] for one in pod["status"].get("containerStatuses", [])),
            )
            for pod in self.pods()
        }

    def endpoint(self) -> str:
        return f"{self.scheme}://{self.name}.{self.namespace}.svc:8000"

    def authorities(self) -> str:
        """The certificates to trust, PEM; "" without encryption."""
        found = self.kube.get("Secret", self.namespace, f"{self.name}-tls") if self.encrypted else None
        return base64.b64decode(found["data"]["ca.crt"]).decode() if found else ""

    def _declared(self) -> Object:
        found = self.kube.get("StorageCluster", self.namespace, self.name)
        assert found is not None, f"no StorageCluster {self.namespace}/{self.name}"
        return found

    def status(self) -> Object:
        return self._declared().get("status") or {}

    def condition(self, kind: str) -> Object:
        return condition(self.kube.get("StorageCluster", self.namespace, self.name), kind)

    def masters(self) -> dict[str, int]:
        """Pod -> partitions that it masters, the catalog's among them; pods that do not answer are left out."""
        found = {}
        for pod in self.pods():
            name = pod["metadata"]["name"]
            try:
                text = self.kube.metrics_of_pod(self.namespace, name, ADMIN_PORT, self.scheme)
            except (Refused, NoAnswer):
                continue
            match = re.search(r'keystead_replicas\{role="master"\} (\d+)', text)
            found[name] = int(match.group(1)) if match else 0
        return found

    def ask(self, pod: str, path: str) -> Object:
        """What a node's admin port answers, asked from inside of its pod. Raises CommandFailed."""
        command = ("keystead-node", "ask", "--config", "/etc/keystead/node.json", "GET", path)
        found: Object = json.loads(kubectl("--namespace", self.namespace, "exec", pod, "--", *command, seconds=20))
        return found

    def map(self) -> Object:
        """The cluster's map, as the first pod that answers knows it. Raises NotYet."""
        problem = "no pod is ready"
        for pod in self.pods():
            if pod_is_ready(pod):
                try:
                    return self.ask(pod["metadata"]["name"], "/map")
                except CommandFailed as refused:
                    problem = str(refused)
        raise NotYet(problem)

    def members(self) -> dict[str, list[int]]:
        """Node id -> partitions of which it is a member."""
        found: dict[str, list[int]] = {}
        for partition in self.map()["partitions"].values():
            for member in partition["members"]:
                found.setdefault(member["node"], []).append(partition["id"])
        return found

    def node_id(self, pod: str) -> str:
        """The identity of the volume of a pod."""
        return str(self.ask(pod, "/status")["node"]["id"])

    def main_master(self) -> str:
        """The pod that masters most."""
        masters = self.masters()
        assert masters and max(masters.values()) > 0, f"no pod masters anything: {masters}"
        return max(masters, key=lambda name: masters[name])

    def machine_of(self, pod: str) -> str:
        found = self.pod(pod)
        assert found is not None, f"no pod {pod}"
        return str(found["spec"]["nodeName"])

    # ---- waiting

    def wait_available(self, seconds: float) -> float:
        """Until the cluster and all its tables are Available at their newest generation, and every replica is level."""

        def probe() -> bool:
            try:
                cluster = self._declared()
                tables = self.kube.list("Table", self.namespace)
            except (NoAnswer, Refused) as problem:
                raise NotYet(str(problem)) from problem
            for found in (cluster, *tables):
                available = condition(found, "Available")
                fresh = available.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
                if available["status"] != "True" or not fresh:
                    raise NotYet(f"{found['kind']} {found['metadata']['name']}: {_words(found)}")
            return True

        return self._wait("cluster and tables are Available", probe, seconds)

    def wait_healthy(self, seconds: float) -> float:
        """Until Available, as many pods are ready as declared, and no replica is missing or behind."""

        def probe() -> bool:
            try:
                cluster = self._declared()
                tables = self.kube.list("Table", self.namespace)
                pods = self.pods()
            except (NoAnswer, Refused) as problem:
                raise NotYet(str(problem)) from problem
            ready = sum(pod_is_ready(pod) for pod in pods)
            # Both: the status may be from before whatever happened.
            if not ready == cluster["spec"]["nodes"] == (cluster.get("status") or {}).get("readyNodes"):
                raise NotYet(f"{ready} pods are ready; {_words(cluster)}")
            for found in (cluster, *tables):
                if (
                    condition(found, "Available")["status"] != "True"
                    or condition(found, "Degraded")["status"] != "False"
                ):
                    raise NotYet(f"{found['kind']} {found['metadata']['name']}: {_words(found)}")
            for table in tables:
                level, _, wanted = str(table["status"].get("replicas", "")).partition("/")
                if not level or level != wanted:
                    raise NotYet(f"{table['metadata']['name']} has {level}/{wanted} replicas")
            return True

        return self._wait("the cluster is whole again", probe, seconds)

    def wait_condition(self, kind: str, status: str, seconds: float, reason: str = "") -> Object:
        """The condition, once it is so."""

        def probe() -> bool:
            try:
                found = self.condition(kind)
            except (NoAnswer, Refused) as problem:
                raise NotYet(str(problem)) from problem
            if found["status"] != status or (reason and found["reason"] != reason):
                raise NotYet(_words(self._declared()))
            return True

        self._wait(f"{kind} is {status} {reason}".rstrip(), probe, seconds)
        return self.condition(kind)

    def wait_pod_ready(self, name: str, seconds: float, not_uid: str = "") -> float:
        """Until a pod of this name is ready; `not_uid`: another one than this."""

        def probe() -> bool:
            try:
                found = self.pod(name)
            except NoAnswer as problem:
                raise NotYet(str(problem)) from problem
            if found is None:
                raise NotYet("no such pod")
            if found["metadata"]["uid"] == not_uid:
                raise NotYet("still the old pod")
            if not pod_is_ready(found):
                raise NotYet(f"{found['status'].get('phase')}: {found['status'].get('conditions')}")
            return True

        return self._wait(f"pod {name} is ready", probe, seconds)

    def _wait(self, what: str, probe: Any, seconds: float) -> float:
        try:
            return wait_for(what, probe, seconds, poll_seconds=0.5)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.describe()}") from None

    def describe(self) -> str:
        """What a person would look at first."""
        parts = []
        for arguments in (
            ("get", "ksc,kst,pods,pvc", "--output", "wide"),
            ("get", "events", "--sort-by", ".lastTimestamp"),
            ("logs", "--selector", f"keystead.io/cluster={self.name}", "--tail", "12", "--prefix"),
        ):
            try:
                text = kubectl("--namespace", self.namespace, *arguments, seconds=20)
            except AssertionError as problem:
                text = str(problem)
            parts.append(f"--- kubectl {' '.join(arguments)}\n" + "\n".join(text.splitlines()[-40:]))
        return "\n".join(parts)

    def delete(self, seconds: float = 120.0) -> None:
        """The cluster and all its namespace."""
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=true", seconds=seconds)


def pod_is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return not pod["metadata"].get("deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def _words(found: Object) -> str:
    conditions = (found.get("status") or {}).get("conditions") or []
    said = [f"{one['type']}={one['status']} ({one['reason']}: {one['message']})" for one in conditions]
    ready = (found.get("status") or {}).get("readyNodes")
    return "; ".join(said) + (f"; {ready} nodes ready" if ready is not None else "") or "no status yet"
