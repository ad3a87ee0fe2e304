"""HTTP client of the nodes' admin ports in a cluster: kept connections, and certificates on both sides."""

import ssl

import aiohttp

from keystead_operator.admin_client import AdminClient, NodeUnreachable

CONNECTIONS_PER_NODE_MAX = 16


class AdminSession(AdminClient):
    """`use` says how: with the operator's certificate against the nodes' common name, or without TLS."""

    def __init__(self) -> None:
        super().__init__()
        self._context: ssl.SSLContext | None = None
        self._server_name: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def use(self, context: ssl.SSLContext | None, server_name: str | None) -> None:
        """From now on; connections made before are closed. `context` None: plain HTTP."""
        await self.close()
        self._context, self._server_name = context, server_name if context is not None else None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(
        self, address: str, method: str, path: str, content: bytes | None, timeout_seconds: float
    ) -> tuple[int, bytes]:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._context if self._context is not None else True, limit_per_host=CONNECTIONS_PER_NODE_MAX
            )
            self._session = aiohttp.ClientSession(connector=connector)
        scheme = "http" if self._context is None else "https"
        try:
            async with self._session.request(
                method,
                f"{scheme}://{address}{path}",
                data=content,
                server_hostname=self._server_name,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            what = str(problem) or type(problem).__name__
            raise NodeUnreachable(f"{address} does not answer {path}: {what}") from problem
