"""An API server that misbehaves: an HTTPS proxy in front of the real one, with faults that tests switch on.

It serves on a loopback port with a certificate of the tests' authority. Requests go on with the caller's own token, so
that rights stay those of the caller. Everything that passes is counted.
"""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import msgspec
from aiohttp import web

from tests.apiserver.control_plane import ControlPlane, free_port
from tests.apiserver.rest import Object

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HOP_HEADERS = ("Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding", "Accept-Encoding")
START_SECONDS_MAX = 20.0


class Request(msgspec.Struct, frozen=True):
    """One request that passed, or was answered here."""

    method: str
    path: str
    query: dict[str, str]
    at: float
    status: int = 0

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query

    @property
    def is_write(self) -> bool:
        return self.method in WRITES


Answer = tuple[int, dict[str, str], Object]
"""Status, headers and body of an answer that the API server never saw the request of."""


class Proxy:
    """`refuse(request)` gives an answer of its own or None; `hide(event)` says which watch events do not pass."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._server = control_plane.server
        self._context = ssl.create_default_context(cafile=str(control_plane.authority.ca_file))
        self._serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._serving.load_cert_chain(*control_plane.authority.server("proxy", ["127.0.0.1"]))
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        self.requests: list[Request] = []
        self.refuse: Callable[[Request], Answer | None] = lambda request: None
        self.hide: Callable[[Object], bool] = lambda event: False
        self._watches: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()

    def count(self, since: float = 0.0, **wanted: str) -> int:
        """How many requests passed since a monotonic time; `method="PATCH"`, `path="/tables"` (a part of it)."""
        return sum(
            one.at >= since and wanted.get("method", one.method) == one.method and wanted.get("path", "") in one.path
            for one in list(self.requests)
        )

    def break_watches(self) -> None:
        """Every watch that runs ends in the middle, without a word."""

        def close() -> None:
            for transport in list(self._watches):
                transport.abort()

        self._loop.call_soon_threadsafe(close)

    async def serve(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            auto_decompress=True,
        )
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._serving).start()

    async def close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(incoming.method, incoming.path, dict(incoming.query), time.monotonic())
        refused = self.refuse(request)
        if refused is not None:
            status, headers, body = refused
            self.requests.append(msgspec.structs.replace(request, status=status))
            return web.json_response(body, status=status, headers=headers)
        headers = {name: value for name, value in incoming.headers.items() if name not in HOP_HEADERS}
        try:
            async with self._session.request(
                incoming.method,
                self._server + incoming.path_qs,
                data=await incoming.read() or None,
                headers=headers,
            ) as answer:
                self.requests.append(msgspec.structs.replace(request, status=answer.status))
                if request.is_watch and answer.status == 200:
                    return await self._pass_events(incoming, answer)
                kept = {name: value for name, value in answer.headers.items() if name not in HOP_HEADERS}
                return web.Response(body=await answer.read(), status=answer.status, headers=kept)
        except aiohttp.ClientError:
            assert incoming.transport is not None
            incoming.transport.abort()
            raise

    async def _pass_events(self, incoming: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        outgoing = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
        await outgoing.prepare(incoming)
        transport = incoming.transport
        assert transport is not None
        self._watches.add(transport)
        rest = b""
        try:
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                passed = b"".join(line + b"\n" for line in lines if line and not self.hide(json.loads(line)))
                if passed:
                    await outgoing.write(passed)
        finally:
            self._watches.discard(transport)
        return outgoing


def too_many(seconds: int = 1) -> Answer:
    """429, as priority and fairness answers."""
    body = _status(429, "TooManyRequests", "the server has received too many requests and has asked us to try again")
    return 429, {"Retry-After": str(seconds)}, body


def gone() -> Answer:
    return 410, {}, _status(410, "Expired", "too old resource version")


def unavailable() -> Answer:
    return 503, {}, _status(503, "ServiceUnavailable", "the server is currently unable to handle the request")


def _status(code: int, reason: str, message: str) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


@contextmanager
def running_proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    """A proxy in a thread of its own."""
    proxy = Proxy(control_plane)
    loop = proxy._loop
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.serve(), loop).result(START_SECONDS_MAX)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result(START_SECONDS_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS_MAX)
