"""Servers under test: each starts on free loopback ports with its data on a real disk, and stops by its own pids."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil

from benchmarks import programs
from tests.faults.cluster import Cluster

TABLE = "bench"
LINES = "bench-lines"
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=benchmark/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "0123456789abcdef" * 4
)


class Server(Protocol):
    """A system under test. `protocol`: dynamodb | etcd. `addresses`: host:port that clients spread over."""

    name: str
    protocol: str
    addresses: list[str]

    def addresses_of(self, table: str) -> list[str]:
        """Where clients of a table go to."""
        ...

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def processes(self) -> list[psutil.Process]: ...


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on right now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def post(address: str, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """One JSON request; the decoded answer. Raises urllib.error.HTTPError with the body in its reason."""
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode(), headers or {}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def dynamodb(address: str, operation: str, body: dict[str, Any]) -> Any:
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": AUTHORIZATION,
    }
    return post(address, "/", body, headers)


def wait_until(what: str, ready: Callable[[], Any], seconds: float = 60.0) -> None:
    """Polls `ready()` until it is true. Raises TimeoutError naming `what`."""
    end = time.monotonic() + seconds
    last = ""
    while time.monotonic() < end:
        try:
            if ready():
                return
        except (OSError, urllib.error.URLError, ValueError) as error:
            last = repr(error)
        time.sleep(0.1)
    raise TimeoutError(f"{what} not within {seconds:.0f} s {last}")


class _Processes:
    """Processes with their output in a log file, in a scratch directory that goes with them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{name.split()[0].lower()}-", dir=_scratch()))
        self._running: list[subprocess.Popen[bytes]] = []
        self.addresses: list[str] = []

    def addresses_of(self, table: str) -> list[str]:
        return self.addresses

    def spawn(self, command: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.directory, stdout=log, stderr=log, env={**os.environ, **environment}
            )
        self._running.append(process)
        return process

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in self._running:
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        return found

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
        shutil.rmtree(self.directory, ignore_errors=True)


def _scratch() -> str:
    directory = programs.CACHE / "run"
    directory.mkdir(parents=True, exist_ok=True)
    return str(directory)


def create_table(address: str, name: str = TABLE) -> None:
    """A table that the load goes to: hash key `pk`; LINES has a range key `sk` too. Returns when it is active."""
    keys = [("pk", "S", "HASH"), *([("sk", "N", "RANGE")] if name == LINES else [])]
    schema = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind, _ in keys],
        "KeySchema": [{"AttributeName": key, "KeyType": role} for key, _, role in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }
    dynamodb(address, "CreateTable", schema)
    described = {"TableName": name}
    wait_until(
        "table active",
        lambda: dynamodb(address, "DescribeTable", described)["Table"]["TableStatus"] == "ACTIVE",
    )


class Etcd(_Processes):
    """Three etcd members on one machine, fsync on. `spread`: clients use all members, else the leader alone."""

    protocol = "etcd"

    def __init__(self, spread: bool = False) -> None:
        super().__init__("etcd 3 nodes" + (" (spread)" if spread else ""))
        self.spread = spread
        self.members: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        ports = free_ports(6)
        clients, peers = ports[:3], ports[3:]
        members = ",".join(f"n{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers))
        for number in range(3):
            client, peer = f"http://127.0.0.1:{clients[number]}", f"http://127.0.0.1:{peers[number]}"
            flags = ["--name", f"n{number}", "--data-dir", f"d{number}", "--log-level", "error"]
            flags += ["--listen-client-urls", client, "--advertise-client-urls", client]
            flags += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            flags += ["--initial-cluster", members, "--quota-backend-bytes", str(8 << 30)]
            self.members.append(self.spawn([*programs.etcd(), *flags], ETCD_UNSUPPORTED_ARCH="arm64"))
        everybody = [f"127.0.0.1:{port}" for port in clients]
        wait_until("etcd has a leader", lambda: all(self.status(address).get("leader") for address in everybody))
        self.client_addresses = everybody
        self.addresses = everybody if self.spread else [everybody[self.leader()]]

    def status(self, address: str) -> Any:
        return post(address, "/v3/maintenance/status", {})

    def leader(self) -> int:
        """The index of the member that leads. Raises LookupError while there is none."""
        for number, address in enumerate(self.client_addresses):
            with contextlib.suppress(OSError):
                status = self.status(address)
                if status["leader"] == status["header"]["member_id"]:
                    return number
        raise LookupError("no etcd member leads")


class Dynalite(_Processes):
    """dynalite over LevelDB: one process, no fsync, no replicas."""

    protocol = "dynamodb"

    def __init__(self) -> None:
        super().__init__("dynalite (LevelDB)")

    def start(self) -> None:
        (port,) = free_ports(1)
        self.addresses = [f"127.0.0.1:{port}"]
        flags = ["--host", "127.0.0.1", "--port", str(port), "--path", "data", "--createTableMs", "0"]
        self.spawn([*programs.dynalite(), *flags])
        wait_until("dynalite answers", lambda: dynamodb(self.addresses[0], "ListTables", {}))
        create_table(self.addresses[0])


class DynamoDBLocal(_Processes):
    """DynamoDB Local on disk (SQLite): one process."""

    protocol = "dynamodb"

    def __init__(self) -> None:
        super().__init__("DynamoDB Local (disk)")

    def start(self) -> None:
        (port,) = free_ports(1)
        self.addresses = [f"127.0.0.1:{port}"]
        (self.directory / "data").mkdir()
        self.spawn([*programs.dynamodb_local(), "-dbPath", "data", "-sharedDb", "-port", str(port)])
        wait_until("DynamoDB Local answers", lambda: dynamodb(self.addresses[0], "ListTables", {}))
        create_table(self.addresses[0])


class Keystead:
    """Three nodes as `keystead up` starts them, in three zones, fdatasync on.

    `spread`: clients use all nodes, else the one that masters the table's first partition when they first ask for it.
    `node_command`: None starts the nodes as users do.
    """

    protocol = "dynamodb"

    def __init__(
        self, partitions: int = 1, spread: bool = True, node_command: str | None = None, **settings: Any
    ) -> None:
        self.name = "Keystead 3 nodes" + (" (spread)" if spread else "")
        self.spread = spread
        self.directory = Path(tempfile.mkdtemp(prefix="bench-keystead-", dir=_scratch()))
        self.cluster = Cluster(self.directory, settings={"hot_log_mb": 256, **settings}, node_command=node_command)
        self.partitions = partitions
        self.addresses: list[str] = []
        self._addresses: dict[str, list[str]] = {}

    def start(self) -> None:
        self.cluster.up()
        self.cluster.create_table(TABLE, partitions=self.partitions)
        self.addresses = self.addresses_of(TABLE)

    def addresses_of(self, table: str) -> list[str]:
        if table not in self._addresses:
            self.cluster.wait_until("all replicas are level", lambda: self.cluster.all_level(table), 300)
            all_nodes = self.cluster.endpoints()
            endpoints = all_nodes if self.spread else [self.cluster.endpoint(self.cluster.masters(table)[0])]
            self._addresses[table] = [endpoint.removeprefix("http://") for endpoint in endpoints]
        return self._addresses[table]

    def processes(self) -> list[psutil.Process]:
        """The node processes, in the order of the nodes' names."""
        return [psutil.Process(self.cluster.pid(name)) for name in self.cluster.names()]

    def stop(self) -> None:
        self.cluster.destroy()
        shutil.rmtree(self.directory, ignore_errors=True)
