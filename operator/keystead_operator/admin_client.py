"""HTTP client of the nodes' admin ports.

A request at a time is sent over a connection of its own, from a thread: few and small ones are made, and the command
line starts twice as fast without a larger client. With TLS both ends show certificates, and the node's is checked for
the one name that all nodes of the cluster bear: they are reached by addresses that no certificate knows.
"""

import asyncio
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_operator.node_status import NodeStatus, decode_status

TIMEOUT_SECONDS: Final = 2.0
COMMAND_TIMEOUT_SECONDS: Final = 15.0


class NodeUnreachable(Exception):
    """The node did not answer, or not with what was asked for."""


class Refused(Exception):
    """The node answered that it will not; the message is its reason."""


class AdminTls(msgspec.Struct, frozen=True):
    """`server_name`: in the certificate of every node of the cluster, node.C.NS.keystead."""

    context: ssl.SSLContext
    server_name: str


def admin_tls(authorities: bytes, certificate: bytes, key: bytes, server_name: str) -> AdminTls:
    """From the files of a Secret, in PEM. Raises ssl.SSLError where they are not usable, or not of one piece."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.TemporaryDirectory() as directory:  # mode 0700; ssl takes keys from files alone
        files = (Path(directory) / "tls.crt", Path(directory) / "tls.key")
        for path, content in zip(files, (certificate, key), strict=True):
            path.write_bytes(content)
        context.load_cert_chain(*files)
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii"))
    except ValueError as problem:
        raise ssl.SSLError(f"ca.crt is not PEM: {problem}") from problem
    return AdminTls(context, server_name)


class AdminClient:
    """Talks to any number of nodes of one cluster. `address` is host:port of a node's admin port."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS, tls: AdminTls | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        self._tls = tls

    async def status(self, address: str) -> NodeStatus:
        """Raises NodeUnreachable."""
        try:
            return decode_status(await self._get(address, "/status"))
        except msgspec.DecodeError as problem:
            raise NodeUnreachable(f"{address} answered with an unknown status: {problem}") from problem

    async def map(self, address: str) -> ClusterMap:
        """The map as this node knows it. Raises NodeUnreachable."""
        found = await self.other_map(address, None)
        assert found is not None, "an answer without a map is not given unless it is asked for"
        return found

    async def other_map(self, address: str, version: int | None) -> ClusterMap | None:
        """The map as this node knows it; None if it is of this very version. Raises NodeUnreachable."""
        try:
            raw = await self._get(address, "/map" if version is None else f"/map?unless={version}")
            return msgspec.json.decode(raw, type=ClusterMap) if raw else None
        except msgspec.DecodeError as problem:
            raise NodeUnreachable(f"{address} answered with an unknown map: {problem}") from problem

    async def command(self, address: str, command: dict[str, Any]) -> dict[str, Any]:
        """Has the catalog carry a command out, through any node. Raises Refused, NodeUnreachable."""
        return await self.post(address, "/catalog/command", command)

    async def post(self, address: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Posts, and gives the answer if it is ok. Raises Refused, NodeUnreachable."""
        content = json.dumps(body or {}).encode()
        status, raw = await self._exchange(address, "POST", path, content, COMMAND_TIMEOUT_SECONDS)
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NodeUnreachable(f"{address} answered {path} with status {status}: {raw[:200]!r}")
        if answer.get("ok"):
            return answer
        reason = str(answer.get("error") or answer.get("reason") or f"status {status}")
        if status == http.client.SERVICE_UNAVAILABLE:
            raise NodeUnreachable(reason)
        raise Refused(reason)

    async def _get(self, address: str, path: str) -> bytes:
        status, body = await self._exchange(address, "GET", path, None, self._timeout_seconds)
        if status not in (http.client.OK, http.client.NO_CONTENT):
            raise NodeUnreachable(f"{address} answered {path} with status {status}")
        return body

    async def _exchange(
        self, address: str, method: str, path: str, content: bytes | None, timeout_seconds: float
    ) -> tuple[int, bytes]:
        try:
            return await asyncio.to_thread(_exchange, self._tls, address, method, path, content, timeout_seconds)
        except (http.client.HTTPException, OSError) as problem:
            what = str(problem) or type(problem).__name__
            raise NodeUnreachable(f"{address} does not answer {path}: {what}") from problem


def _exchange(
    tls: AdminTls | None, address: str, method: str, path: str, content: bytes | None, timeout_seconds: float
) -> tuple[int, bytes]:
    """One request and its answer: (status, body). Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection(address, timeout=timeout_seconds)
    try:
        if tls is not None:
            connection.connect()
            connection.sock = tls.context.wrap_socket(connection.sock, server_hostname=tls.server_name)
        connection.request(method, path, content, {"Content-Type": "application/json", "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
