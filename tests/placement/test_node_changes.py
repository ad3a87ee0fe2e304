"""Random changes of nodes: how many replicas move against the least, and how level the nodes are then.

A thousand of them are the benchmark's (benchmarks/placement.py); here are some of each kind.
"""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.placement.node_changes import Change, Cluster, change_nodes, random_changes

MUST_MOVE_AT_MOST = 1.05
MUST_BE_LEVEL_WITHIN = 1.10
AIM_LEVEL_WITHIN = 1.03


def ratio(changes: list[Change]) -> float:
    return sum(change.moves for change in changes) / max(1, sum(change.moves_min for change in changes))


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.integers(2, 6), min_size=1, max_size=5), st.integers(100, 500), st.sampled_from([1, 2, 3, 3]), st.data()
)
def test_twenty_changes_of_any_cluster_keep_it_level_with_few_moves(
    sizes: list[int], count: int, replicas: int, data: st.DataObject
) -> None:
    cluster = Cluster(sizes, [(count, min(replicas, sum(sizes)))])
    for _ in range(20):
        change_nodes(cluster, lambda low, high: data.draw(st.integers(low, high)))
        change = cluster.settle()
        assert change.rounded <= AIM_LEVEL_WITHIN, change
        assert change.imbalance <= MUST_BE_LEVEL_WITHIN or change.rounded == 1, change


def test_sixty_changes_of_three_replicas_in_three_zones_move_exactly_the_least() -> None:
    cluster = Cluster([5, 5, 5], [(600, 3)])
    random = Random(3)
    for _ in range(60):
        change_nodes(cluster, random.randint)
        change = cluster.settle()
        assert change.moves == change.moves_min and change.rounded == 1, change


def test_changes_of_mixed_clusters_move_hardly_more_than_the_least() -> None:
    """Zones from one to five, tables of one to five replicas: groups tied to a zone make swaps inside it necessary,
    which the least figure, counted by zones alone, does not see."""
    changes = random_changes(seed=7, clusters=4, changes=10)
    assert ratio(changes) <= MUST_MOVE_AT_MOST
    assert max(change.rounded for change in changes) <= AIM_LEVEL_WITHIN
