"""Placement by itself: no process, no disk. A hundred thousand partitions over a thousand nodes; a thousand changes."""

import time
from collections import Counter

from benchmarks.results import Row
from keystead_core.ledger import Ledger
from keystead_core.placement import place
from tests.placement.node_changes import RULE, Cluster, random_changes

SEED = 2026


def figures(partitions: int, nodes: int, clusters: int) -> list[Row]:
    """`clusters`: how many small ones have twenty changes of nodes each."""
    return [*_changes(clusters), *_large(partitions, nodes)]


def _changes(clusters: int) -> list[Row]:
    found = random_changes(SEED, clusters, 20)
    usual = random_changes(SEED, clusters // 5, 20, zones=3, replicas=3)
    moved, least = sum(one.moves for one in found), sum(one.moves_min for one in found)
    what = f"{len(found)} changes of nodes"
    return [
        Row(
            what=f"{what}, one to five zones and replicas: replicas moved / least",
            value=moved / least,
            unit="x",
            must=1.05,
            aim=1.00,
            better="less",
            raw={
                "moved, least": [moved, least],
                f"three replicas in three zones, {len(usual)} changes": [
                    sum(one.moves for one in usual),
                    sum(one.moves_min for one in usual),
                ],
            },
            note="the least counts by zones, and does not see what single groups force beyond that",
        ),
        Row(
            what=f"{what}: fullest node after any, over the best that the zones allow, in whole replicas",
            value=max(one.rounded for one in found),
            unit="x",
            must=1.10,
            aim=1.03,
            better="less",
            raw={
                "without rounding up to whole replicas, largest": [round(max(one.imbalance for one in found), 4)],
            },
        ),
    ]


def _large(partitions: int, nodes: int) -> list[Row]:
    zones = [nodes // 3 + (zone < nodes % 3) for zone in range(3)]
    empty = Cluster(zones, [])
    start = time.perf_counter()
    groups = place(partitions, 3, 3, empty.sites, Ledger(), RULE)
    place_seconds = time.perf_counter() - start
    cluster = Cluster(zones, [], groups)
    plans, worst = [], 1.0
    for more, fewer in ((nodes // 10, 0), (0, nodes // 10)):
        for number in range(more):
            cluster.add(number % 3)
        cluster.sites = cluster.sites[fewer:]
        start = time.perf_counter()
        plan = cluster.plan()
        plans.append(time.perf_counter() - start)
        change = cluster.settle()
        assert change.moves == change.moves_min == len(plan.moves)
        worst = max(worst, change.imbalance)
    firsts = Counter(group[0] for group in groups)
    what = f"{partitions} partitions x 3 over {nodes} nodes"
    return [
        Row(
            what=f"{what}: placed",
            value=place_seconds,
            unit="s",
            must=5,
            aim=2,
            better="less",
            raw={"preferred masters of the busiest / mean": [max(firsts.values()) * nodes / partitions]},
        ),
        Row(
            what=f"{what}: moves planned for a tenth more nodes, and a tenth fewer",
            value=max(plans),
            unit="s",
            must=5,
            aim=2,
            better="less",
            raw={"each, s": [round(one, 2) for one in plans], "fullest node / mean": [round(worst, 4)]},
        ),
    ]
