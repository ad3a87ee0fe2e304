"""How soon an added node serves: from its process' start to its first answer for an item, with little data and much.

Two clusters of the same shape stand side by side, one with ten times the data of the other. In turn each gets a fourth
node, whose endpoint alone is asked, every few milliseconds from its start, for an item that is there. The node goes
again, with all that was moved to it, before the other cluster's turn. Noted too: when the node first masters a range.
"""

import json
import os
import statistics
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.rescaling import PARTITIONS, SETTLE_SECONDS_MAX, SHORT_LOGS, fill, is_level
from benchmarks.results import Row, median_ratio
from benchmarks.servers import TABLE, Keystead, dynamodb
from keystead_core.ids import CATALOG_PARTITION
from tests.faults.cluster import Cluster
from tests.faults.rescaling import declare

NODES: Final = 3
LOOK_SECONDS: Final = 0.005
START_SECONDS_MAX: Final = 120.0
KEY: Final = {"pk": {"S": "fill000000"}}
"""`fill` puts it first."""


def new_node(megabytes: int, times: int, rounds: int) -> list[Row]:
    """`megabytes` of items in one cluster, `times` as much in the other."""
    with ExitStack() as running:
        servers = []
        for size in (megabytes, megabytes * times):
            server = Keystead(partitions=PARTITIONS, **SHORT_LOGS)
            running.callback(server.stop)
            server.start()
            fill(server, size)
            servers.append(server)
        found: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
        for number in range(rounds):
            for server, seconds in zip(servers, found, strict=True):
                seconds.append(_come_and_go(server.cluster))
            words = "; ".join(f"answers after {one[-1][0]:.2f} s, masters after {one[-1][1]:.1f} s" for one in found)
            print(f"  round {number + 1}, little data, then much: {words}", flush=True)
    return _rows(megabytes, times, *found)


def _rows(megabytes: int, times: int, little: list[tuple[float, float]], much: list[tuple[float, float]]) -> list[Row]:
    (first, masters), (first_much, masters_much) = zip(*little, strict=True), zip(*much, strict=True)
    small, large = f"{megabytes / 1000:g} GB", f"{megabytes * times / 1000:g} GB"
    raw = {
        f"first answer, {small}, s": [round(one, 3) for one in first],
        f"first answer, {large}, s": [round(one, 3) for one in first_much],
        f"masters a range, {small}, s": [round(one, 1) for one in masters],
        f"masters a range, {large}, s": [round(one, 1) for one in masters_much],
    }
    what = "start of an added node's process -> its first answer for an item"
    medians = [statistics.median(one) for one in (masters, masters_much)]
    alone = f"until it masters a range: {medians[0]:.0f} and {medians[1]:.0f} s, for that is a copy"
    ratio = median_ratio(first_much, first)
    return [
        Row(what=f"{what}, {large} / {small}", value=ratio, unit="x", must=1.2, aim=1.05, better="less", raw=raw),
        Row(
            what=f"{what}, {large}, median of {len(much)}",
            value=statistics.median(first_much),
            unit="s",
            must=5,
            aim=2,
            better="less",
            raw={},
            note=alone,
        ),
    ]


def _come_and_go(cluster: Cluster) -> tuple[float, float]:
    """Seconds from the start of a fourth node's process until it has answered, and until it masters a range."""
    cluster.wait_until("all is level", lambda: is_level(cluster), SETTLE_SECONDS_MAX)
    before = set(cluster.names())
    declare(cluster, NODES + 1)
    started, name = _start_of_new(cluster, before)
    address = cluster.endpoint(name).removeprefix("http://")
    while not _answers(address):
        assert _now() - started < START_SECONDS_MAX, f"{name} answers nothing\n{cluster.logs()}"
        time.sleep(LOOK_SECONDS)
    answered = _now() - started
    cluster.wait_until(f"{name} masters a range", lambda: _masters(cluster, name), SETTLE_SECONDS_MAX)
    mastered = _now() - started
    cluster.wait_until("all is level on four", lambda: is_level(cluster), SETTLE_SECONDS_MAX)
    declare(cluster, NODES)
    cluster.wait_until(f"{name} is gone", lambda: name not in cluster.names(), SETTLE_SECONDS_MAX)
    return answered, mastered


def _start_of_new(cluster: Cluster, before: set[str]) -> tuple[float, str]:
    """When the process of the node that comes was started, and its name."""
    end = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < end:
        for name in set(cluster.names()) - before:
            if pid := cluster.pid(name):
                return _start_of(pid), name
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"no node comes\n{cluster.logs()}")


def _now() -> float:
    """Seconds since the machine's start."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _start_of(pid: int) -> float:
    """On the same clock, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _answers(address: str) -> bool:
    try:
        return "Item" in dynamodb(address, "GetItem", {"TableName": TABLE, "Key": KEY, "ConsistentRead": True})
    except (OSError, ValueError):  # It does not listen yet, or cannot tell yet.
        return False


def _masters(cluster: Cluster, name: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{cluster.admin_address(name)}/status", timeout=5) as answer:
            replicas = json.load(answer)["replicas"]
    except (OSError, ValueError):
        return False
    return any(one["role"] == "master" and one["partition"] != CATALOG_PARTITION for one in replicas)
