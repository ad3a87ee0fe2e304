"""One scenario under load, and what must hold behind it."""

import random
import time

from tests.faults.cluster import Cluster
from tests.faults.links import Links
from tests.faults.load import Load
from tests.faults.scenarios import Scenario

SERVICE_SECONDS_MAX = 60.0
"""Generous: the machine that runs the tests may be busy. What it took is printed."""


def run_scenario(
    scenario: Scenario,
    cluster: Cluster,
    links: Links,
    table: str,
    seed: int,
    warm_up_seconds: float = 0.5,
    load: Load | None = None,
) -> Load:
    """Runs a scenario under load. Raises AssertionError if an acknowledged write is lost, an answer is wrong, or no
    service is back in time."""
    load = load or Load(cluster.endpoints(), table)
    with load:
        load.wait_for_service(SERVICE_SECONDS_MAX)
        time.sleep(warm_up_seconds)
        what = scenario(cluster, links, table, random.Random(seed))
        back = load.wait_for_service(SERVICE_SECONDS_MAX)
        time.sleep(0.5)
    load.read_back(SERVICE_SECONDS_MAX)
    print(f"\n{what}: service {back:.2f} s after it; {load.summary()}")
    load.check()
    return load
