"""A thousand partitions on three nodes: what they cost while idle, and how long a node takes to start with them."""

import re
import time
import urllib.request
from collections.abc import Callable

from benchmarks.load import preload
from benchmarks.results import Row
from benchmarks.servers import TABLE, Keystead

WATCH_SECONDS = 20.0
REST_SECONDS_MAX = 180.0
SAMPLE_SECONDS = 5.0
REST_SAMPLES = 4
MEGABYTE = 1e6


def _metric(server: Keystead, node: str, name: str) -> float:
    with urllib.request.urlopen(f"http://{server.cluster.admin_address(node)}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{node} has no metric {name}"
    return float(found[1])


def _wait_for_rest(messages: Callable[[], list[float]]) -> None:
    """Until what follows a creation is over: masterships go to their preferred places, which takes half a minute."""
    end = time.monotonic() + REST_SECONDS_MAX
    rates: list[float] = []
    sent = sum(messages())
    while time.monotonic() < end:
        time.sleep(SAMPLE_SECONDS)
        now = sum(messages())
        rates = [*rates[1 - REST_SAMPLES :], now - sent]
        sent = now
        if len(rates) == REST_SAMPLES and max(rates) - min(rates) <= 0.05 * max(rates):
            return
    raise TimeoutError(f"the nodes do not come to rest within {REST_SECONDS_MAX:.0f} s")


def idle(partitions: int) -> list[Row]:
    """CPU and memory of each node, and messages a second between two nodes, while nobody asks for anything."""
    server = Keystead(partitions)
    try:
        server.start()
        names = server.cluster.names()
        processes = server.processes()

        def cpu_seconds() -> list[float]:
            return [sum(process.cpu_times()[:2]) for process in processes]

        def messages() -> list[float]:
            return [_metric(server, name, "keystead_peer_messages_sent_total") for name in names]

        _wait_for_rest(messages)
        cpu_before, messages_before, started = cpu_seconds(), messages(), time.monotonic()
        time.sleep(WATCH_SECONDS)
        cpu_after, messages_after, seconds = cpu_seconds(), messages(), time.monotonic() - started
        cpu = [100 * (after - before) / seconds for before, after in zip(cpu_before, cpu_after, strict=True)]
        memory = [process.memory_info().rss / MEGABYTE for process in processes]
        pairs = len(names) * (len(names) - 1) / 2
        between = sum(messages_after) - sum(messages_before)
        rate = between / seconds / pairs
    finally:
        server.stop()
    what = f"{partitions} idle partitions on three nodes"
    return [
        Row(
            what=f"{what}: CPU of the busiest node, of a core",
            value=max(cpu),
            unit="%",
            must=10,
            aim=3,
            better="less",
            raw={"each node, %": [round(one, 2) for one in cpu]},
        ),
        Row(
            what=f"{what}: resident memory of the largest node",
            value=max(memory),
            unit="MB",
            must=600,
            aim=400,
            better="less",
            raw={"each node, MB": [round(one, 1) for one in memory]},
        ),
        Row(
            what=f"{what}: messages between two nodes, both ways together",
            value=rate,
            unit="/s",
            must=20,
            aim=10,
            better="less",
            raw={"messages/s per pair": [round(rate, 2)]},
        ),
    ]


def restart(partitions: int, gigabytes: float, rounds: int) -> list[Row]:
    """kill -9 of a node, until it is ready and every replica on it is level again."""
    server = Keystead(partitions)
    try:
        server.start()
        preload(server, int(gigabytes * 1e9 / 1024))
        cluster = server.cluster
        cluster.wait_until("all replicas are level", lambda: cluster.all_level(TABLE), 300)
        times, ready_times = [], []
        for number in range(rounds):
            name = cluster.names()[number % 3]
            cluster.kill(name)
            start = time.monotonic()
            address = cluster.admin_address(name)
            ready_times.append(cluster.wait_until(f"{name} is ready", lambda a=address: _is_ready(a), 300))  # type: ignore[misc]
            cluster.wait_until("all replicas are level", lambda: cluster.all_level(TABLE), 300)
            times.append(time.monotonic() - start)
            time.sleep(3)
    finally:
        server.stop()
    return [
        Row(
            what=f"restart of a node with {partitions} partitions and {gigabytes:g} GB, until all replicas are level",
            value=max(times),
            unit="s",
            must=30,
            aim=10,
            better="less",
            raw={
                "level, s": [round(one, 2) for one in times],
                "answers /readyz, s": [round(one, 2) for one in ready_times],
            },
            note="from kill -9, the supervisor's pause included",
        )
    ]


def _is_ready(admin_address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{admin_address}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
