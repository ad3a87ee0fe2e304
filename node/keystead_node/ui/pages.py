"""GET /ui and what it loads: files of this folder, and the state of the cluster, worked out while somebody looks."""

import asyncio
from importlib.resources import files

import msgspec
from aiohttp import web

from keystead_core.split.dial_up import PartitionLimits
from keystead_node.copies import Copies
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.ui.loads import all_loads
from keystead_node.ui.state import state_of

ASK_SECONDS_MIN = 1.0
"""Between two rounds of questions to the other nodes, however many people look."""
FILES = {
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "map.js": "text/javascript",
    "nodes.js": "text/javascript",
}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Pages:
    """Asks other nodes only in an answer to a request for the state, at most once a second."""

    def __init__(self, shell: Shell, keeper: MapKeeper, copies: Copies, limits: PartitionLimits) -> None:
        self._shell = shell
        self._keeper = keeper
        self._copies = copies
        self._limits = limits
        self._asked_at = 0.0
        self._asking: asyncio.Task[bytes] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ui", self._page),
            web.get("/ui/state", self._state),
            web.get("/ui/{name}", self._file),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        return _content("page.html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in FILES:
            raise web.HTTPNotFound(text="no such file\n")
        return _content(name)

    async def _state(self, request: web.Request) -> web.Response:
        response = web.Response(body=await self._latest(), content_type="application/json", headers=HEADERS)
        response.enable_compression()
        return response

    async def _latest(self) -> bytes:
        """What is a second old at most, or else asked for now; those who come meanwhile wait for the same answer."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= ASK_SECONDS_MIN):
            self._asked_at = now
            self._asking = asyncio.ensure_future(self._look())
        return await asyncio.shield(self._asking)

    async def _look(self) -> bytes:
        own, cluster_map = self._shell.core.id, self._keeper.map
        others = [n.id for n in cluster_map.nodes.values() if n.id != own and n.state != "left"]
        loads = await all_loads(self._shell, self._copies, others)
        # In a thread: with many partitions it takes longer than the loop may be held.
        return await asyncio.to_thread(lambda: msgspec.json.encode(state_of(own, cluster_map, loads, self._limits)))


def _content(name: str) -> web.Response:
    body = files(__package__).joinpath(name).read_bytes()
    return web.Response(body=body, content_type=FILES[name], charset="utf-8", headers=HEADERS)
