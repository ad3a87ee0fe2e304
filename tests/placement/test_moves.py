"""When nodes come or go, only what must move does, and no replica moves twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.ids import NodeId, PartitionId
from keystead_core.ledger import PlacementRule, Site, ledger_of
from keystead_core.rebalance import Move, move_target, plan_moves
from tests.catalog.cluster import make_catalog
from tests.placement.node_changes import Cluster, after_moves, make_entry, make_site, nodes_of

RULE = PlacementRule()


def grown(cluster: Cluster, each: int) -> list[NodeId]:
    """As many new nodes in each zone."""
    before = {site.node for site in cluster.sites}
    for zone in range(cluster.zones):
        for _ in range(each):
            cluster.add(zone)
    return [site.node for site in cluster.sites if site.node not in before]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(2, 8), st.integers(1, 6), st.sampled_from([1, 3]), st.integers(20, 200))
def test_nodes_added_alike_in_each_zone_take_exactly_their_quotas_and_nothing_else_moves(
    zones: int, per_zone: int, more: int, replicas: int, count: int
) -> None:
    cluster = Cluster([per_zone] * zones, [(count, min(replicas, per_zone * zones))])
    new = grown(cluster, more)
    plan = cluster.plan()
    assert {move.to for move in plan.moves} <= set(new)
    assert not {move.source for move in plan.moves} & set(new)
    cluster.entries = after_moves(cluster.entries, plan.moves)
    assert len(plan.moves) == sum(cluster.loads()[node] for node in new)
    assert {node: cluster.loads()[node] for node in new} == {n: plan.quotas.nodes[n].replicas for n in new}


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("more", [1, 3])
@pytest.mark.parametrize(("zones", "per_zone", "count"), [(1, 3, 100), (3, 1, 100), (3, 3, 300), (3, 10, 1000)])
def test_all_nodes_are_level_then(zones: int, per_zone: int, more: int, replicas: int, count: int) -> None:
    cluster = Cluster([per_zone] * zones, [(count, replicas)])
    grown(cluster, more)
    cluster.settle()
    level = count * replicas / len(cluster.sites)
    assert all(level - 1 < load < level + 1 for load in cluster.loads().values())


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 8), st.integers(20, 200), st.data())
def test_of_three_zones_only_replicas_of_nodes_that_go_move_and_each_once(
    per_zone: int, count: int, data: st.DataObject
) -> None:
    cluster = Cluster([per_zone] * 3, [(count, 3)])
    going = data.draw(st.lists(st.sampled_from(cluster.sites), unique=True, min_size=1, max_size=per_zone - 1))
    held = sum(cluster.loads()[site.node] for site in going)
    cluster.sites = [site for site in cluster.sites if site not in going]
    plan = cluster.plan()
    assert {move.source for move in plan.moves} <= {site.node for site in going}
    assert len(plan.moves) == held == plan.moves_min
    cluster.entries = after_moves(cluster.entries, plan.moves)
    assert plan.unplaced == 0 and set(cluster.loads()) == {site.node for site in cluster.sites}


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(2, 8), st.integers(4, 200), st.data())
def test_nodes_that_go_are_empty_in_the_end_whatever_the_zones(
    zones: int, per_zone: int, count: int, data: st.DataObject
) -> None:
    cluster = Cluster([per_zone] * zones, [(count, min(3, zones * per_zone))])
    going = data.draw(st.lists(st.sampled_from(cluster.sites), unique=True, min_size=1, max_size=4))
    cluster.sites = [site for site in cluster.sites if site not in going]
    if len(cluster.sites) >= 3:
        assert cluster.plan().unplaced == 0
        cluster.settle()


def test_a_second_plan_on_the_result_is_empty() -> None:
    cluster = Cluster([4, 4, 4], [(100, 3)])
    grown(cluster, 1)
    assert cluster.settle().moves == 60
    assert cluster.plan().moves == []


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 40), st.integers(0, 3), st.integers(0, 3), st.randoms(use_true_random=False))
def test_moves_given_out_a_few_at_a_time_add_up_to_no_more(few: int, more: int, fewer: int, random: object) -> None:
    cluster = Cluster([4, 4, 4], [(100, 3)])
    grown(cluster, more)
    for zone in range(3):
        for site in [site for site in cluster.sites if site.zone == f"zone-{zone}"][:fewer]:
            cluster.sites.remove(site)
    wanted, total = len(cluster.plan().moves), 0
    while moves := cluster.plan().moves:
        random.shuffle(moves)  # type: ignore[attr-defined]
        cluster.entries = after_moves(cluster.entries, moves[:few])
        total += len(moves[:few])
    assert total == wanted


def test_out_and_in_at_once_leaves_only_what_was_moved_already_to_move_back() -> None:
    cluster = Cluster([4, 4, 4], [(100, 3)])
    new = grown(cluster, 1)
    moves = cluster.plan().moves[:20]
    cluster.entries = after_moves(cluster.entries, moves)
    cluster.sites = [site for site in cluster.sites if site.node not in new]
    back = cluster.plan().moves
    assert len(back) == 20 and {move.source for move in back} <= set(new)


def test_a_new_zone_takes_one_replica_of_every_group() -> None:
    cluster = Cluster([3, 3], [(60, 3)])
    cluster.zones = 3
    for _ in range(3):
        cluster.add(2)
    cluster.settle()
    zone = {site.node: site.zone for site in cluster.sites}
    assert all(len({zone[node] for node in nodes_of(entry)}) == 3 for entry in cluster.entries)
    assert set(cluster.loads().values()) == {20}


def test_a_group_that_is_pinned_moves_only_from_a_node_that_goes() -> None:
    cluster = Cluster([2], [(1, 1)])
    held = nodes_of(cluster.entries[0])[0]
    spare = next(site for site in cluster.sites if site.node != held)
    pinned = [PartitionId(2)]
    more = [*cluster.entries, make_entry(3, [held]), make_entry(4, [held])]
    assert {move.partition for move in plan_moves(more, cluster.sites, RULE, pinned).moves} <= {3, 4}
    assert len(plan_moves(more, [spare], RULE, pinned).moves) == 3


def test_replicas_that_find_no_place_are_counted_and_stay() -> None:
    cluster = Cluster([3], [(5, 3)])
    plan = plan_moves(cluster.entries, cluster.sites[:2], RULE)
    assert (plan.moves, plan.unplaced) == ([], 5)


def test_a_new_node_on_a_host_of_the_group_gets_none_of_its_replicas() -> None:
    old = [make_site(number, 0) for number in range(3)]
    sites = [*old, Site(NodeId("new"), "zone-0", "host-0", True)]
    entries = [make_entry(number, [site.node for site in old]) for number in range(2, 10)]
    moves = plan_moves(entries, sites, RULE).moves
    assert moves and {move.source for move in moves} == {old[0].node}


def test_a_hundred_nodes_more_and_fewer_beside_a_thousand_move_their_share_alone() -> None:
    cluster = Cluster([334, 333, 333], [(20_000, 3)])
    cluster.zones = 3
    for number in range(99):
        cluster.add(number % 3)
    out = cluster.settle()
    assert out.moves == out.moves_min and out.left_in_place and out.rounded == 1
    cluster.sites = cluster.sites[99:]
    back = cluster.settle()
    assert back.moves == back.moves_min and back.left_in_place and back.rounded == 1
    assert max(len(peers) for peers in ledger_of(cluster.entries).peers.values()) <= 100


def test_a_move_is_carried_out_in_the_old_replicas_place() -> None:
    catalog = make_catalog(4)
    fence = catalog.take_office()
    [entry] = catalog.make_table()
    old = entry.target[0]
    spare = next(node for node in catalog.state.map().nodes if node not in [p.node for p in entry.target])
    catalog.accept(move_target(entry, [Move(entry.id, old.node, spare)], fence))
    after = catalog.partitions("orders")[0].target
    assert [place.node for place in after] == [spare, *(place.node for place in entry.target[1:])]
