"""HTTP client of the nodes' admin ports.

A request at a time is sent over a connection of its own, from a thread: few and small ones are made, and the command
line starts twice as fast without a larger client.
"""

import asyncio
import http.client
import json
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


class AdminClient:
    """Talks to any number of nodes. `address` is host:port of a node's admin port."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds

    async def status(self, address: str) -> NodeStatus:
        """Raises NodeUnreachable."""
        try:
            return decode_status(await self._get(address, "/status"))
        except msgspec.DecodeError as problem:
            raise NodeUnreachable(f"{address} answered with an unknown status: {problem}") from problem

    async def map(self, address: str) -> ClusterMap:
        """The map as this node knows it. Raises NodeUnreachable."""
        try:
            return msgspec.json.decode(await self._get(address, "/map"), type=ClusterMap)
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
        if status != http.client.OK:
            raise NodeUnreachable(f"{address} answered {path} with status {status}")
        return body

    async def _exchange(
        self, address: str, method: str, path: str, content: bytes | None, timeout_seconds: float
    ) -> tuple[int, bytes]:
        try:
            return await asyncio.to_thread(_exchange, address, method, path, content, timeout_seconds)
        except (http.client.HTTPException, OSError) as problem:
            what = str(problem) or type(problem).__name__
            raise NodeUnreachable(f"{address} does not answer {path}: {what}") from problem


def _exchange(address: str, method: str, path: str, content: bytes | None, timeout_seconds: float) -> tuple[int, bytes]:
    """One request and its answer: (status, body). Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection(address, timeout=timeout_seconds)
    try:
        connection.request(method, path, content, {"Content-Type": "application/json", "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
