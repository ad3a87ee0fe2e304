"""Links between nodes that are cut, both ways or one, and slow ones."""

import pytest

from tests.faults import scenarios
from tests.faults.cluster import Cluster
from tests.faults.links import Links
from tests.faults.run import run_scenario


def test_a_master_cut_off_from_its_peers_gives_no_wrong_answer(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.cut_off_a_masters_node, cluster, links, table, seed=1)
    assert links.bytes_held > 0, "the cut held nothing: the nodes do not talk through the links"


@pytest.mark.parametrize("scenario", [scenarios.mute_a_masters_node, scenarios.deafen_a_masters_node])
def test_a_one_way_cut_gives_no_wrong_answer(
    cluster: Cluster, links: Links, table: str, scenario: scenarios.Scenario
) -> None:
    run_scenario(scenario, cluster, links, table, seed=2)


def test_a_broken_link_between_two_nodes_is_survived(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.cut_one_link, cluster, links, table, seed=3)


def test_slow_links_of_one_node_are_survived(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.slow_links, cluster, links, table, seed=4)
