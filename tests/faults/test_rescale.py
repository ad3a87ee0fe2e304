"""Nodes come and go under load while masters die: nothing is lost, and no replica moves that does not have to."""

from pathlib import Path

from tests.faults.cluster import running_cluster
from tests.faults.rescaling import rescale_for

TABLE = "items"
PARTITIONS = 12


def test_three_nodes_become_six_and_then_four_while_masters_are_killed(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        cluster.create_table(TABLE, partitions=PARTITIONS)
        cluster.wait_until("the table is level", lambda: cluster.all_level(TABLE), 90)
        print("\n" + rescale_for(cluster, TABLE, [(6,), (4, 1)], seed=9))
