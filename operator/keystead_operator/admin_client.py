"""HTTP client of the nodes' admin ports."""

import json
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_operator.node_status import NodeStatus, decode_status

TIMEOUT_SECONDS = 2.0
COMMAND_TIMEOUT_SECONDS = 10.0


class NodeUnreachable(Exception):
    """The node did not answer, or not with what was asked for."""


class Refused(Exception):
    """The node answered that it will not; the message is its reason."""


class AdminClient:
    """Talks to any number of nodes. `address` is host:port of a node's admin port. Use as `async with`."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._command_timeout = aiohttp.ClientTimeout(total=COMMAND_TIMEOUT_SECONDS)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

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

    async def command(self, address: str, command: dict[str, Any]) -> None:
        """Has the catalog carry a command out, through any node. Raises Refused, NodeUnreachable."""
        await self.post(address, "/catalog/command", command)

    async def post(self, address: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Posts, and gives the answer if it is ok. Raises Refused, NodeUnreachable."""
        assert self._session is not None, "use AdminClient as `async with`"
        try:
            async with self._session.post(
                f"http://{address}{path}", json=body or {}, timeout=self._command_timeout
            ) as response:
                raw = await response.read()
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as problem:
            raise NodeUnreachable(f"{address} does not answer {path}: {_described(problem)}") from problem
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NodeUnreachable(f"{address} answered {path} with status {status}: {raw[:200]!r}")
        if not answer.get("ok"):
            raise Refused(str(answer.get("error") or answer.get("reason") or f"status {status}"))
        return answer

    async def _get(self, address: str, path: str) -> bytes:
        assert self._session is not None, "use AdminClient as `async with`"
        try:
            async with self._session.get(f"http://{address}{path}") as response:
                body = await response.read()
                if response.status != 200:
                    raise NodeUnreachable(f"{address} answered {path} with status {response.status}")
                return body
        except (TimeoutError, aiohttp.ClientError, OSError) as problem:
            raise NodeUnreachable(f"{address} does not answer {path}: {_described(problem)}") from problem


def _described(problem: BaseException) -> str:
    return str(problem) or type(problem).__name__
