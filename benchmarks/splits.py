"""How long a write waits because of a split, and what a dial-up delivers.

Pauses: puts every few milliseconds over all keys, and one split after the other.

The left half's writes are not held up; so what is measured is not the time between acknowledgements, which theirs would
fill, but the longest time that any one put took from when it was sent, from just before a split until it is settled.

Dial-up: partitions that give few units, so that the machine is not what limits; a table of one of them is given the
units of sixteen while more is asked of it than that. What is acknowledged a second then is compared with its units.
"""

import statistics
import time

import yaml

from benchmarks.gaps import SETTLE_SECONDS_MAX, Puts
from benchmarks.results import Row
from benchmarks.servers import TABLE, Keystead
from tests.faults.cluster import Cluster

QUIET_SECONDS = 0.5
UNITS_OF_PARTITION = 10
PARTITIONS = 16


def pauses(rounds: int) -> list[Row]:
    """Each round divides the partition with the most keys, as `keystead split --partition` asks for it."""
    server = Keystead()
    waits: list[float] = []
    usual: list[float] = []
    try:
        server.start()
        cluster = server.cluster
        with Puts(server, server.addresses) as puts:
            for number in range(rounds):
                cluster.wait_until("all replicas are level", lambda: cluster.all_level(TABLE), SETTLE_SECONDS_MAX)
                time.sleep(QUIET_SECONDS)
                start = time.monotonic()
                usual.append(puts.longest_wait(start - QUIET_SECONDS, start))
                cluster.cli("split", TABLE, "--partition", str(_widest(cluster.partitions(TABLE))))
                time.sleep(QUIET_SECONDS)
                waits.append(puts.longest_wait(start, time.monotonic()))
                print(f"  split {number + 1}: the longest put took {waits[-1] * 1000:.0f} ms", flush=True)
            assert not puts.failed, f"{puts.failed} puts failed"
    finally:
        server.stop()
    raw = {"with a split, ms": [round(1000 * one, 1) for one in waits]}
    raw["right before it, ms"] = [round(1000 * one, 1) for one in usual]
    note = f"median {1000 * statistics.median(waits):.0f} ms; without a split {1000 * statistics.median(usual):.0f} ms"
    what = f"longest wait of a write because of a split, {rounds} splits under load, largest"
    return [Row(what=what, value=1000 * max(waits), unit="ms", must=1000, aim=50, better="less", raw=raw, note=note)]


def dial_up(rounds: int) -> list[Row]:
    """The share of a table's new units that it gives, in each second after its partitions have become sixteen."""
    settings = {"partition_write_units": UNITS_OF_PARTITION, "burst_seconds": 1}
    server = Keystead(**settings)
    units = UNITS_OF_PARTITION * PARTITIONS - 1
    try:
        server.start()
        cluster = server.cluster
        _declare(cluster, UNITS_OF_PARTITION)
        with Puts(server, server.addresses) as puts:
            time.sleep(2)
            start = time.monotonic()
            before = _per_second(puts, start - 1, start)
            _declare(cluster, units)
            cluster.wait_until("sixteen partitions", lambda: len(cluster.partitions(TABLE)) == PARTITIONS, 120)
            took = time.monotonic() - start
            cluster.wait_until("all are level", lambda: cluster.all_level(TABLE), SETTLE_SECONDS_MAX)
            time.sleep(3)
            begun = time.monotonic()
            time.sleep(rounds)
            delivered = [_per_second(puts, begun + second, begun + second + 1) for second in range(rounds)]
    finally:
        server.stop()
    raw = {"puts/s": [round(one, 1) for one in delivered], "before, puts/s": [round(before, 1)]}
    note = f"{UNITS_OF_PARTITION} to {units} write units, 1 to {PARTITIONS} partitions in {took:.0f} s under load"
    what = "write units delivered after a dial-up / units that the table was given"
    value = statistics.fmean(delivered) / units
    return [Row(what=what, value=value, unit="x", must=0.95, aim=1.0, better="more", raw=raw, note=note)]


def _per_second(puts: Puts, since: float, until: float) -> float:
    return sum(since <= moment < until for moment in puts.acked) / (until - since)


def _declare(cluster: Cluster, write_units: int) -> None:
    """The benchmarks' table, provisioned."""
    manifest = {
        "apiVersion": "keystead.io/v1alpha1",
        "kind": "Table",
        "metadata": {"name": TABLE},
        "spec": {
            "attributes": [{"name": "pk", "type": "S"}],
            "keySchema": {"hashKey": "pk"},
            "capacity": {"read": 1, "write": write_units},
            "partitions": {"min": 1},
        },
    }
    cluster.cli("apply", "-f", "-", stdin=yaml.safe_dump(manifest))


def _widest(partitions: list[dict]) -> int:  # type: ignore[type-arg]
    """The partition with the widest range of hashes: keys are spread evenly over them."""

    def width(partition: dict) -> int:  # type: ignore[type-arg]
        low, high = partition["range"]["low"][:16], partition["range"]["high"]
        return (int(high[:16].ljust(16, "0"), 16) if high else 1 << 64) - int(low.ljust(16, "0") or "0", 16)

    return int(max(partitions, key=width)["id"])
