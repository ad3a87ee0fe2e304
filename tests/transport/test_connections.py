"""Connections between nodes, over real sockets under uvloop, as nodes run."""

import asyncio
from typing import Any

import uvloop

from keystead_core.ids import NodeId
from keystead_node.transport import codec
from keystead_node.transport import requests as rq
from keystead_node.transport.peers import Connection, Peers


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
