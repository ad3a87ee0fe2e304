"""The majority of a group's volumes lost, the catalog's with them: what is said, and what one volume brings back."""

import random

from tests.faults.cluster import Cluster
from tests.faults.links import Links
from tests.faults.run import run_scenario


def test_one_of_two_lost_volumes_put_back_brings_everything_back(cluster: Cluster, links: Links, table: str) -> None:
    ids = {node["name"]: str(node["id"]) for node in cluster.status()["nodes"]}

    def lose_two_put_back_one(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
        returning, lost = rng.sample(cluster.names(), 2)
        with cluster.held_down(returning, lost):
            kept = [cluster.take_volume_away(name) for name in (returning, lost)]
        cluster.wait_until("both run over new volumes", lambda: _have_new_ids(cluster, ids, {returning, lost}), 60)
        either = sorted([[ids[returning]], [ids[lost]]])
        cluster.wait_until("nobody serves", lambda: _nobody_serves(cluster, table), 60)
        for partition in cluster.partitions(table):
            assert sorted(partition["waysBack"]) == either, partition
        said = cluster.cli("why", table)
        for name in (returning, lost):
            assert f"{name} (node id {ids[name]})" in said and "comes back by itself" in said, said
        with cluster.held_down(returning):
            cluster.delete_volume(returning)
            kept[0].rename(cluster.volume(returning))
        cluster.wait_until("it serves again", lambda: cluster.table_serves(table), 60)
        cluster.wait_until("all is whole again", lambda: cluster.all_level(table), 150)
        return f"volumes of {returning} and {lost} lost, that of {returning} put back"

    run_scenario(lose_two_put_back_one, cluster, links, table, seed=7)
    changed = [node["name"] for node in cluster.status()["nodes"] if node["id"] != ids[node["name"]]]
    assert len(changed) == 1, f"nodes with another identity: {changed}"


def _nobody_serves(cluster: Cluster, table: str) -> bool:
    return not any(partition["master"] for partition in cluster.partitions(table))


def _have_new_ids(cluster: Cluster, old: dict[str, str], names: set[str]) -> bool:
    nodes = {node["name"]: node["id"] for node in cluster.status()["nodes"]}
    return all(nodes[name] not in (None, old[name]) for name in names)
