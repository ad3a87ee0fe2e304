"""`python -m tests.faults.soak MINUTES [SEED]`: random faults for a long time, every history checked.

The last fifth of the time another cluster goes through random numbers of nodes instead, while masters are killed.

The seed is printed; it fixes the order of faults and victims, not what real processes make of them.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults import scenarios
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.links import Links
from tests.faults.rescaling import rescale_for
from tests.faults.run import run_scenario

SETTLE_SECONDS_MAX = 180.0
RESCALING_SHARE = 0.2
NODES_MIN, NODES_MAX = 3, 7
SIZES_AT_ONCE = 4


def soak(minutes: float, seed: int, directory: Path) -> Counter[str]:
    """How often each fault was run. Raises AssertionError at the first thing that is wrong."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    end = time.monotonic() + minutes * 60
    links = Links()
    try:
        with running_cluster(directory, links=links, settings={"seal_bytes": 256 * 1024}) as cluster:
            cluster.create_table("soak", partitions=4)
            while time.monotonic() < end:
                _settle(cluster)
                scenario = rng.choice([*scenarios.GENTLE, *scenarios.LOSING_A_COPY])
                run_scenario(scenario, cluster, links, "soak", seed=rng.randrange(2**32))
                done[scenario.__name__] += 1
    finally:
        links.close()
    return done


def rescale(minutes: float, seed: int, directory: Path) -> Counter[str]:
    """How often the cluster got another number of nodes. Raises AssertionError: also where more moved than had to."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    end = time.monotonic() + minutes * 60
    with running_cluster(directory) as cluster:
        cluster.create_table("soak", partitions=12)
        nodes = NODES_MIN
        while time.monotonic() < end:
            _settle(cluster)
            sizes: list[tuple[int, ...]] = []
            for _ in range(SIZES_AT_ONCE):
                nodes = rng.choice([n for n in range(NODES_MIN, NODES_MAX + 1) if n != nodes])
                sizes.append((nodes,))
            print(f"\n{rescale_for(cluster, 'soak', sizes, seed=rng.randrange(2**32))}", flush=True)
            done.update(f"rescale to {size} nodes" for (size,) in sizes)
    return done


def _settle(cluster: Cluster) -> None:
    cluster.wait_until("the table is whole again", lambda: cluster.all_level("soak"), SETTLE_SECONDS_MAX)


def main(arguments: list[str]) -> int:
    minutes = float(arguments[0]) if arguments else 30.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(2**32)
    print(f"soak of {minutes:g} minutes, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="keystead-soak-") as directory:
        done = soak(minutes * (1 - RESCALING_SHARE), seed, Path(directory))
    with tempfile.TemporaryDirectory(prefix="keystead-soak-") as directory:
        done += rescale(minutes * RESCALING_SHARE, seed, Path(directory))
    for name, count in done.most_common():
        print(f"{count:5}  {name}")
    print(f"{done.total()} faults, every history linearizable (seed {seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
