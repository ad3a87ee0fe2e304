"""The faults as functions: each does its harm to a cluster under load, and undoes it.

The tests run them one by one, the soak run in random order for as long as it is told. A scenario returns what it did.
"""

import random
import time
from collections.abc import Callable

from tests.faults.cluster import Cluster
from tests.faults.damage import corrupt_hot_block
from tests.faults.links import Links

CUT_SECONDS = 3
"""Several leases."""

Scenario = Callable[[Cluster, Links, str, random.Random], str]


def kill_a_node(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    cluster.kill(name)
    return f"kill -9 of {name}"


def kill_a_masters_node(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.masters(table))
    cluster.kill(name)
    return f"kill -9 of {name}, a master's node"


def freeze_a_masters_node(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.masters(table))
    with cluster.frozen(name):
        time.sleep(5)
    return f"SIGSTOP of {name}, a master's node, for 5 s"


def kill_all(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    cluster.kill_everything()
    cluster.up()
    return "kill -9 of everything, and up again"


def hand_over(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.masters(table))
    cluster.cli("node", "maintain", name)
    time.sleep(1)
    cluster.cli("node", "resume", name)
    return f"maintenance of {name}, a master's node"


def cut_off_a_masters_node(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.masters(table))
    links.isolate(name, cluster.names())
    time.sleep(CUT_SECONDS)
    links.heal()
    return f"{name}, a master's node, cut off from its peers for {CUT_SECONDS} s"


def mute_a_masters_node(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.masters(table))
    for other in cluster.names():
        if other != name:
            links.cut_one_way(name, other)
    time.sleep(CUT_SECONDS)
    links.heal()
    return f"{name}, a master's node, hears its peers but is not heard for {CUT_SECONDS} s"


def deafen_a_masters_node(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.masters(table))
    for other in cluster.names():
        if other != name:
            links.cut_one_way(other, name)
    time.sleep(CUT_SECONDS)
    links.heal()
    return f"{name}, a master's node, is heard but hears nobody for {CUT_SECONDS} s"


def cut_one_link(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    one, other = rng.sample(cluster.names(), 2)
    links.cut(one, other, reset=True)
    time.sleep(CUT_SECONDS)
    links.heal()
    return f"link between {one} and {other} cut for {CUT_SECONDS} s"


def slow_links(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    for other in cluster.names():
        if other != name:
            links.slow(name, other, delay_ms=150)
    time.sleep(CUT_SECONDS)
    links.heal()
    return f"150 ms more to and from {name} for {CUT_SECONDS} s"


def fail_an_fsync(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    pid = cluster.pid(name)
    cluster.set_disk_faults(name, fail_fsync=True)
    cluster.wait_until(f"{name} stops when fdatasync fails", lambda: cluster.pid(name) != pid, 60)
    cluster.set_disk_faults(name)
    return f"fdatasync of {name} failed, the process ended"


def fail_a_write(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    pid = cluster.pid(name)
    cluster.set_disk_faults(name, eio_write=True)
    cluster.wait_until(f"{name} stops when a write fails", lambda: cluster.pid(name) != pid, 60)
    cluster.set_disk_faults(name)
    return f"EIO at a write of {name}, the process ended"


def slow_disk(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    cluster.set_disk_faults(name, slow_ms=100)
    time.sleep(CUT_SECONDS)
    cluster.set_disk_faults(name)
    return f"each disk operation of {name} 100 ms slower for {CUT_SECONDS} s"


def fill_a_disk(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    cluster.set_disk_faults(name, enospc=True)
    time.sleep(CUT_SECONDS)
    cluster.set_disk_faults(name)
    return f"disk of {name} full for {CUT_SECONDS} s"


def corrupt_the_hot_log(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    with cluster.held_down(name):
        offset = corrupt_hot_block(cluster.volume(name), blocks_from_the_end=rng.randrange(2, 20))
    cluster.wait_until(f"{table} is whole after the damage", lambda: cluster.all_level(table), 90)
    return f"block at byte {offset} of {name}'s hot log corrupted"


def delete_a_volume(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
    name = rng.choice(cluster.names())
    with cluster.held_down(name):
        cluster.delete_volume(name)
    cluster.wait_until(f"{table} is whole after the loss of a volume", lambda: cluster.all_level(table), 150)
    return f"volume of {name} deleted"


GENTLE: list[Scenario] = [
    kill_a_node,
    kill_a_masters_node,
    freeze_a_masters_node,
    kill_all,
    hand_over,
    cut_off_a_masters_node,
    mute_a_masters_node,
    deafen_a_masters_node,
    cut_one_link,
    slow_links,
    fail_an_fsync,
    fail_a_write,
    slow_disk,
    fill_a_disk,
]
LOSING_A_COPY: list[Scenario] = [corrupt_the_hot_log, delete_a_volume]
"""After these one copy of everything must be made whole before the next fault."""
