"""Node processes as pods have them: an address of their own, one configuration file for all, the rest by environment.

Addresses are on loopback, in a network 127.x.y.0/24 of this cluster alone. A volume is a directory and outlives pods.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import msgspec

from keystead_operator.admin_client import AdminClient, AdminTls, NodeUnreachable

API, PEER, ADMIN = 8000, 7000, 7001
STARTING_SECONDS_MAX = 100.0


class Pod:
    """A node process on an address. `place`: its name, which its volume goes by too."""

    def __init__(self, cluster: "Pods", place: str, zone: str, address: str) -> None:
        self.cluster, self.place, self.zone, self.address = cluster, place, zone, address
        self.log = cluster.directory / f"{place}.log"
        command = [*cluster.with_hosts(), sys.executable, "-m", "keystead_node.main"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config_file()), *cluster.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
            )

    def config_file(self) -> Path:
        """The file is one for all but for the data directory, which pods mount at the same path."""
        path = self.cluster.directory / f"{self.place}.json"
        path.write_text(json.dumps(self.cluster.config | {"data_dir": str(self.cluster.directory / self.place)}))
        return path

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "KEYSTEAD_NAME": self.place,
            "KEYSTEAD_ZONE": self.zone,
            "KEYSTEAD_HOST": f"host-{self.zone}",
            "KEYSTEAD_BIND": self.address,
            "KEYSTEAD_ADVERTISE": self.address,
        }

    def program(self, *arguments: str, body: str = "") -> "subprocess.CompletedProcess[str]":
        """A `keystead-node` command as it is run inside the pod."""
        command = [sys.executable, "-m", "keystead_node.main", *arguments, "--config", str(self.config_file())]
        return subprocess.run(command, input=body, capture_output=True, text=True, env=self.environment(), timeout=60)

    def ask(self, path: str, body: Any = None) -> Any:
        """GET, or POST where there is a body. Raises NodeUnreachable, Refused."""
        client, where = AdminClient(tls=self.cluster.admin_tls), f"{self.address}:{ADMIN}"
        if body is not None:
            return asyncio.run(client.post(where, path, body))
        return msgspec.to_builtins(asyncio.run(client.map(where) if path == "/map" else client.status(where)))

    def status(self) -> dict[str, Any]:
        """{} while it does not answer."""
        try:
            found: dict[str, Any] = self.ask("/status")
        except NodeUnreachable:
            return {}
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as the kubelet ends a container; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Pods:
    """A cluster of such nodes. `config` is what all their configuration files hold."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.directory = directory
        self.network, self._reservation = _own_network()
        self.config = {
            "cluster": "c-pods",
            "api_port": API,
            "peer_port": PEER,
            "admin_port": ADMIN,
            "catalog_lock_file": str(directory / "catalog.lock"),
            "settings": {"hot_log_mb": 16},
            "insecure_no_auth": "credentials_dir" not in config,
            **config,
        }
        self.arguments: list[str] = []
        self.pods: dict[str, Pod] = {}
        self.hosts: Path | None = None
        self.admin_tls: AdminTls | None = None

    def set_hosts(self, name: str, numbers: list[int]) -> None:
        """Pods started from now on know the name by these addresses; those that know it already learn the change."""
        self.hosts = self.directory / "hosts"
        self.hosts.write_text("".join(f"{self.address(n)} {name}\n" for n in numbers))

    def with_hosts(self) -> list[str]:
        """The start of a command line that gives its program /etc/hosts of its own."""
        if self.hosts is None:
            return []
        rights = "-m" if os.geteuid() == 0 else "-rm"
        return ["unshare", rights, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self.hosts)]

    def address(self, number: int) -> str:
        return f"{self.network}.{number}"

    def start(self, place: str, zone: str, number: int) -> Pod:
        """Starts the place's node at the network's address of that number."""
        pod = self.pods[place] = Pod(self, place, zone, self.address(number))
        return pod

    def start_all(self, first_number: int = 1) -> None:
        for n, zone in enumerate("abc"):
            self.start(f"node-{n}", zone, first_number + n)

    def form(self) -> None:
        """Names the founders of the catalog, as the operator does, and waits until all have registered."""
        pods = list(self.pods.values())
        self.wait("all nodes answer", lambda: all(pod.status() for pod in pods))
        members = [
            {
                "node_id": pod.status()["node"]["id"],
                "zone": pod.zone,
                "replica_id": n,
                "peer_address": f"{pod.address}:{PEER}",
            }
            for n, pod in enumerate(pods, 1)
        ]
        for pod in pods:
            assert pod.ask("/catalog/form", {"members": members})["ok"]
        self.wait_registered()

    def wait_registered(self) -> None:
        def registered() -> bool:
            nodes = self.map()["nodes"].values()
            return all(any(_is(node, pod) for node in nodes) for pod in self.pods.values())

        self.wait("every node is registered at its address", registered)

    def map(self) -> Any:
        pod = next(pod for pod in self.pods.values() if pod.status())
        return pod.ask("/map")

    def client(self, place: str, **more: Any) -> Any:
        """A boto3 client of one node's API that does not retry."""
        options = {"aws_access_key_id": "any", "aws_secret_access_key": "any", **more}
        return boto3.client(
            "dynamodb",
            endpoint_url=options.pop("endpoint_url", f"http://{self.pods[place].address}:{API}"),
            region_name="us-east-1",
            config=botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=15),
            **options,
        )

    def create_table(self, client: Any, name: str = "items") -> None:
        """As any client, it asks again where the catalog has just changed its master, and the outcome is unknown."""

        def is_made() -> bool:
            try:
                client.create_table(
                    TableName=name,
                    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                    BillingMode="PAY_PER_REQUEST",
                )
            except client.exceptions.InternalServerError:
                return False
            except client.exceptions.ResourceInUseException:
                pass
            return True

        self.wait(f"table {name} is made", is_made)
        self.wait(f"table {name} serves", lambda: writes(client, "first", name))

    def wait(self, what: str, done: Callable[[], Any], seconds: float = STARTING_SECONDS_MAX) -> Any:
        """What `done` answers once that is true of it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(NodeUnreachable, StopIteration):
                if found := done():
                    return found
            time.sleep(0.05)
        logs = "\n".join(f"--- {pod.place}\n{pod.said()[-3000:]}" for pod in self.pods.values())
        raise AssertionError(f"{what}: not within {seconds:.0f} s\n{logs}")

    def destroy(self) -> None:
        for pod in self.pods.values():
            with contextlib.suppress(ProcessLookupError):
                pod.kill()
        self._reservation.close()


def _is(node: dict[str, Any], pod: Pod) -> bool:
    return bool(node["name"] == pod.place and node["peer_address"] == f"{pod.address}:{PEER}")


def reads(client: Any, key: str) -> bool:
    """Whether the item is there; not while nobody answers."""
    try:
        return "Item" in client.get_item(TableName="items", Key={"pk": {"S": key}}, ConsistentRead=True)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        return False


def writes(client: Any, key: str, table: str = "items") -> bool:
    """Whether it is acknowledged."""
    try:
        client.put_item(TableName=table, Item={"pk": {"S": key}})
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        return False
    return True


def _own_network() -> tuple[str, socket.socket]:
    """A network that no other test of this machine uses, and the socket that keeps it so."""
    chance = random.SystemRandom()
    while True:
        network = f"127.{chance.randrange(2, 250)}.{chance.randrange(256)}"
        reservation = socket.socket()
        try:
            reservation.bind((f"{network}.254", PEER))
        except OSError:
            reservation.close()
            continue
        return network, reservation


@contextlib.contextmanager
def three_pods(where: "Path | Pods", **config: Any) -> Iterator[Pods]:
    """Three nodes in three zones, their catalog formed; nothing is left of them behind the block."""
    cluster = where if isinstance(where, Pods) else Pods(where, **config)
    try:
        cluster.config.setdefault("seeds", [f"{cluster.address(n)}:{PEER}" for n in (1, 2, 3)])
        cluster.start_all()
        cluster.form()
        yield cluster
    finally:
        cluster.destroy()
