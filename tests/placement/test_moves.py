"""Scaling out: replicas move to the new nodes only, as few as possible, and none twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.cluster_map import PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.ledger import Ledger, PlacementRule, Site, ledger_of
from keystead_core.placement import place
from keystead_core.rebalance import Move, move_target, plan_moves
from tests.catalog.cluster import make_catalog

RULE = PlacementRule()


def make_sites(numbers: range, zones: int) -> list[Site]:
    return [Site(NodeId(f"{n:05d}"), f"zone-{n % zones}", f"host-{n}", True) for n in numbers]


def make_groups(groups: list[list[NodeId]], sites: list[Site]) -> list[PartitionEntry]:
    zone = {site.node: site.zone for site in sites}
    return [
        PartitionEntry(
            id=PartitionId(number),
            table="t",
            low=b"",
            high=None,
            generation=1,
            founders=[],
            target=[ReplicaTarget(ReplicaId(0), node, zone[node], "voter") for node in group],
            members=[],
            write_quorum=len(group) // 2 + 1,
            durable_zones=1,
        )
        for number, group in enumerate(groups, 2)
    ]


def moved(entries: list[PartitionEntry], moves: list[Move]) -> list[list[NodeId]]:
    by_group = {move.partition: move for move in moves}
    assert len(by_group) == len(moves)
    groups = []
    for entry in entries:
        group = [place.node for place in entry.target]
        move = by_group.get(entry.id)
        if move:
            assert move.source in group and move.to not in group
            group[group.index(move.source)] = move.to
        groups.append(group)
    return groups


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 10), st.integers(1, 6), st.integers(1, 4), st.integers(20, 200))
def test_moves_go_to_new_nodes_only_and_no_replica_moves_twice(
    zones: int, per_zone: int, more_per_zone: int, replicas: int, count: int
) -> None:
    scale_out(zones, per_zone, more_per_zone, replicas, count)


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("more_per_zone", [1, 3])
@pytest.mark.parametrize(("zones", "per_zone", "count"), [(1, 3, 100), (3, 1, 100), (3, 3, 300), (3, 10, 1000)])
def test_the_nodes_are_level_then(zones: int, per_zone: int, more_per_zone: int, replicas: int, count: int) -> None:
    """Where there are a few groups a node; with fewer, the rules of fate and zone may leave a node short by more."""
    loads = scale_out(zones, per_zone, more_per_zone, replicas, count)
    level = count * replicas // len(loads)
    assert all(level - 1 <= load <= level + 2 for load in loads), sorted(loads)


def scale_out(zones: int, per_zone: int, more_per_zone: int, replicas: int, count: int) -> list[int]:
    """Adds nodes and moves replicas until nothing moves any more; what each node holds then."""
    old = make_sites(range(zones * per_zone), zones)
    new = make_sites(range(len(old), len(old) + zones * more_per_zone), zones)
    if replicas > len(old):
        return []
    sites = old + new
    entries = start = make_groups(place(count, replicas, 1, old, Ledger(), RULE), sites)
    before, total = ledger_of(entries), 0
    while moves := plan_moves(entries, sites, [site.node for site in new], ledger_of(entries), RULE):
        assert {move.to for move in moves} <= {site.node for site in new}
        assert not {move.source for move in moves} & {site.node for site in new}
        total += len(moves)
        entries = make_groups(moved(entries, moves), sites)
    after = ledger_of(entries)
    assert total == sum(after.load(site.node) for site in new)
    for site in old:
        assert after.load(site.node) <= before.load(site.node)
    for entry, was in zip(entries, start, strict=True):
        assert len({place.zone for place in entry.target}) >= len({place.zone for place in was.target})
    return [after.load(site.node) for site in sites]


def test_a_second_plan_on_the_result_is_empty() -> None:
    sites = make_sites(range(15), 3)
    entries = make_groups(place(100, 3, 3, sites[:12], Ledger(), RULE), sites)
    new = [site.node for site in sites[12:]]
    moves = plan_moves(entries, sites, new, ledger_of(entries), RULE)
    assert len(moves) == 60
    after = make_groups(moved(entries, moves), sites)
    assert plan_moves(after, sites, new, ledger_of(after), RULE) == []


def test_moves_are_given_out_a_few_at_a_time_and_add_up_to_no_more() -> None:
    sites = make_sites(range(15), 3)
    entries = make_groups(place(100, 3, 3, sites[:12], Ledger(), RULE), sites)
    new = [site.node for site in sites[12:]]
    total = 0
    while moves := plan_moves(entries, sites, new, ledger_of(entries), RULE, moves_max=7):
        assert len(moves) <= 7
        total += len(moves)
        entries = make_groups(moved(entries, moves), sites)
    assert total == 60


def test_a_hundred_new_nodes_beside_a_thousand_take_their_share_and_nothing_else_moves() -> None:
    sites = make_sites(range(1100), 3)
    entries = make_groups(place(20_000, 3, 3, sites[:1000], Ledger(), RULE), sites)
    moves = plan_moves(entries, sites, [site.node for site in sites[1000:]], ledger_of(entries), RULE)
    after = ledger_of(make_groups(moved(entries, moves), sites))
    assert {after.load(site.node) for site in sites} <= {53, 54, 55, 56}
    assert len(moves) == sum(after.load(site.node) for site in sites[1000:])


def test_a_new_node_on_a_host_of_the_group_gets_none_of_its_replicas() -> None:
    sites = [*make_sites(range(3), 1), Site(NodeId("new"), "zone-0", "host-0", True)]
    entries = make_groups([[site.node for site in sites[:3]] for _ in range(8)], sites)
    moves = plan_moves(entries, sites, [NodeId("new")], ledger_of(entries), RULE)
    assert moves and {move.source for move in moves} == {sites[0].node}


def test_a_move_is_carried_out_in_the_old_replicas_place() -> None:
    catalog = make_catalog(4)
    fence = catalog.take_office()
    [entry] = catalog.make_table()
    old = entry.target[0]
    spare = next(node for node in catalog.state.map().nodes if node not in [p.node for p in entry.target])
    catalog.accept(move_target(entry, Move(entry.id, old.node, spare), fence))
    after = catalog.partitions("orders")[0].target
    assert [place.node for place in after] == [spare, *(place.node for place in entry.target[1:])]
