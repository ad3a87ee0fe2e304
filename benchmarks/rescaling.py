"""What moving replicas costs: the speed of a copy, what clients wait meanwhile, how soon a lost copy is made up for.

Copy speed: a follower of a partition loses its volume and gets its rows anew. The time is that in which the master says
it copies; the measure is a plain copy of as many bytes within the same volume, with fsync, right before and after.

Latency: a table in use at a steady rate gets a fourth node, and a quarter of its data moves there. Clients' 99th
percentile until all is level is compared with that of the same clients right before or behind, whichever is lower.

Lost volume: of a node among four, with its process. The time ends when a group has a replica in the lost one's stead
that has its log.
"""

import base64
import json
import os
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.results import Row, median_ratio
from benchmarks.servers import TABLE, Keystead, dynamodb, wait_until
from tests.faults.cluster import Cluster
from tests.faults.load import Load
from tests.faults.rescaling import declare, latest_map, zones

ITEM_BYTES = 150_000
MEGABYTE = 1_000_000
LOOK_SECONDS = 0.05
SETTLE_SECONDS_MAX = 300.0
COPY_SECONDS_MAX = 60.0
TRIES = 5
PARTITIONS = 8
SHORT_LOGS = {"cold_log_mb": 4, "log_memory_mb": 4, "seal_bytes": 1 << 20}
"""So that what a new replica gets is a copy."""


def copy_speed(megabytes: int, rounds: int) -> list[Row]:
    """The bytes of one partition's rows per second, copied to a node without any, against a plain copy."""
    server = Keystead(**SHORT_LOGS)
    ours: list[float] = []
    plain: list[float] = []
    try:
        server.start()
        fill(server, megabytes)
        for number in range(rounds):
            before = _plain_copy_speed(server.directory, megabytes)
            copied, seconds = _copy_anew(server.cluster)
            after = _plain_copy_speed(server.directory, megabytes)
            ours.append(copied / seconds)
            plain.append((before + after) / 2)
            print(f"  copy {number + 1}: {ours[-1] / MEGABYTE:.0f} of {plain[-1] / MEGABYTE:.0f} MB/s", flush=True)
    finally:
        server.stop()
    raw = {
        "Keystead, MB/s": [round(one / MEGABYTE, 1) for one in ours],
        "plain copy, MB/s": [round(one / MEGABYTE, 1) for one in plain],
    }
    what = f"copy of a replica of {megabytes} MB / plain copy of a file with fsync, bytes per second"
    value, note = median_ratio(ours, plain), "to the other node's disk; without clients, so without rests"
    return [Row(what=what, value=value, unit="x", must=0.3, aim=0.7, better="more", raw=raw, note=note)]


def latency(megabytes: int, seconds: float, rounds: int) -> list[Row]:
    """The 99th percentile of reads and writes while a node is added, against right before or behind; the median of some
    rounds, each with a cluster of its own."""
    found = [_latency(megabytes, seconds) for _ in range(rounds)]
    note = f"{found[0].copied / MEGABYTE:.0f} MB copied in {found[0].took:.0f} s, {len(found[0].load.history)} requests"
    return [_latency_row(found, kinds, f"first round: {note}") for kinds in (("write", "delete"), ("read",))]


class Round(msgspec.Struct, frozen=True):
    """Clients under way before, while and after a node was added: `spans`, as (begin, end) in ns of `monotonic_ns`."""

    load: Load
    spans: list[tuple[int, int]]
    copied: int

    @property
    def took(self) -> float:
        return (self.spans[1][1] - self.spans[1][0]) / 1e9

    def percentiles(self, kinds: tuple[str, ...]) -> list[float]:
        """The 99th, in ms, of each span."""
        return [statistics.quantiles(self._of(kinds, span), n=100)[98] / 1e6 for span in self.spans]

    def failed(self, kinds: tuple[str, ...]) -> list[int]:
        """What a client has to ask again, in each span; it counts above with the time that it took."""
        history = [o for o in self.load.history if o.kind in kinds and o.outcome != "ok"]
        return [sum(since <= o.invoked < until for o in history) for since, until in self.spans]

    def _of(self, kinds: tuple[str, ...], span: tuple[int, int]) -> list[int]:
        return [o.returned - o.invoked for o in self.load.history if o.kind in kinds and span[0] <= o.invoked < span[1]]


def _latency(megabytes: int, seconds: float) -> Round:
    server = Keystead(partitions=PARTITIONS, **SHORT_LOGS)
    try:
        server.start()
        fill(server, megabytes)
        cluster = server.cluster
        load = Load(cluster.endpoints(), TABLE, 12, 1, 1, pause_ms=300, value_bytes=1000, request_seconds_max=10)
        with load:
            load.wait_for_service(60)
            time.sleep(seconds / 4)
            start = time.monotonic_ns()
            time.sleep(seconds)
            spans = [(start, time.monotonic_ns())]
            began = time.monotonic_ns()
            declare(cluster, 4)
            cluster.wait_until("a fourth node", lambda: len(zones(cluster)) == 4, 60)
            cluster.wait_until("all has moved", lambda: is_level(cluster), SETTLE_SECONDS_MAX)
            spans.append((began, time.monotonic_ns()))
            time.sleep(seconds)
            spans.append((spans[1][1], time.monotonic_ns()))
        copied = sum(_copied_bytes(cluster, name) for name in cluster.names())
    finally:
        server.stop()
    found = Round(load, spans, copied)
    for kinds in ("write", "read"):
        before, during, after = found.percentiles((kinds,))
        print(f"  {kinds}s, p99: {before:.0f} ms before, {during:.0f} meanwhile, {after:.0f} behind", flush=True)
    return found


def _latency_row(rounds: list[Round], kinds: tuple[str, ...], note: str) -> Row:
    of_spans = [one.percentiles(kinds) for one in rounds]
    failed = [float(count) for one in rounds for count in one.failed(kinds)]
    calm = [min(before, after) for before, _, after in of_spans]
    return Row(
        what=f"99th percentile of {kinds[0]}s while a node is added and data moves / right before or behind, the lower",
        value=median_ratio([during for _, during, _ in of_spans], calm),
        unit="x",
        must=3.0,
        aim=1.5,
        better="less",
        raw={
            "before, ms": [round(one[0], 2) for one in of_spans],
            "meanwhile, ms": [round(one[1], 2) for one in of_spans],
            "behind, ms": [round(one[2], 2) for one in of_spans],
            "to be asked again before, meanwhile, behind, of each round": failed,
        },
        note=note,
    )


def lost_volume(rounds: int) -> list[Row]:
    """Seconds from the loss of a volume until the first group has the log of another replica in its stead."""
    took: list[float] = []
    server = Keystead(partitions=PARTITIONS)
    try:
        server.start()
        cluster = server.cluster
        declare(cluster, 4)
        cluster.wait_until("all is level on four", lambda: is_level(cluster), SETTLE_SECONDS_MAX)
        for number in range(rounds):
            held = {place["replica"] for entry in _entries(cluster) for place in entry["members"]}
            victim = cluster.names()[number % 4]
            start = time.monotonic()
            cluster.delete_volume(victim)
            if cluster.pid(victim):
                cluster.kill(victim)
            cluster.wait_until("one in its stead", lambda h=held: bool(_made_since(cluster, h)), SETTLE_SECONDS_MAX)  # type: ignore[misc]
            took.append(time.monotonic() - start)
            print(f"  {victim}: {took[-1]:.1f} s, as {_made_since(cluster, held)[0]}", flush=True)
            cluster.wait_until("all is level again", lambda: is_level(cluster), SETTLE_SECONDS_MAX)
    finally:
        server.stop()
    what = f"loss of a volume -> the first group has another voter in its stead, {rounds} rounds, largest"
    raw = {"s": [round(one, 2) for one in took]}
    note = "with few rows; that of a lost volume is a copy at once, not a log-only replica first"
    return [Row(what=what, value=max(took), unit="s", must=10, aim=3, better="less", raw=raw, note=note)]


def fill(server: Keystead, megabytes: int) -> None:
    """Items that do not compress, over all partitions."""
    count = megabytes * MEGABYTE // ITEM_BYTES

    def put(number: int) -> None:
        text = base64.b64encode(os.urandom(ITEM_BYTES * 3 // 4)).decode()
        item = {"pk": {"S": f"fill{number:06d}"}, "v": {"S": text}}
        for again in range(TRIES):
            try:
                address = server.addresses[(number + again) % len(server.addresses)]
                dynamodb(address, "PutItem", {"TableName": TABLE, "Item": item})
                return
            except urllib.error.HTTPError as problem:
                if problem.code < 500 or again == TRIES - 1:
                    raise

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(count)))
    server.cluster.wait_until("all replicas are level", lambda: server.cluster.all_level(TABLE), SETTLE_SECONDS_MAX)


def _copy_anew(cluster: Cluster) -> tuple[int, float]:
    """Takes the volume of a follower away; the bytes that its master copied to it, and the seconds that took."""
    (partition,) = cluster.partitions(TABLE)
    master = partition["master"]
    victim = next(one["node"] for one in partition["replicas"] if one["node"] != master)
    before = _copied_bytes(cluster, master)
    with cluster.held_down(victim):
        cluster.delete_volume(victim)
    wait_until("the copy begins", lambda: _copied_bytes(cluster, master) > before, COPY_SECONDS_MAX)
    began = last = time.monotonic()
    copied = before
    while True:
        time.sleep(LOOK_SECONDS)
        now = _copied_bytes(cluster, master)
        if now > copied:
            copied, last = now, time.monotonic()
        elif copied > before and cluster.all_level(TABLE):
            break
        if time.monotonic() - began > SETTLE_SECONDS_MAX:
            raise TimeoutError("the copy does not come to its end")
    return copied - before, last - began


def _plain_copy_speed(directory: Path, megabytes: int) -> float:
    """Bytes per second of `cp` with fsync of what it wrote, the source in memory as the rows' files are."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        source, target = Path(scratch, "a"), Path(scratch, "b")
        block = os.urandom(MEGABYTE)
        with source.open("wb") as file:
            for _ in range(megabytes):
                file.write(block)
            os.fsync(file.fileno())
        start = time.monotonic()
        with source.open("rb") as read, target.open("wb") as written:
            while piece := read.read(MEGABYTE):
                written.write(piece)
            written.flush()
            os.fsync(written.fileno())
        return megabytes * MEGABYTE / (time.monotonic() - start)


def _copied_bytes(cluster: Cluster, name: str) -> int:
    with urllib.request.urlopen(f"http://{cluster.admin_address(name)}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith("keystead_copied_bytes"))


def is_level(cluster: Cluster) -> bool:
    """Nothing has to move, and every replica is level."""
    report = json.loads((cluster.data / "run" / "reconcile.json").read_bytes())
    names = [node["name"] for node in cluster.status()["nodes"]]
    held = [one["node"] for partition in cluster.partitions(TABLE) for one in partition["replicas"]]
    return report["rescale"] is None and set(names) == set(held) and cluster.all_level(TABLE)


def _entries(cluster: Cluster) -> list[dict]:  # type: ignore[type-arg]
    return [entry for entry in latest_map(cluster)["partitions"].values() if entry["table"] == TABLE]


def _made_since(cluster: Cluster, held: set[int]) -> list[str]:
    """The roles of the replicas that have come to be members beside those of `held`, and that count."""
    places = [place for entry in _entries(cluster) for place in entry["members"]]
    return [place["role"] for place in places if place["replica"] not in held and place["role"] != "learner"]
