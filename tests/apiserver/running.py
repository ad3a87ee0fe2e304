"""A StorageCluster that an operator runs on the test kubelet: what tests ask of it, and clients of its API."""

import base64
import json
import socket
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from tests.apiserver import manifests
from tests.apiserver.kubelet.faults import Faults
from tests.apiserver.kubelet.names import addresses_of
from tests.apiserver.rest import Api, Object, wait_until

CLUSTER_SECONDS_MAX = 180.0
TABLE_SECONDS_MAX = 180.0
_look_up = socket.getaddrinfo


def resolve_services(faults: Faults) -> None:
    """From now on this process finds Services by their names, as pods do."""

    def getaddrinfo(host: Any, *more: Any, **named: Any) -> Any:
        if isinstance(host, str) and host.endswith(".svc"):
            name, namespace, _ = host.split(".")
            service = faults.kubelet.services.get(namespace, name)
            found = addresses_of(service, list(faults.kubelet.pods)) if service is not None else []
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, f"no address of {host}")
            return [one for address in found for one in _look_up(address, *more, **named)]
        return _look_up(host, *more, **named)

    socket.getaddrinfo = getaddrinfo


class RunningCluster:
    """A StorageCluster by its namespace and name."""

    def __init__(self, api: Api, faults: Faults, namespace: str, directory: Path, name: str = "keystead") -> None:
        self.api = api
        self.faults = faults
        self.namespace = namespace
        self.name = name
        self.directory = directory
        self._ca_file = directory / f"{namespace}-{name}-ca.crt"

    # ---- what is declared

    def create(self, **spec: Any) -> None:
        """Short leases and a short grace unless the spec says otherwise, and no encryption unless it asks for it."""
        given = {
            "failover": {"leaseSeconds": 1},
            "nodeLossGrace": "30s",
            "storage": {"size": "1Gi"},
            "tls": {"enabled": False},
            **spec,
        }
        self.api.create(manifests.cluster(self.name, **given), self.namespace)

    def change(self, **spec: Any) -> None:
        self.api.patch("StorageCluster", self.namespace, self.name, {"spec": spec})

    def create_table(self, name: str = "orders", **spec: Any) -> None:
        given = {"clusterRef": {"name": self.name}, "partitions": {"count": 2}, **spec}
        self.api.create(manifests.table(name, **given), self.namespace)

    # ---- what is so

    def condition(self, kind: str, name: str, what: str) -> tuple[str, str, str]:
        """(status, reason, message); of a condition that is not there: three empty texts."""
        found = self.api.find(kind, self.namespace, name) or {}
        for one in found.get("status", {}).get("conditions") or []:
            if one["type"] == what:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def wait_condition(
        self, what: str, status: str, reason: str = "", *, kind: str = "StorageCluster", name: str = "", seconds: float
    ) -> str:
        """Waits until a condition has this status (and reason); gives its message."""
        name = name or self.name
        wanted = f"{kind} {name} {what}={status} {reason}".strip()

        def holds() -> bool:
            seen = self.condition(kind, name, what)
            return seen[0] == status and reason in ("", seen[1])

        self.wait(wanted, holds, seconds)
        return self.condition(kind, name, what)[2]

    def wait_available(self, seconds: float = CLUSTER_SECONDS_MAX) -> None:
        """Every node is active, and every partition has a master."""

        def is_whole() -> bool:
            found = self.api.find("StorageCluster", self.namespace, self.name) or {}
            status = found.get("status", {})
            serving = self.condition("StorageCluster", self.name, "Available")[0] == "True"
            return serving and status.get("readyNodes") == found["spec"]["nodes"] == status.get("nodes")

        self.wait("the cluster is whole", is_whole, seconds)

    def wait_table(self, name: str = "orders", seconds: float = TABLE_SECONDS_MAX) -> None:
        self.wait_condition("Available", "True", kind="Table", name=name, seconds=seconds)

    def wait_level(self, name: str = "orders", seconds: float = CLUSTER_SECONDS_MAX) -> None:
        """All replicas of the table are there and level."""
        self.wait_condition("Degraded", "False", kind="Table", name=name, seconds=seconds)

    def wait(self, what: str, look: Any, seconds: float) -> Any:
        try:
            return wait_until(what, look, seconds, every_seconds=0.2)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.describe()}") from None

    def pods(self) -> dict[str, Object]:
        found = self.api.objects("Pod", self.namespace, f"keystead.io/cluster={self.name}")
        return {pod["metadata"]["name"]: pod for pod in found}

    def claims(self) -> dict[str, Object]:
        found = self.api.objects("PersistentVolumeClaim", self.namespace, f"keystead.io/cluster={self.name}")
        return {claim["metadata"]["name"]: claim for claim in found}

    def claim_of(self, pod: str) -> str:
        """The name of the claim that a pod mounts; "" while there is no pod."""
        found = self.pods().get(pod)
        volumes = found["spec"]["volumes"] if found is not None else []
        claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]
        return str(claims[0]) if claims else ""

    def uids(self) -> dict[str, str]:
        return {name: pod["metadata"]["uid"] for name, pod in self.pods().items()}

    def home_of(self, pod: str) -> str:
        """The Kubernetes node that the pod is on."""
        return str(self.pods()[pod]["spec"]["nodeName"])

    def describe(self) -> str:
        """For messages: conditions and pods as they are."""
        lines = []
        for kind in ("StorageCluster", "Table"):
            for one in self.api.objects(kind, self.namespace)[:5]:
                for c in one.get("status", {}).get("conditions") or []:
                    name = one["metadata"]["name"]
                    lines.append(f"{kind}/{name} {c['type']}={c['status']} {c['reason']}: {c['message']}")
        for name, pod in self.pods().items():
            status = pod["status"]
            ready = [c["status"] for c in status.get("conditions") or [] if c["type"] == "Ready"]
            state = [s["state"] for s in status.get("containerStatuses") or []]
            lines.append(
                f"pod {name} {status.get('phase')} ready={ready} {status.get('podIP', '')} {json.dumps(state)}"
            )
            lines += [f"    {line[:300]}" for line in self.faults.log(self.namespace, name).splitlines()[-3:]]
        return "\n".join(lines)

    # ---- the API

    def endpoint(self) -> str:
        scheme = "https" if self.encrypted else "http"
        return f"{scheme}://{self.name}.{self.namespace}.svc:8000"

    def endpoints(self) -> list[str]:
        """Of each pod by its address; without encryption only."""
        assert not self.encrypted, "certificates are for names"
        return [f"http://{pod['status']['podIP']}:8000" for pod in self.pods().values() if pod["status"].get("podIP")]

    def client(self, key: str = "test", secret: str = "test", **config: Any) -> Any:
        """boto3, over the Service, with as many retries as an SDK makes by default."""
        verify: bool | str = True
        if self.encrypted:
            secret_object = self.api.get("Secret", self.namespace, f"{self.name}-tls")
            self._ca_file.write_bytes(base64.b64decode(secret_object["data"]["ca.crt"]))
            verify = str(self._ca_file)
        given = {"retries": {"max_attempts": 10, "mode": "standard"}, "read_timeout": 5, "connect_timeout": 3, **config}
        return boto3.client(
            "dynamodb",
            endpoint_url=self.endpoint(),
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            verify=verify,
            config=botocore.config.Config(**given),
        )

    def put(self, key: str, value: str = "", table: str = "orders") -> None:
        self.client().put_item(TableName=table, Item={"id": {"S": key}, "value": {"S": value or key}})

    def get(self, key: str, table: str = "orders") -> str | None:
        found = self.client().get_item(TableName=table, Key={"id": {"S": key}}, ConsistentRead=True).get("Item")
        return None if found is None else str(found["value"]["S"])

    @property
    def encrypted(self) -> bool:
        return bool(self.api.get("StorageCluster", self.namespace, self.name)["spec"]["tls"]["enabled"])
