"""Processes that die, freeze and lose their volumes: no acknowledged write is lost, no answer is wrong."""

import random

from tests.faults import scenarios
from tests.faults.cluster import Cluster
from tests.faults.links import Links
from tests.faults.load import Load
from tests.faults.run import run_scenario


def test_kill_9_of_every_node_in_turn_loses_no_acknowledged_write(cluster: Cluster, links: Links, table: str) -> None:
    def in_turn(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
        for name in cluster.names():
            cluster.kill_and_wait_for_restart(name)
            cluster.wait_until(f"{table} is level", lambda: cluster.all_level(table), 60)
        return "kill -9 of every node in turn"

    run_scenario(in_turn, cluster, links, table, seed=1)


def test_another_node_serves_after_kill_9_of_the_masters_node(cluster: Cluster, links: Links, table: str) -> None:
    def stays_dead(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
        victim = cluster.masters(table)[0]
        with cluster.held_down(victim):
            others = [endpoint for endpoint in cluster.endpoints() if endpoint != cluster.endpoint(victim)]
            assert set(load.endpoints) >= set(others)
            took = load.wait_for_service(20)
            cluster.wait_until("masters elsewhere", lambda: victim not in cluster.masters(table), 60)
        return f"kill -9 of {victim}, not started again for a while (writes again after {took:.2f} s)"

    load = Load(cluster.endpoints(), table)
    run_scenario(stays_dead, cluster, links, table, seed=2, load=load)


def test_a_frozen_master_serves_nothing_stale_when_it_wakes(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.freeze_a_masters_node, cluster, links, table, seed=3)


def test_all_nodes_killed_at_once_come_back_with_everything(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.kill_all, cluster, links, table, seed=4)


def test_maintenance_of_the_masters_node_fails_no_write_for_long(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.hand_over, cluster, links, table, seed=5)


def test_a_node_without_its_volume_comes_back_as_a_new_node(cluster: Cluster, links: Links, table: str) -> None:
    ids = {node["name"]: node["id"] for node in cluster.status()["nodes"]}
    run_scenario(scenarios.delete_a_volume, cluster, links, table, seed=6)
    changed = [node["name"] for node in cluster.status()["nodes"] if node["id"] != ids[node["name"]]]
    assert len(changed) == 1, f"nodes with another identity: {changed}"
