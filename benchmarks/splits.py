"""How long a write waits because of a split: puts every few milliseconds over all keys, and one split after the other.

The left half's writes are not held up; so what is measured is not the time between acknowledgements, which theirs would
fill, but the longest time that any one put took from when it was sent, from just before a split until it is settled.
"""

import statistics
import time

from benchmarks.gaps import SETTLE_SECONDS_MAX, Puts
from benchmarks.results import Row
from benchmarks.servers import TABLE, Keystead

QUIET_SECONDS = 0.5


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


def _widest(partitions: list[dict]) -> int:  # type: ignore[type-arg]
    """The partition with the widest range of hashes: keys are spread evenly over them."""

    def width(partition: dict) -> int:  # type: ignore[type-arg]
        low, high = partition["range"]["low"][:16], partition["range"]["high"]
        return (int(high[:16].ljust(16, "0"), 16) if high else 1 << 64) - int(low.ljust(16, "0") or "0", 16)

    return int(max(partitions, key=width)["id"])
