"""How long nobody can write: after kill -9 of the master's node, and when its node goes into maintenance.

Writers put unique keys into one partition without a pause. An outage is the longest time between two acknowledged
writes, as the writers saw them, around the event.
"""

import asyncio
import statistics
import time
from collections.abc import Callable

import aiohttp
import msgspec

from benchmarks.servers import TABLE, Keystead

WRITERS = 8
HEADERS = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.PutItem"}


class Outages(msgspec.Struct, frozen=True):
    """Milliseconds without an acknowledged write, a figure for each round."""

    event: str
    rounds_ms: list[float]

    @property
    def worst_ms(self) -> float:
        return max(self.rounds_ms)

    @property
    def mean_ms(self) -> float:
        return statistics.mean(self.rounds_ms)


class _Writers:
    """Keep writing through one address until told to stop; remember when writes were acknowledged."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.acknowledged: list[float] = []
        self._next = 0

    async def run(self, stop: asyncio.Event) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as session:
            await asyncio.gather(*(self._write(session, stop, number) for number in range(WRITERS)))

    async def _write(self, session: aiohttp.ClientSession, stop: asyncio.Event, number: int) -> None:
        turn = number
        while not stop.is_set():
            self._next += 1
            body = f'{{"TableName":"{TABLE}","Item":{{"pk":{{"S":"outage-{time.monotonic_ns()}-{self._next}"}}}}}}'
            address = self.addresses[turn % len(self.addresses)]
            try:
                async with session.post(f"http://{address}/", data=body, headers=HEADERS) as response:
                    await response.read()
                    if response.status == 200:
                        self.acknowledged.append(time.monotonic())
                        continue
            except (aiohttp.ClientError, TimeoutError):
                pass
            turn += 1
            await asyncio.sleep(0.005)


async def _round(server: Keystead, others: list[str], event: Callable[[], None]) -> float:
    writers, stop = _Writers(others), asyncio.Event()
    running = asyncio.ensure_future(writers.run(stop))
    await asyncio.sleep(1.0)
    began = time.monotonic()
    await asyncio.to_thread(event)
    await asyncio.sleep(max(0.0, began + 3.0 - time.monotonic()))
    stop.set()
    await running
    times = [at for at in writers.acknowledged if at > began - 0.5]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    return 1000 * max(gaps, default=float("inf"))


def run(rounds: int, say: Callable[[str], None]) -> list[Outages]:
    """Both kinds of events, `rounds` times each; clients talk to the nodes that stay."""
    server = Keystead(partitions=1)
    found = []
    try:
        server.start()
        for kind in ("kill -9 of the master's node", "node maintain"):
            figures = []
            for number in range(rounds):
                server.cluster.wait_until("all level", lambda: server.cluster.all_level(TABLE), 60)
                master = server.cluster.masters(TABLE)[0]
                others = [
                    server.cluster.endpoint(name).removeprefix("http://")
                    for name in server.cluster.names()
                    if name != master
                ]
                figures.append(asyncio.run(_round(server, others, _event(server, kind, master))))
                if kind == "node maintain":
                    server.cluster.cli("node", "resume", master)
                say(f"  {kind} round {number + 1}: {figures[-1]:.0f} ms")
            found.append(Outages(kind, figures))
    finally:
        server.stop()
    return found


def _event(server: Keystead, kind: str, master: str) -> Callable[[], None]:
    if kind == "node maintain":
        return lambda: server.cluster.try_cli("node", "maintain", master) and None
    return lambda: server.cluster.kill(master)
