"""The network between the nodes of an embedded cluster: a TCP proxy for each link, which tests cut, slow and heal.

A node asks for its way to a peer ("n1 7001" on the control connection) and is given the port of a proxy of its own, so
that it is known who talks to whom. Bytes from a to b are held while a -> b is cut, as TCP holds them; with `reset` the
connections of the link break too. Each direction has its own state: a one-way cut is a cut of one of them.
"""

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

CHUNK_BYTES = 1 << 16
Direction = tuple[str, str]


class Links:
    """Runs in a thread of its own. `address` is the control port, `resolve` maps a peer port to its node's name."""

    def __init__(self) -> None:
        self.resolve: Callable[[int], str] = lambda port: str(port)
        self.bytes_held = 0
        self._delay_seconds: defaultdict[Direction, float] = defaultdict(float)
        self._open: defaultdict[Direction, asyncio.Event] = defaultdict(_open_gate)
        self._ports: dict[tuple[str, int], int] = {}
        self._writers: defaultdict[Direction, set[asyncio.StreamWriter]] = defaultdict(set)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        port = self._call(self._listen(self._on_control))
        self.address = f"127.0.0.1:{port}"

    # ---- what tests do

    def cut(self, one: str, other: str, reset: bool = False) -> None:
        """No byte passes between two nodes, either way."""
        self.cut_one_way(one, other, reset)
        self.cut_one_way(other, one, reset)

    def cut_one_way(self, source: str, target: str, reset: bool = False) -> None:
        """What `source` says does not reach `target`; the other way is as it was."""
        self._call(self._cut((source, target), reset))

    def isolate(self, node: str, others: list[str]) -> None:
        for other in others:
            if other != node:
                self.cut(node, other)

    def slow(self, one: str, other: str, delay_ms: float) -> None:
        """Adds a delay to each direction between two nodes."""
        for direction in ((one, other), (other, one)):
            self._delay_seconds[direction] = delay_ms / 1000

    def heal(self) -> None:
        """Everything passes again, what was held first, and at once."""
        self._delay_seconds.clear()
        self._call(self._heal())

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    # ---- how it is done

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(
        self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
    ) -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _on_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source, _, port_text = (await reader.readline()).decode().strip().partition(" ")
        target_port = int(port_text)
        if (source, target_port) not in self._ports:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._forward(source, target_port, reader, writer)

            self._ports[source, target_port] = await self._listen(serve)
        writer.write(f"{self._ports[source, target_port]}\n".encode())
        await writer.drain()
        writer.close()

    async def _forward(
        self, source: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        target = self.resolve(port)
        forth, back = (source, target), (target, source)
        try:
            await self._open[forth].wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        writers = {writer, far_writer}
        for direction in (forth, back):
            self._writers[direction] |= writers
        pumps = [
            asyncio.ensure_future(self._pump(forth, reader, far_writer)),
            asyncio.ensure_future(self._pump(back, far_reader, writer)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
                self._tasks.discard(pump)
            for each in writers:
                each.transport.abort()
            for direction in (forth, back):
                self._writers[direction] -= writers

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes bytes on in order, each not before its delay is over. Returns when either side is gone."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1024)

        async def deliver() -> None:
            while True:
                due, chunk = await under_way.get()
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                gate = self._open[direction]
                if not gate.is_set():
                    self.bytes_held += len(chunk)
                    await gate.wait()
                writer.write(chunk)
                await writer.drain()

        delivery = asyncio.ensure_future(deliver())
        try:
            while not delivery.done():
                chunk = await reader.read(CHUNK_BYTES)
                if not chunk:
                    return
                await under_way.put((loop.time() + self._delay_seconds[direction], chunk))
        except OSError:
            return
        finally:
            delivery.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await delivery

    async def _cut(self, direction: Direction, reset: bool) -> None:
        self._open[direction].clear()
        if reset:
            for writer in self._writers[direction]:
                writer.transport.abort()

    async def _heal(self) -> None:
        for gate in self._open.values():
            gate.set()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate
