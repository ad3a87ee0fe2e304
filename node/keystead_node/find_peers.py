"""How a node finds the others where its map does not help: it has none yet, or its addresses are out of date.

Two ways, as long as somebody is missing. Nodes that are connected are asked where the missing ones were last heard. And
the seeds are tried: a seed is host:port, all addresses of the host count, and it is resolved anew each time. A
connection made from a seed is an ordinary one until the node's own address, which its greeting tells, is dialled.
"""

import asyncio
import socket
from typing import Final

import msgspec
import structlog

from keystead_core.ids import Boot, NodeId
from keystead_node.map_keeper import MapKeeper
from keystead_node.transport.addresses import AddressError, join_address, split_address
from keystead_node.transport.peers import DIAL_SECONDS_MAX, DIAL_SECONDS_MIN, Connection, Peers
from keystead_node.transport.requests import OK, RequestFailed, WhereAre

RESOLVE_SECONDS_MAX: Final = 5.0
ASK_SECONDS_MAX: Final = 1.0
SEARCH_SECONDS_MAX: Final = 2.0
log = structlog.get_logger("peers")


class PeerFinder:
    """`own`: this node's address."""

    def __init__(self, peers: Peers, keeper: MapKeeper, seeds: list[str], own: str) -> None:
        self._peers = peers
        self._keeper = keeper
        self._seeds = seeds
        self._own = own
        self._open: dict[str, Connection] = {}
        self._unresolved: dict[str, str] = {}

    async def run(self) -> None:
        """Looks for nodes until it is cancelled; the longer nothing comes of it, the more seldom."""
        pause = DIAL_SECONDS_MIN
        while True:
            before = set(self._peers.links)
            missing = self._keeper.missing_nodes()
            if missing or not before or not self._keeper.map.nodes:
                await asyncio.gather(self._try_seeds(), *(self._ask(node, missing) for node in before if missing))
                pause = min(pause * 2, SEARCH_SECONDS_MAX if before else DIAL_SECONDS_MAX)
            if not missing or not before.issuperset(self._peers.links):
                pause = DIAL_SECONDS_MIN if not self._keeper.map.nodes else DIAL_SECONDS_MAX / 4
            await asyncio.sleep(pause)

    async def _ask(self, node: NodeId, missing: list[NodeId]) -> None:
        try:
            answer = await self._peers.request(node, WhereAre(missing), ASK_SECONDS_MAX)
        except RequestFailed:
            return
        if answer.status == OK and answer.value:
            for found, boot, address in msgspec.msgpack.decode(answer.value, type=list[tuple[NodeId, Boot, str]]):
                self._keeper.hear(found, boot, address)

    async def _try_seeds(self) -> None:
        """Dials what is not dialled yet, all at once."""
        found = await asyncio.gather(*(self._resolve(seed) for seed in self._seeds))
        known = {self._own, *self._peers.dialled()}
        self._open = {address: one for address, one in self._open.items() if not one.closed.done()}
        wanted = {a: None for addresses in found for a in addresses if a not in known and a not in self._open}
        await asyncio.gather(*(self._dial(address) for address in wanted))

    async def _dial(self, address: str) -> None:
        connection = await self._peers.connect(address, from_seed=True)
        if connection is not None:
            self._open[address] = connection

    async def _resolve(self, seed: str) -> list[str]:
        """All addresses of a seed; none while its name is not known."""
        try:
            host, port = split_address(seed)
            async with asyncio.timeout(RESOLVE_SECONDS_MAX):
                answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, AddressError, UnicodeError) as error:
            self._tell(seed, str(error) or "no answer in time")
            return []
        self._tell(seed, "")
        return [join_address(str(where[0]), port) for *_, where in answers]

    def _tell(self, seed: str, problem: str) -> None:
        """Once for each change: names of pods come and go."""
        if self._unresolved.get(seed, "") != problem:
            self._unresolved[seed] = problem
            log.info("seed", seed=seed, problem=problem or "resolved")
