"""Connections to the other nodes: one dialled to each, one accepted from each.

What this node says goes over the connection that it dialled, answers come back on it. A connection that breaks is
dialled again; requests that were under way fail, and the core is told that the peer was lost. Of two connections that
were dialled to one boot of a node the older one stays, unless it came from a seed.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import structlog

from keystead_core.ids import Boot, NodeId
from keystead_core.replication.messages import Message
from keystead_node.tls import HANDSHAKE_SECONDS_MAX, Tls, is_peer, reason_of, tell_refused
from keystead_node.transport import codec
from keystead_node.transport.addresses import AddressError, split_address
from keystead_node.transport.requests import ALWAYS_KNOWN, REFUSED, Answer, Request, RequestFailed, number_of

DIAL_SECONDS_MIN = 0.05
DIAL_SECONDS_MAX = 1.0
CONNECT_SECONDS_MAX = 2.0
SILENT_SECONDS = 1.0
"""As long as a lease: another master may be there by then."""
WRITE_BUFFER_BYTES_MAX = 64 * 1024 * 1024
log = structlog.get_logger("peers")

OnMessage = Callable[[NodeId, Boot, Message], None]
ServeNow = Callable[[Request, Callable[[Answer], None]], bool]
OnRequest = Callable[[NodeId, Request], Awaitable[Answer]]


class Connection(asyncio.Protocol):
    """One TCP connection, dialled or accepted. Output is gathered and written once per turn of the event loop."""

    def __init__(self, peers: "Peers", dialled: bool, from_seed: bool = False) -> None:
        self._peers = peers
        self._dialled = dialled
        self.from_seed = from_seed
        self.was_link = False
        self._reader = codec.FrameReader()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self.node = NodeId("")
        self.boot: Boot = 0
        self.knows: list[int] = []
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name.
        tls = self._peers.tls
        if tls is not None and not is_peer(tls.config, transport.get_extra_info("peercert")):
            tell_refused("peer port refused a connection", f"its certificate does not name {tls.config.peer_name}")
            self.close()
            return
        self.write(codec.encode_hello(self._peers.hello))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(RequestFailed(f"connection to {self.node or 'peer'} lost", sent=True))
        self._pending.clear()
        if not self.closed.done():
            self.closed.set_result(None)
        self._peers.lost(self, self._dialled)

    def data_received(self, data: bytes) -> None:
        self._peers.hear(self.node)
        try:
            frames = self._reader.feed(data)
        except codec.FrameError as error:
            log.warning("peer sent a bad frame", peer=self.node, error=str(error))
            self.close()
            return
        for kind, number, body in frames:
            if kind == codec.HELLO:
                self._on_hello(body)  # type: ignore[arg-type]
            elif not self.node:
                self.close()
                return
            elif kind == codec.MESSAGE:
                self._peers.on_message(self.node, self.boot, body)  # type: ignore[arg-type]
            elif kind == codec.ANSWER:
                future = self._pending.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(body)  # type: ignore[arg-type]
            elif not self._peers.serve_now(body, partial(self._respond, number)):  # type: ignore[arg-type]
                task = asyncio.ensure_future(self._answer(number, body))  # type: ignore[arg-type]
                self._peers.tasks.add(task)
                task.add_done_callback(self._peers.tasks.discard)

    def _on_hello(self, hello: codec.Hello) -> None:
        if hello.cluster != self._peers.hello.cluster or hello.protocol != self._peers.hello.protocol:
            log.warning("refused a node of another cluster or protocol", peer=hello.node, cluster=hello.cluster)
            self.close()
            return
        self.node, self.boot, self.knows = NodeId(hello.node), hello.boot, hello.requests
        self._peers.greeted(self, self._dialled)
        self._peers.on_greeted(self.node, self.boot, hello.address)

    async def _answer(self, number: int, request: Request) -> None:
        try:
            answer = await self._peers.on_request(self.node, request)
        except RequestFailed as failure:
            answer = Answer(REFUSED, reason=str(failure))
        self._respond(number, answer)

    def _respond(self, number: int, answer: Answer) -> None:
        self.write(codec.encode_answer(number, answer))

    def write(self, frame: bytes) -> None:
        """Queues a frame; frames to a dead or hopelessly slow peer are dropped."""
        transport = self._transport
        if transport is None:
            return
        if not self._out:
            if transport.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX:
                self.close()
                return
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        out, self._out = self._out, []
        # It may have been closed in the turn in which something was written: connection_lost comes later.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def request(self, request: Request) -> "asyncio.Future[Answer]":
        """Sends a request; the future fails with RequestFailed when the connection goes."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            future.set_exception(RequestFailed("not connected", sent=False))
            return future
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._pending[self._number] = future
        self.write(codec.encode_request(self._number, request))
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Overdue:
    """Looks after one request: first whether its node is heard of at all, then whether the answer came in time."""

    __slots__ = ("_future", "_heard", "_peers", "_seconds", "_to", "timer")

    def __init__(
        self, peers: "Peers", future: "asyncio.Future[Answer]", to: NodeId, seconds: float, at_once: bool
    ) -> None:
        self._peers, self._future, self._to, self._seconds = peers, future, to, seconds
        self._heard = peers.heard.get(to, 0)
        loop = asyncio.get_running_loop()
        if at_once and seconds > SILENT_SECONDS:
            self.timer = loop.call_later(SILENT_SECONDS, self._look)
        else:
            self.timer = loop.call_later(seconds, _expire, future, to, seconds)

    def _look(self) -> None:
        if self._peers.heard.get(self._to, 0) == self._heard:
            self._peers.silent.add(self._to)
        left = self._seconds - SILENT_SECONDS
        self.timer = asyncio.get_running_loop().call_later(left, _expire, self._future, self._to, self._seconds)


def _expire(future: "asyncio.Future[Answer]", to: NodeId, seconds: float) -> None:
    if not future.done():
        future.set_exception(RequestFailed(f"node {to} did not answer within {seconds} s", sent=True))


class Peers:
    """All connections of a node. `addresses` (node id -> host:port) and seeds say whom to dial."""

    def __init__(
        self,
        hello: codec.Hello,
        on_message: OnMessage,
        on_request: OnRequest,
        on_lost: Callable[[NodeId], None],
        tls: Tls | None = None,
    ) -> None:
        self.tls = tls
        self.hello = hello
        self.on_message = on_message
        self.on_request = on_request
        self.serve_now: ServeNow = lambda request, respond: False
        self.on_greeted: Callable[[NodeId, Boot, str], None] = lambda node, boot, address: None
        self.tasks: set[asyncio.Future[None]] = set()
        self.links: dict[NodeId, Connection] = {}
        self.heard: dict[NodeId, int] = {}
        """How often something came from each node."""
        self.silent: set[NodeId] = set()
        """Nodes that were asked something and have not been heard of since: better ask another, where one will do."""
        self.messages_sent = 0
        self.bytes_sent = 0
        self.known = asyncio.Event()
        self._on_lost = on_lost
        self._dialers: dict[str, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._last: tuple[Message | None, bytes] = (None, b"")
        self._accepted: set[Connection] = set()

    async def listen(self, bind: str, port: int) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        door, seconds = (self.tls.peer_door, HANDSHAKE_SECONDS_MAX) if self.tls is not None else (None, None)
        self._server = await loop.create_server(
            lambda: Connection(self, dialled=False), bind, port, ssl=door, ssl_handshake_timeout=seconds
        )

    def dial(self, addresses: list[str]) -> None:
        """Keeps a connection to each of these addresses, and to no other."""
        for address in addresses:
            if address not in self._dialers:
                self._dialers[address] = asyncio.ensure_future(self._keep_dialling(address))
        for address in [a for a in self._dialers if a not in addresses]:
            self._dialers.pop(address).cancel()

    def dialled(self) -> list[str]:
        """The addresses to which connections are kept."""
        return list(self._dialers)

    async def connect(self, address: str, from_seed: bool = False) -> Connection | None:
        """Dials once. None: nobody answers there."""
        connection, is_made = Connection(self, dialled=True, from_seed=from_seed), False
        try:
            host, port = split_address(address)
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: connection, host, port, **self._dialling())
            is_made = True
        except ssl.SSLError as error:
            tell_refused(f"refused the node at {address}", reason_of(error))
        except (OSError, TimeoutError, AddressError):
            pass
        finally:
            if not is_made:
                # Given up just as it was made, the socket is closed by the event loop, which tells nobody.
                connection.connection_lost(None)
        return connection if is_made else None

    def _dialling(self) -> dict[str, Any]:
        return {} if self.tls is None else {"ssl": self.tls.dialling, "server_hostname": self.tls.config.peer_name}

    async def _keep_dialling(self, address: str) -> None:
        pause = DIAL_SECONDS_MIN
        while True:
            connection = await self.connect(address)
            if connection is not None:
                try:
                    await asyncio.shield(connection.closed)
                finally:
                    connection.close()
                if connection.was_link:
                    pause = DIAL_SECONDS_MIN
            await asyncio.sleep(pause)
            pause = min(pause * 2, DIAL_SECONDS_MAX)

    def greeted(self, connection: Connection, dialled: bool) -> None:
        if not dialled:
            self._accepted.add(connection)
            return
        if connection.node == self.hello.node:
            connection.close()
            return
        old = self.links.get(connection.node)
        if old is not None and old is not connection:
            if old.boot >= connection.boot and connection.from_seed >= old.from_seed:
                connection.close()
                return
            old.close()
        self.links[connection.node] = connection
        connection.was_link = True
        self.known.set()

    def lost(self, connection: Connection, dialled: bool) -> None:
        self._accepted.discard(connection)
        node = connection.node
        if not node or node == self.hello.node:
            return
        if dialled:
            if self.links.get(node) is not connection:
                return
            del self.links[node]
        elif any(one.node == node and one.boot == connection.boot for one in self._accepted):
            return
        self.silent.discard(node)
        self._on_lost(node)

    def send(self, to: NodeId, message: Message) -> None:
        """Best effort. A message that goes to several peers is encoded once."""
        link = self.links.get(to)
        if link is None:
            return
        if self._last[0] is not message:
            self._last = (message, codec.encode_core_message(message))
        frame = self._last[1]
        self.messages_sent += 1
        self.bytes_sent += len(frame)
        link.write(frame)

    def hear(self, node: NodeId) -> None:
        self.heard[node] = self.heard.get(node, 0) + 1
        if self.silent:
            self.silent.discard(node)

    async def request(self, to: NodeId, request: Request, seconds: float, at_once: bool = True) -> Answer:
        """`at_once`: an answer is expected as soon as it can be, not when there is news. Raises RequestFailed."""
        link = self.links.get(to)
        if link is None:
            raise RequestFailed(f"no connection to node {to}", sent=False)
        number = number_of(type(request))
        if number > ALWAYS_KNOWN and number not in link.knows:
            raise RequestFailed(f"node {to} does not know requests of number {number}", sent=False)
        future = link.request(request)
        overdue = _Overdue(self, future, to, seconds, at_once)
        try:
            return await future
        finally:
            overdue.timer.cancel()

    def is_connected(self, node: NodeId) -> bool:
        return node in self.links

    async def close(self) -> None:
        for task in self._dialers.values():
            task.cancel()
        self._dialers.clear()
        if self._server is not None:
            self._server.close()
        for connection in [*self.links.values(), *self._accepted]:
            connection.close()
