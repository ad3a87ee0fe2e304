"""Nodes are added and taken away under writes, on real processes: nothing acknowledged is lost, the fewest moves."""

from pathlib import Path

from tests.faults.cluster import running_cluster
from tests.faults.rescaling import Writer, declare, groups, least_moves, zones

TABLE = "items"
PARTITIONS = 12
SECONDS_MAX = 150


def test_three_nodes_become_five_and_then_four_under_writes(tmp_path: Path) -> None:
    with running_cluster(tmp_path, node_command=None) as cluster:
        cluster.create_table(TABLE, partitions=PARTITIONS)
        writer = Writer([cluster.endpoint("node-0")], TABLE)
        writer.start()

        start = groups(cluster, TABLE)
        declare(cluster, 5)
        cluster.wait_until("two nodes have come", lambda: len(zones(cluster)) == 5, 60)
        wanted = zones(cluster)
        new = set(wanted) - {"node-0", "node-1", "node-2"}
        least = least_moves(start, wanted)
        assert least == PARTITIONS, "half of what each of two nodes holds"

        def moved(before: dict[int, set[str]]) -> int:
            return sum(len(nodes - before[number]) for number, nodes in groups(cluster, TABLE).items())

        def is_done(before: dict[int, set[str]], moves: int) -> bool:
            return moved(before) == moves and all(len(one) == 3 for one in groups(cluster, TABLE).values())

        cluster.wait_until("they hold their share", lambda: is_done(start, least), SECONDS_MAX)
        grown = groups(cluster, TABLE)
        assert all(nodes - start[number] <= new for number, nodes in grown.items()), "moves to the new nodes only"

        declare(cluster, 4, "node-1")
        least = least_moves(grown, {name: zone for name, zone in wanted.items() if name != "node-1"})
        cluster.wait_until("node-1 is gone", lambda: "node-1" not in zones(cluster), SECONDS_MAX)
        assert not cluster.volume("node-1").exists() and cluster.pid("node-1") == 0
        assert moved(grown) == least == sum("node-1" in nodes for nodes in grown.values())
        assert all(
            nodes == grown[number] for number, nodes in groups(cluster, TABLE).items() if "node-1" not in grown[number]
        )

        writer.stop()
        writer.check(cluster.endpoints())


def test_too_few_nodes_for_the_replicas_are_refused_and_nothing_moves(tmp_path: Path) -> None:
    with running_cluster(tmp_path, node_command=None) as cluster:
        cluster.create_table(TABLE, partitions=2, replicas=3)
        before = groups(cluster, TABLE)
        declare(cluster, 2, replicas=2)
        report = cluster.data / "run" / "reconcile.json"
        cluster.wait_until("it is refused", lambda: "ScaleInBlocked" in report.read_text(), 60)
        assert groups(cluster, TABLE) == before and len(zones(cluster)) == 3
