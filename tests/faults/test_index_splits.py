"""A table and its global index are split while they are written and nodes die: the index has what the rows make."""

import json
import random
import time
import urllib.request
from functools import partial
from typing import Any

import msgspec

from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import index_table
from tests.faults.cluster import Cluster
from tests.faults.rescaling import entries
from tests.faults.test_indexes import LEVEL_SECONDS_MAX, SECONDS_BETWEEN, TABLE, Writers, items, table

__all__ = ["table"]
INDEX = index_table(TABLE, "first")
SETTLED_SECONDS_MAX = 90.0


def plan_split(cluster: Cluster, partition: int) -> str:
    """What the catalog has against it, or ''."""
    body = json.dumps({"type": "PlanSplit", "partition": partition}).encode()
    for node in cluster.names():
        try:
            address = f"http://{cluster.admin_address(node)}/catalog/command"
            with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=10) as answer:
                return msgspec.convert(json.load(answer)["reply"], CatalogReply).message
        except OSError:
            continue
    raise AssertionError("no node takes the command")


def are_divided(cluster: Cluster, before: list[int]) -> bool:
    """There are more partitions of both than before, and no split is under way. A map may be of before the plans."""
    found = [entries(cluster, TABLE), entries(cluster, INDEX)]
    grown = all(len(now) > count for now, count in zip(found, before, strict=True))
    return grown and not any(entry.get("left") or entry.get("split") for now in found for entry in now)


def demand_index_of_rows(cluster: Cluster, db: Any) -> None:
    """Once it is quiet. A local index is so at any time."""
    rows = items(db)
    with_at = [row for row in rows if "'at'" in row]
    expected = [row for row in with_at if "'city'" in row]
    assert items(db, "local") == with_at
    try:
        cluster.wait_until("the index is level", lambda: items(db, "first") == expected, LEVEL_SECONDS_MAX)
    finally:
        found = items(db, "first")
        print(f"\nmissing {[row for row in expected if row not in found]}")
        print(f"beyond {[row for row in found if row not in expected]}")


def test_an_index_has_what_the_rows_make_however_both_are_split(cluster: Cluster, table: Any) -> None:
    counts = []
    with Writers(cluster.endpoints()) as writers:
        for nodes in (cluster.names()[:1], cluster.names()[1:]):
            time.sleep(SECONDS_BETWEEN)
            before = [len(entries(cluster, TABLE)), len(entries(cluster, INDEX))]
            for entry in entries(cluster, TABLE) + entries(cluster, INDEX):
                print(f"{entry['table']} {entry['id']}: {plan_split(cluster, entry['id']) or 'planned'}")
            for node in nodes:
                time.sleep(random.random())
                cluster.kill_and_wait_for_restart(node)
            cluster.wait_until("splits are settled", partial(are_divided, cluster, before), SETTLED_SECONDS_MAX)
            counts.append((len(entries(cluster, TABLE)), len(entries(cluster, INDEX))))
        time.sleep(SECONDS_BETWEEN)
    print(f"\n{sum(writers.done)} writes, partitions of table and index: {counts}")
    assert sum(writers.done) > 50, f"hardly anything was written: {writers.done}"
    assert counts[0] == (4, 4), "each of two was divided"
    assert counts[1][0] > 4 and counts[1][1] > 4, "and halves of halves"
    cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), LEVEL_SECONDS_MAX)
    demand_index_of_rows(cluster, table)
