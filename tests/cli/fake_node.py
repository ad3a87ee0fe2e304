"""A stand-in for the node process: the admin port's interface, and a catalog in a file that all of them share.

It holds no rows. It is there to test the command line and the supervisor without the engine.
`<volume>/refuse` with "CODE LINE" makes the process end with this code and line.
"""

import fcntl
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from keystead_core.catalog.commands import TableSpec
from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import (
    ClusterMap,
    ClusterSettings,
    NodeEntry,
    PartitionEntry,
    ReplicaTarget,
    TableDefinition,
)


class Shared(msgspec.Struct):
    """What the fake nodes know together. `pids`: node id -> process."""

    map: ClusterMap | None = None
    pids: dict[str, int] = {}
    fence: int = 0
    maintained: list[str] = []


class FakeNode:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.volume = Path(config["data_dir"])
        self.shared_path = self.volume.parent.parent / "fake-catalog.json"
        self.identity = self.volume / "fake-identity"
        if not self.identity.exists():
            self.identity.write_text(secrets.token_hex(8))
        self.id = self.identity.read_text()
        with self.shared() as shared:
            shared.pids[self.id] = os.getpid()

    @contextmanager
    def shared(self) -> Iterator[Shared]:
        with open(self.shared_path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            raw = file.read()
            shared = msgspec.json.decode(raw, type=Shared) if raw else Shared()
            yield shared
            file.truncate(0)
            file.write(msgspec.json.encode(shared))

    @property
    def formed(self) -> bool:
        return (self.volume / "catalog").exists()

    def status(self) -> dict[str, Any]:
        with self.shared() as shared:
            self.register(shared)
            replicas = []
            for entry in shared.map.partitions.values() if shared.map else []:
                members = [member.node for member in entry.members]
                if self.id in members:
                    alive = [node for node in members if _alive(shared.pids.get(node, 0))]
                    quorum = len(alive) * 2 > len(members)
                    role = "master" if quorum and alive[entry.id % len(alive)] == self.id else "follower"
                    replicas.append(self.replica(entry, role, members, shared))
            state = "maintenance" if self.id in shared.maintained else "active"
        return {
            "node": {
                "id": self.id,
                "name": self.config["name"],
                "zone": self.config["zone"],
                "boot": 1,
                "state": state,
                "formed": self.formed,
                "volume_empty": not self.formed,
                "pid": os.getpid(),
                "api_port": self.config["api_port"],
            },
            "replicas": replicas,
        }

    def replica(self, entry: PartitionEntry, role: str, members: list[Any], shared: Shared) -> dict[str, Any]:
        eligible = self.id not in shared.maintained
        return {
            "partition": entry.id,
            "replica": 1,
            "role": role,
            "epoch": 3,
            "membershipVersion": 1,
            "members": members,
            "lastLsn": 10,
            "durableLsn": 10,
            "commitLsn": 10,
            "appliedLsn": 10,
            "eligible": eligible,
            "ineligibleReason": None if eligible else "planned",
            "lease_ms": 900,
            "why": None,
            "followers": {},
        }

    def register(self, shared: Shared) -> None:
        if shared.map is None or self.id in shared.map.nodes:
            return
        config = self.config
        shared.map.nodes[self.id] = NodeEntry(
            id=self.id,
            name=config["name"],
            zone=config["zone"],
            host=config["host"],
            disk=config["disk"],
            api_address="",
            peer_address="",
            admin_address="",
            boot=1,
            state="active",
        )
        shared.map.version += 1

    def form(self, body: dict[str, Any]) -> dict[str, Any]:
        (self.volume / "catalog").touch()
        with self.shared() as shared:
            if shared.map is None:
                members = [
                    ReplicaTarget(one["replica_id"], one["node_id"], one["zone"], "voter") for one in body["members"]
                ]
                shared.map = ClusterMap(version=1, cluster=self.config["cluster"], nodes={}, tables={}, partitions={})
                shared.map.partitions[1] = _partition(1, "", b"", None, members)
        return {"ok": True}

    def command(self, body: dict[str, Any]) -> dict[str, Any]:
        with self.shared() as shared:
            assert shared.map is not None
            shared.map.version += 1
            match body["type"]:
                case "Fence":
                    shared.fence += 1
                    return {"ok": True, "reply": msgspec.to_builtins(CatalogReply(fence=shared.fence))}
                case "UpdateSettings":
                    shared.map.settings = msgspec.convert(body["settings"], ClusterSettings)
                case "SetNodeState":
                    old = shared.map.nodes[body["node"]]
                    shared.map.nodes[body["node"]] = msgspec.structs.replace(old, state=body["state"])
                case "NodeLeft":
                    old = shared.map.nodes[body["node"]]
                    shared.map.nodes[body["node"]] = msgspec.structs.replace(old, state="left")
                case "CreateTable":
                    spec = msgspec.convert(body["table"], TableSpec)
                    if spec.name == "refused":
                        return {"ok": False, "error": "the catalog does not like this name"}
                    self.create(shared.map, spec, body["at"])
                case "UpdateTable":
                    spec = msgspec.convert(body["table"], TableSpec)
                    fields = msgspec.structs.asdict(spec)
                    shared.map.tables[spec.name] = msgspec.structs.replace(shared.map.tables[spec.name], **fields)
                case "DeleteTable":
                    del shared.map.tables[body["name"]]
                    gone = [key for key, entry in shared.map.partitions.items() if entry.table == body["name"]]
                    for key in gone:
                        del shared.map.partitions[key]
                case other:
                    return {"ok": False, "error": f"no command {other}"}
        return {"ok": True}

    def create(self, cluster_map: ClusterMap, spec: TableSpec, at: float) -> None:
        fields = msgspec.structs.asdict(spec)
        cluster_map.tables[spec.name] = TableDefinition(table_id="id", created_at=at, status="ACTIVE", **fields)
        nodes = [node for node in cluster_map.nodes.values() if node.state == "active"][: spec.replicas]
        step = 2**64 // spec.partitions
        for n in range(spec.partitions):
            low = (n * step).to_bytes(8, "big") if n else b""
            high = ((n + 1) * step).to_bytes(8, "big") if n + 1 < spec.partitions else None
            members = [ReplicaTarget(m, node.id, node.zone, "voter") for m, node in enumerate(nodes)]
            key = max(cluster_map.partitions) + 1
            cluster_map.partitions[key] = _partition(key, spec.name, low, high, members)

    def maintain(self, maintained: bool) -> dict[str, Any]:
        with self.shared() as shared:
            others = [one for one in shared.maintained if one != self.id]
            if maintained and others:
                return {"ok": False, "reason": "another node is in maintenance already"}
            shared.maintained = [*others, self.id] if maintained else others
        return {"ok": True, "reason": ""}


def _partition(key: int, table: str, low: bytes, high: bytes | None, members: list[ReplicaTarget]) -> PartitionEntry:
    return PartitionEntry(
        id=key,
        table=table,
        low=low,
        high=high,
        generation=1,
        founders=members,
        target=members,
        members=members,
        write_quorum=len(members) // 2 + 1,
        durable_zones=1,
    )


def _alive(pid: int) -> bool:
    try:
        return pid > 0 and f"/proc/{pid}/stat" != "" and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return False


def handler(node: FakeNode) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            return

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/status":
                    self.answer(json.dumps(node.status()).encode())
                case "/map":
                    with node.shared() as shared:
                        empty = ClusterMap(version=0, cluster="", nodes={}, tables={}, partitions={})
                        content = msgspec.json.encode(shared.map or empty)
                    self.answer(content)
                case _:
                    self.send_error(404)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            match self.path:
                case "/catalog/form":
                    reply = node.form(body)
                case "/catalog/command":
                    reply = node.command(body)
                case "/maintain":
                    reply = node.maintain(True)
                case "/resume":
                    reply = node.maintain(False)
                case _:
                    return self.send_error(404)
            return self.answer(json.dumps(reply).encode())

        def answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def main() -> None:
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    refusal = Path(config["data_dir"]) / "refuse"
    if refusal.exists():
        code, line = refusal.read_text().split(" ", 1)
        print(line, file=sys.stderr)
        sys.exit(int(code))
    server = ThreadingHTTPServer((config["bind"], config["admin_port"]), handler(FakeNode(config)))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
