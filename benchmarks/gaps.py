"""How long nothing is written after the master's node is killed, or hands over: open-loop puts, every few milliseconds.

A put is sent every PERIOD_SECONDS whatever became of those before it, to the nodes that are not the victim, in turn. A
gap is the longest time between two acknowledged puts around the event.
"""

import asyncio
import itertools
import json
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable

import aiohttp
import psutil

from benchmarks.results import Row
from benchmarks.servers import AUTHORIZATION, TABLE, Etcd, Keystead, Server, wait_until
from tests.faults.cluster import Cluster

PERIOD_SECONDS = 0.004
REQUEST_SECONDS_MAX = 10.0
SETTLE_SECONDS_MAX = 60.0


class Puts:
    """Puts sent at a steady rate from a thread of its own, until the block ends. `acked`: monotonic seconds; `waits`:
    when each of those was sent, and when it was acknowledged."""

    def __init__(self, server: Server, addresses: list[str]) -> None:
        self.acked: list[float] = []
        self.waits: list[tuple[float, float]] = []
        self.failed = 0
        self._server, self._addresses = server, addresses
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)

    def __enter__(self) -> "Puts":
        self._thread.start()
        wait_until("puts are acknowledged", lambda: len(self.acked) > 50, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(REQUEST_SECONDS_MAX + 5)

    async def _send(self) -> None:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        connector = aiohttp.TCPConnector(limit=0)
        loop = asyncio.get_running_loop()
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            due = loop.time()
            for number in itertools.count():
                if self._stop.is_set():
                    return
                group.create_task(self._put(session, self._addresses[number % len(self._addresses)], number))
                due = max(due + PERIOD_SECONDS, loop.time() - 0.05)
                await asyncio.sleep(due - loop.time())

    async def _put(self, session: aiohttp.ClientSession, address: str, number: int) -> None:
        key = f"gap{number % 1000:013d}"
        if self._server.protocol == "etcd":
            url, headers = f"http://{address}/v3/kv/put", {"Content-Type": "application/json"}
            body = json.dumps({"key": key, "value": "v" * 1348})
        else:
            url, body = (
                f"http://{address}/",
                json.dumps({"TableName": TABLE, "Item": {"pk": {"S": key}, "v": {"S": "v" * 1005}}}),
            )
            headers = {
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": "DynamoDB_20120810.PutItem",
                "X-Amz-Date": "20260101T000000Z",
                "Authorization": AUTHORIZATION,
            }
        sent = time.monotonic()
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                if answer.status == 200:
                    self.acked.append(time.monotonic())
                    self.waits.append((sent, self.acked[-1]))
                    return
        except (aiohttp.ClientError, TimeoutError):
            pass
        self.failed += 1

    def longest_wait(self, since: float, until: float) -> float:
        """Seconds that the slowest put took of those that were sent in that time."""
        return max((acked - sent for sent, acked in self.waits if since <= sent <= until), default=float("inf"))

    def longest_gap_since(self, start: float) -> float:
        """Seconds; the put before `start` counts as its begin."""
        times = sorted(self.acked)
        before = [moment for moment in times if moment < start][-1:]
        relevant = before + [moment for moment in times if moment >= start]
        return max((later - earlier for earlier, later in itertools.pairwise(relevant)), default=float("inf"))


def _gap_of(server: Server, addresses: list[str], event: Callable[[], None], watch_seconds: float) -> float:
    with Puts(server, addresses) as puts:
        time.sleep(0.5)
        start = time.monotonic()
        event()
        wait_until("puts are acknowledged again", lambda: puts.acked[-1] > start + 0.2, SETTLE_SECONDS_MAX)
        time.sleep(max(0.0, watch_seconds - (time.monotonic() - start)))
    gap = puts.longest_gap_since(start)
    print(f"  {server.name}: {gap:.3f} s without writes", flush=True)
    return gap


def _settled_master(cluster: Cluster) -> str:
    """The node that masters the table, once all its replicas are level: seen in one and the same status."""
    names: list[str] = []

    def settled() -> bool:
        partitions = cluster.partitions(TABLE)
        names[:] = [partition["master"] for partition in partitions]
        return cluster.are_level(partitions)

    cluster.wait_until("all replicas are level", settled, SETTLE_SECONDS_MAX)
    return names[0]


def keystead_failover_gaps(rounds: int) -> list[float]:
    """Seconds without writes after kill -9 of the master's node, lease 1 s."""
    server = Keystead()
    try:
        server.start()
        cluster = server.cluster
        gaps = []
        for _ in range(rounds):
            victim = _settled_master(cluster)
            survivors = [cluster.endpoint(n).removeprefix("http://") for n in cluster.names() if n != victim]
            gaps.append(_gap_of(server, survivors, lambda v=victim: cluster.kill(v), 4.0))  # type: ignore[misc]
        return gaps
    finally:
        server.stop()


def keystead_handover_gaps(rounds: int) -> list[float]:
    """Seconds without writes while `node maintain` takes the master's node out."""
    server = Keystead()
    try:
        server.start()
        cluster = server.cluster
        gaps = []
        for _ in range(rounds):
            victim = _settled_master(cluster)

            def maintain(name: str = victim) -> None:
                cluster.cli("node", "maintain", name)

            gaps.append(_gap_of(server, server.addresses, maintain, 2.0))
            cluster.cli("node", "resume", victim)
        return gaps
    finally:
        server.stop()


def etcd_failover_gaps(rounds: int) -> list[float]:
    """The same kill of etcd's leader, with etcd's own defaults (heartbeat 100 ms, election 1 s)."""
    server = Etcd()
    try:
        server.start()
        gaps = []
        for _ in range(rounds):
            wait_until("etcd has a leader", lambda: server.leader() >= 0, SETTLE_SECONDS_MAX)
            victim = server.leader()
            survivors = [a for number, a in enumerate(server.client_addresses) if number != victim]
            process = server.members[victim]
            command = psutil.Process(process.pid).cmdline()
            environment = psutil.Process(process.pid).environ()

            def kill(victim_process: "subprocess.Popen[bytes]" = process) -> None:
                victim_process.send_signal(signal.SIGKILL)

            gaps.append(_gap_of(server, survivors, kill, 4.0))
            process.wait(10)
            server.members[victim] = server.spawn(command, **environment)
            address = server.client_addresses[victim]
            wait_until("etcd's member is back", lambda a=address: server.status(a).get("leader"), SETTLE_SECONDS_MAX)  # type: ignore[misc]
            time.sleep(1)
        return gaps
    finally:
        server.stop()


def failover(rounds: int) -> list[Row]:
    ours, etcd = keystead_failover_gaps(rounds), etcd_failover_gaps(rounds)
    raw = {"Keystead, s": [round(gap, 3) for gap in ours], "etcd, s": [round(gap, 3) for gap in etcd]}
    note = f"mean {statistics.fmean(ours):.2f} s; etcd's mean {statistics.fmean(etcd):.2f} s, largest {max(etcd):.2f} s"
    what = f"time without writes after kill -9 of the master's node, {rounds} rounds, largest"
    return [Row(what=what, value=max(ours), unit="s", must=1.5, aim=1.2, better="less", raw=raw, note=note)]


def handover(rounds: int) -> list[Row]:
    gaps = [gap * 1000 for gap in keystead_handover_gaps(rounds)]
    raw = {"Keystead, ms": [round(gap, 1) for gap in gaps]}
    what = f"time without writes at a hand-over (node maintain), {rounds} rounds, largest"
    note = f"median {statistics.median(gaps):.0f} ms"
    return [Row(what=what, value=max(gaps), unit="ms", must=200, aim=50, better="less", raw=raw, note=note)]
