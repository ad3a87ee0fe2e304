"""Where a node gets newer maps from: the catalog's replica here, if there is one, and other nodes, by waiting requests.

Whoever is asked may be frozen, or gone without a word, for as long as its connection seems whole. So two are asked at a
time, and neither holds up what the other, or the replica here, has to say.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec

from keystead_core.cluster_map import MapDelta
from keystead_core.ids import CATALOG_PARTITION, NodeId
from keystead_node.catalog_client import CatalogClient
from keystead_node.catalog_host import CatalogHost
from keystead_node.shell import Shell
from keystead_node.transport.requests import OK, FollowMap, RequestFailed

WAIT_SECONDS = 5.0
"""How long whoever is asked waits for news. After as long without any from the replica of the catalog here, others are
asked too: this one may have been removed."""
SPARE_SECONDS = 1.0
"""For the answer to come, beyond that."""
ASKED_AT_ONCE = 2


class MapSource:
    def __init__(self, shell: Shell, catalog: CatalogHost, client: CatalogClient) -> None:
        self._shell = shell
        self._catalog = catalog
        self._client = client

    async def newer(self, version: int) -> MapDelta | None:
        """What leads on from that version of the map; None if nobody has had anything for a while."""
        if not self._has_catalog():
            return await self._from_others(version, WAIT_SECONDS)
        own = await self._catalog.wait_for_change(version, WAIT_SECONDS)
        if own is not None:
            return own
        still_own = self._catalog.wait_for_change(version, SPARE_SECONDS)
        return await _first(still_own, self._from_others(version, wait_seconds=0), seconds_max=SPARE_SECONDS)

    async def answer(self, request: FollowMap) -> bytes | None:
        """The delta for another node, from the catalog's replica here. None: nothing new, or no replica."""
        delta = await self._catalog.wait_for_change(request.since, request.wait_ms / 1000)
        return msgspec.msgpack.encode(delta) if delta is not None else None

    def _has_catalog(self) -> bool:
        """Whether a replica of the catalog is here. It may be behind, or out of its group without knowing it."""
        state = self._catalog.state
        return state is not None and bool(state.cluster) and CATALOG_PARTITION in self._shell.core.replicas

    async def _from_others(self, version: int, wait_seconds: float) -> MapDelta | None:
        """Two of the catalog's nodes, as far as they are connected; else, and where one is of no help, any others."""
        peers = self._shell.peers
        members = [node for node in self._client.members if peers.is_connected(node)]
        members.sort(key=peers.silent.__contains__)
        rest = [node for node in list(peers.links) if node not in members]
        lines = [[*members[first::ASKED_AT_ONCE], *rest[first::ASKED_AT_ONCE]] for first in range(ASKED_AT_ONCE)]
        asked = [self._ask_one_of(line, version, wait_seconds) for line in lines]
        return await _first(*asked, seconds_max=wait_seconds + SPARE_SECONDS)

    async def _ask_one_of(self, nodes: list[NodeId], version: int, wait_seconds: float) -> MapDelta | None:
        """What the first of them says that answers; `wait_seconds`: how long it may wait for news."""
        request = FollowMap(version, int(wait_seconds * 1000))
        for node in nodes:
            try:
                answer = await self._shell.peers.request(node, request, wait_seconds + SPARE_SECONDS, at_once=False)
            except RequestFailed:
                continue
            if answer.status == OK:
                return msgspec.msgpack.decode(answer.value, type=MapDelta) if answer.value else None
        return None


async def _first(*sources: Coroutine[Any, Any, MapDelta | None], seconds_max: float) -> MapDelta | None:
    """The first delta that any of them has; None once none of them has one, or the time is over."""
    tasks = [asyncio.ensure_future(source) for source in sources]
    try:
        for done in asyncio.as_completed(tasks, timeout=seconds_max):
            delta = await done
            if delta is not None:
                return delta
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
    return None
