"""A cluster that is level enough costs no plan of moves, and is told what the plan would tell."""

from random import Random

import pytest

from keystead_core.catalog import rescale
from keystead_core.catalog.rescale import Rescale, Standing, plan_rescale
from keystead_core.ids import NodeId
from tests.placement.node_changes import RULE, Cluster


def look(cluster: Cluster, draining: set[NodeId]) -> Rescale:
    sites = [site for site in cluster.sites if site.node not in draining]
    nodes = {site.node for site in sites}
    standing = Standing(cluster.entries, sites, nodes, {one.id for one in cluster.entries}, 0, draining, True)
    return plan_rescale(standing, RULE, 0, 1, 0)


def random_cluster(rng: Random) -> Cluster:
    sizes = [rng.randint(1, 4) for _ in range(rng.randint(1, 4))]
    return Cluster(sizes, [(rng.randint(1, 40), rng.randint(1, min(3, sum(sizes))))])


def test_no_moves_are_planned_for_a_cluster_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = []
    monkeypatch.setattr(rescale, "plan_moves", lambda *given: planned.append(given))
    assert look(Cluster([4, 4, 4], [(120, 3)]), set()) == Rescale([]) and not planned
    with pytest.raises(AttributeError):  # The plan that is none here.
        look(Cluster([4, 4, 4], [(120, 3)]), {NodeId("00000")})
    assert planned


@pytest.mark.parametrize("seed", range(40))
def test_rest_is_what_the_plan_would_say(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(seed)
    cluster = random_cluster(rng)
    for _ in range(6):
        draining = {site.node for site in rng.sample(cluster.sites, rng.choice((0, 0, 0, 1)))}
        if rng.random() < 0.4:
            cluster.add(rng.randrange(cluster.zones))
        said = look(cluster, draining)
        with monkeypatch.context() as full:
            full.setattr(rescale, "_is_at_rest", lambda *given: False)
            assert look(cluster, draining) == said
        if rng.random() < 0.7:
            cluster.settle()
