"""What a thousand idle partitions cost, and how long a node with them and a gigabyte takes to restart."""

import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from benchmarks.servers import TABLE, Keystead, dynamodb

PARTITIONS = 1000
SETTLE_SECONDS = 45.0
MEASURE_SECONDS = 20.0


class Idle(msgspec.Struct, frozen=True):
    """Per node, the worst of the three. `messages`: a second between two nodes, both ways together."""

    cpu_percent: float
    memory_mb: float
    messages: float


class Restart(msgspec.Struct, frozen=True):
    """A node killed and started again: until its API answers, and until all its replicas are level."""

    data_mb: float
    first_answer_seconds: float
    level_seconds: float


def _messages_sent(server: Keystead) -> float:
    total = 0.0
    for name in server.cluster.names():
        with urllib.request.urlopen(f"http://{server.cluster.admin_address(name)}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("keystead_peer_messages_sent_total "):
                    total += float(line.split()[1])
    return total


def measure_idle(server: Keystead) -> Idle:
    """CPU, memory and messages over some seconds in which no client asks for anything."""
    processes = server.processes()
    before, sent = [sum(p.cpu_times()[:2]) for p in processes], _messages_sent(server)
    time.sleep(MEASURE_SECONDS)
    after, now_sent = [sum(p.cpu_times()[:2]) for p in processes], _messages_sent(server)
    busiest = max(b - a for a, b in zip(before, after, strict=True))
    pairs = len(processes) * (len(processes) - 1) / 2
    return Idle(
        cpu_percent=100 * busiest / MEASURE_SECONDS,
        memory_mb=max(p.memory_info().rss for p in processes) / 1e6,
        messages=(now_sent - sent) / MEASURE_SECONDS / pairs,
    )


def fill(server: Keystead, megabytes: int) -> None:
    """Writes 16 KiB items until there are that many megabytes."""
    value = "x" * 16_000

    def put(number: int) -> None:
        items = [{"PutRequest": {"Item": {"pk": {"S": f"fill-{number}-{i}"}, "v": {"S": value}}}} for i in range(25)]
        left = {TABLE: items}
        while left:
            left = dynamodb(server.addresses[number % 3], "BatchWriteItem", {"RequestItems": left})["UnprocessedItems"]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(megabytes * 1_000_000 // (25 * 16_000))))


def measure_restart(server: Keystead, megabytes: int) -> Restart:
    name = server.cluster.names()[0]
    server.cluster.kill(name)
    began = time.monotonic()
    first = 0.0
    while time.monotonic() - began < 180:
        try:
            urllib.request.urlopen(f"{server.cluster.endpoint(name)}/", timeout=2).read()
            first = time.monotonic() - began
            break
        except OSError:
            time.sleep(0.05)
    server.cluster.wait_until("all level", lambda: server.cluster.all_level(TABLE), 180)
    return Restart(megabytes, first, time.monotonic() - began)


def run(megabytes: int, say: Callable[[str], None]) -> tuple[Idle, Restart]:
    server = Keystead(partitions=PARTITIONS)
    try:
        say(f"  making {PARTITIONS} partitions")
        server.start()
        time.sleep(SETTLE_SECONDS)
        idle = measure_idle(server)
        say(f"  idle: {idle}")
        fill(server, megabytes)
        restart = measure_restart(server, megabytes)
        say(f"  restart: {restart}")
        return idle, restart
    finally:
        server.stop()
