"""Nodes of two versions: a request that the other does not know is not sent, and the connection stays."""

import asyncio
import socket

import msgspec
import pytest

from keystead_core.ids import NodeId, PartitionId
from keystead_node.transport import codec
from keystead_node.transport import requests as rq
from keystead_node.transport.peers import Peers

ASK = rq.AskUnits([rq.UnitsAsked("orders", 2, PartitionId(0), -1.5, 20.0)])


class Pair:
    """Node a, of this version, connected to node b, which says in its Hello what it knows."""

    def __init__(self, b_knows: list[int]) -> None:
        self.b_knows = b_knows
        self.answered: list[rq.Request] = []

    async def __aenter__(self) -> Peers:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        self._a = self._peers("a", rq.announced())
        self._b = self._peers("b", self.b_knows)
        await self._b.listen("127.0.0.1", port)
        self._a.dial([f"127.0.0.1:{port}"])
        async with asyncio.timeout(10):
            await self._a.known.wait()
        return self._a

    async def __aexit__(self, *_: object) -> None:
        await self._a.close()
        await self._b.close()

    def _peers(self, node: str, knows: list[int]) -> Peers:
        hello = codec.Hello("cluster", node, 1, requests=knows)
        return Peers(hello, lambda *_: None, self._answer, lambda _: None)

    async def _answer(self, _sender: NodeId, request: rq.Request) -> rq.Answer:
        self.answered.append(request)
        return rq.Answer(rq.OK, value=b"yes")


def test_a_node_that_knows_the_request_gets_it() -> None:
    async def scene() -> None:
        pair = Pair(rq.announced())
        async with pair as peers:
            assert (await peers.request(NodeId("b"), ASK, 5.0)).value == b"yes"
        assert pair.answered == [ASK]

    asyncio.run(scene())


def test_a_node_that_does_not_know_the_request_is_spared_it() -> None:
    older = rq.WhereAre([])

    async def scene() -> None:
        pair = Pair([])
        async with pair as peers:
            with pytest.raises(rq.RequestFailed, match="does not know requests of number 20") as caught:
                await peers.request(NodeId("b"), ASK, 5.0)
            assert not caught.value.sent
            assert (await peers.request(NodeId("b"), older, 5.0)).value == b"yes"
        assert pair.answered == [older]

    asyncio.run(scene())


def test_the_greeting_of_a_version_that_announced_nothing_is_understood() -> None:
    whole = msgspec.msgpack.encode(["cluster", "node", 7, 1, "127.0.0.1:1"])
    frame = (len(whole) + 1).to_bytes(4, "little") + bytes([codec.HELLO]) + whole
    assert codec.FrameReader().feed(frame) == [
        (codec.HELLO, 0, codec.Hello("cluster", "node", 7, address="127.0.0.1:1", requests=[]))
    ]


def test_the_numbers_of_requests_stay() -> None:
    assert rq.number_of(rq.ChangeRow) == rq.ALWAYS_KNOWN == 11
    assert rq.number_of(rq.AskUnits) == 20 and 20 in rq.announced()
    assert rq.number_of(rq.WriteRows) == 21 and 21 in rq.announced()
    assert rq.number_of(rq.NodeLoad) == 22 and 22 in rq.announced()
