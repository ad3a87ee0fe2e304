"""Connections between nodes, over real sockets under uvloop, as nodes run."""

import asyncio
from typing import Any

import pytest
import uvloop

from keystead_core.ids import NodeId
from keystead_node.transport import codec
from keystead_node.transport import requests as rq
from keystead_node.transport.peers import SILENT_SECONDS, Connection, Peers


async def _answer(_sender: NodeId, _request: rq.Request) -> rq.Answer:
    return rq.Answer(rq.OK)


def test_what_is_written_after_the_socket_is_closed_and_before_that_is_told_is_dropped_without_a_word() -> None:
    """At a node's end the two come in this order: it left tracebacks in the log."""
    complaints: list[dict[str, Any]] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        peers = Peers(codec.Hello("cluster", "a", 1, requests=rq.announced()), lambda *_: None, _answer, lambda _: None)
        connection = Connection(peers, dialled=True)
        connection.connection_made(transport)
        transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        connection.write(b"late")
        await asyncio.sleep(0.01)
        server.close()

    uvloop.run(scene())
    assert not complaints


def test_a_dial_that_is_given_up_just_as_it_is_answered_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop then closes the socket and tells nobody: each later write left a traceback in the log."""
    complaints: list[dict[str, Any]] = []
    connected: list[Connection] = []
    connection_made = Connection.connection_made

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        peers = Peers(codec.Hello("cluster", "a", 1, requests=rq.announced()), lambda *_: None, _answer, lambda _: None)

        def made_and_given_up(connection: Connection, transport: asyncio.BaseTransport) -> None:
            connection_made(connection, transport)
            connected.append(connection)
            dial.cancel()

        monkeypatch.setattr(Connection, "connection_made", made_and_given_up)
        dial = asyncio.ensure_future(peers.connect(f"{host}:{port}"))
        with pytest.raises(asyncio.CancelledError):
            await dial
        connected[0].write(b"late")
        await asyncio.sleep(0)  # A turn of the loop, in which it would be sent.
        assert connected[0].closed.done()
        server.close()

    uvloop.run(scene())
    assert not complaints


def test_a_node_that_is_asked_and_says_nothing_is_silent_until_it_is_heard_of() -> None:
    """A frozen node keeps its connections. Routers ask others meanwhile; an answer that is late ends it."""

    async def scene() -> None:
        woken = asyncio.Event()

        async def when_woken(_sender: NodeId, _request: rq.Request) -> rq.Answer:
            await woken.wait()
            return rq.Answer(rq.OK)

        def peers_of(name: str, on_request: Any) -> Peers:
            hello = codec.Hello("cluster", name, 1, requests=rq.announced())
            return Peers(hello, lambda *_: None, on_request, lambda _: None)

        asking, frozen = peers_of("a", _answer), peers_of("b", when_woken)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(frozen, dialled=False), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        asking.dial([f"{host}:{port}"])
        async with asyncio.timeout(10):
            await asking.known.wait()
            news = asyncio.ensure_future(asking.request(NodeId("b"), rq.FollowMap(1, 9000), 9.0, at_once=False))
            await asyncio.sleep(SILENT_SECONDS * 1.5)
            assert not asking.silent, "who waits for news expects no answer yet"
            row = asyncio.ensure_future(asking.request(NodeId("b"), rq.TableSizes([]), 9.0))
            while not asking.silent:
                await asyncio.sleep(0.05)
            assert asking.silent == {"b"}
            woken.set()
            await asyncio.gather(news, row)
            assert not asking.silent
        await asking.close()
        server.close()

    uvloop.run(scene())
