"""Placement: apart in fates, spread over zones, level (invariant 10), among few peers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.cluster_map import NodeEntry
from keystead_core.ids import NodeId
from keystead_core.ledger import Ledger, PlacementRule, Site, sites_of
from keystead_core.placement import InsufficientNodes, InsufficientZones, place

RULE = PlacementRule()
UNBOUND = PlacementRule(peers_max=1000)


def make_sites(zones: list[list[int]]) -> list[Site]:
    """One list per zone, with the number of nodes on each of its hosts."""
    return [
        Site(NodeId(f"{z:02d}-{h:03d}-{n:02d}"), f"zone-{z}", f"host-{z}-{h}", True)
        for z, hosts in enumerate(zones)
        for h, size in enumerate(hosts)
        for n in range(size)
    ]


def even(nodes: int, zones: int) -> list[Site]:
    return make_sites([[1] * (nodes // zones + (z < nodes % zones)) for z in range(zones)])


CLUSTERS = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1, max_size=5).map(make_sites)


def loads_of(groups: list[list[NodeId]], sites: list[Site]) -> dict[NodeId, int]:
    counts = dict.fromkeys((site.node for site in sites), 0)
    for group in groups:
        for node in group:
            counts[node] += 1
    return counts


def zone_bounds(replicas: int, sites: list[Site]) -> dict[str, tuple[int, int]]:
    """The fewest and the most replicas of a group in each zone, by handing them out one zone after the other."""
    hosts = {zone: len({s.fate for s in sites if s.zone == zone}) for zone in {s.zone for s in sites}}
    level, left = 0, replicas
    while left >= sum(count > level for count in hosts.values()) > 0:
        left -= sum(count > level for count in hosts.values())
        level += 1
    return {z: (min(c, level), min(c, level) if not left else min(c, level + 1)) for z, c in hosts.items()}


def check_groups(groups: list[list[NodeId]], replicas: int, sites: list[Site]) -> None:
    site_of = {site.node: site for site in sites}
    bounds = zone_bounds(replicas, sites)
    for group in groups:
        members = [site_of[node] for node in group]
        assert len(group) == replicas
        assert len({site.fate for site in members}) == replicas
        for zone, (lowest, highest) in bounds.items():
            assert lowest <= sum(site.zone == zone for site in members) <= highest


def check_quota(groups: list[list[NodeId]], replicas: int, sites: list[Site], before: dict[NodeId, int]) -> None:
    """No node is two above another that could have had one of its new replicas."""
    new = loads_of(groups, sites)
    total = {node: new[node] + before.get(node, 0) for node in new}
    bounds, count = zone_bounds(replicas, sites), len(groups)
    zone_new = {zone: sum(new[s.node] for s in sites if s.zone == zone) for zone in bounds}
    fate_new = {fate: sum(new[s.node] for s in sites if s.fate == fate) for fate in {s.fate for s in sites}}
    for giver in sites:
        for taker in sites:
            if not new[giver.node] or total[giver.node] <= total[taker.node] + 1:
                continue
            if giver.fate != taker.fate and fate_new[taker.fate] == count:
                continue
            if giver.zone != taker.zone and (
                zone_new[giver.zone] == bounds[giver.zone][0] * count
                or zone_new[taker.zone] == bounds[taker.zone][1] * count
            ):
                continue
            raise AssertionError(f"{giver.node} has {total[giver.node]}, {taker.node} only {total[taker.node]}")


@settings(deadline=None)
@given(CLUSTERS, st.integers(1, 5), st.integers(1, 120), st.integers(0, 5))
def test_groups_are_apart_spread_and_in_quota_from_empty(
    sites: list[Site], replicas: int, count: int, seed: int
) -> None:
    if len({site.fate for site in sites}) < replicas:
        with pytest.raises(InsufficientNodes):
            place(count, replicas, 1, sites, Ledger(), RULE)
        return
    groups = place(count, replicas, 1, sites, Ledger(), PlacementRule(seed=seed, peers_max=1000))
    check_groups(groups, replicas, sites)
    check_quota(groups, replicas, sites, {})


@settings(deadline=None)
@given(CLUSTERS, st.lists(st.tuples(st.integers(1, 4), st.integers(1, 40)), min_size=1, max_size=6))
def test_a_table_after_other_tables_stays_in_quota(sites: list[Site], tables: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    for replicas, count in tables:
        if len({site.fate for site in sites}) < replicas:
            continue
        before = dict(ledger.replicas)
        groups = place(count, replicas, 1, sites, ledger, UNBOUND)
        assert ledger.replicas == before
        check_groups(groups, replicas, sites)
        check_quota(groups, replicas, sites, before)
        for group in groups:
            ledger.add(group)


@settings(deadline=None, max_examples=25)
@given(st.integers(26, 90), st.integers(3, 5), st.integers(2, 4), st.lists(st.integers(1, 9), max_size=12))
def test_small_tables_on_many_nodes_keep_the_peer_limit_and_nearly_the_quota(
    nodes: int, zones: int, replicas: int, tables: list[int]
) -> None:
    sites, ledger = even(nodes, zones), Ledger()
    for count in tables * 8:
        groups = place(count, replicas, 1, sites, ledger, RULE)
        check_groups(groups, replicas, sites)
        for group in groups:
            ledger.add(group)
    assert max([0, *(len(peers) for peers in ledger.peers.values())]) <= RULE.peers_max
    for zone in {site.zone for site in sites}:
        loads = [ledger.load(site.node) for site in sites if site.zone == zone]
        assert max(loads) - min(loads) <= 3


@settings(deadline=None, max_examples=20)
@given(st.integers(26, 200), st.integers(3, 6), st.integers(1, 5), st.integers(2, 30))
def test_large_tables_keep_the_peer_limit_and_the_quota(nodes: int, zones: int, replicas: int, each: int) -> None:
    sites = even(nodes, zones)
    groups = place(nodes * each, replicas, 1, sites, Ledger(), RULE)
    check_groups(groups, replicas, sites)
    check_quota(groups, replicas, sites, {})
    ledger = Ledger()
    for group in groups:
        ledger.add(group)
    assert max([0, *(len(peers) for peers in ledger.peers.values())]) <= RULE.peers_max


def test_a_hundred_thousand_partitions_on_a_thousand_nodes_are_level() -> None:
    sites, ledger = even(1000, 3), Ledger()
    groups = place(100_000, 3, 3, sites, ledger, RULE)
    check_groups(groups[::97], 3, sites)
    for group in groups:
        ledger.add(group)
    assert {ledger.load(site.node) for site in sites} <= {299, 300, 301}
    assert max(len(peers) for peers in ledger.peers.values()) <= 24
    assert all(95 <= ledger.masters[site.node] <= 105 for site in sites)


def test_preferred_masters_are_balanced() -> None:
    sites, ledger = even(9, 3), Ledger()
    for _ in range(30):
        for group in place(3, 3, 1, sites, ledger, RULE):
            ledger.add(group)
    assert set(ledger.masters.values()) == {10}


def test_the_same_question_has_the_same_answer_whatever_the_order_of_the_nodes() -> None:
    sites = even(40, 3)
    assert place(7, 3, 1, sites, Ledger(), RULE) == place(7, 3, 1, sites[::-1], Ledger(), RULE)
    assert place(70, 3, 1, sites, Ledger(), RULE) == place(70, 3, 1, sites[::-1], Ledger(), RULE)


def test_too_few_zones_or_hosts_are_told_with_their_numbers() -> None:
    with pytest.raises(InsufficientZones, match="3 zones, but 3 replicas in a cluster of 2 zones"):
        place(1, 3, 3, even(6, 2), Ledger(), RULE)
    with pytest.raises(InsufficientZones, match="span only 2"):
        place(1, 2, 3, even(6, 3), Ledger(), RULE)
    with pytest.raises(InsufficientNodes, match="there are 4 nodes on 2"):
        place(1, 3, 1, make_sites([[2], [2]]), Ledger(), RULE)
    with pytest.raises(InsufficientNodes):
        place(1, 1, 1, [], Ledger(), RULE)


def make_entry(name: str, host: str, disk: str, state: str = "active") -> NodeEntry:
    return NodeEntry(
        id=NodeId(name),
        name=name,
        zone="z",
        host=host,
        disk=disk,
        api_address="",
        peer_address="",
        admin_address="",
        boot=1,
        state=state,
    )


def test_nodes_on_one_host_or_one_disk_share_a_fate_and_unknown_ones_share_none() -> None:
    nodes = [
        make_entry("a", "h1", "d1"),
        make_entry("b", "h1", "d2"),
        make_entry("c", "h2", "d2"),
        make_entry("d", "", ""),
        make_entry("e", "", ""),
        make_entry("f", "h3", "d3", "left"),
    ]
    fates = {site.node: site.fate for site in sites_of(nodes, RULE)}
    assert fates[NodeId("a")] == fates[NodeId("b")] == fates[NodeId("c")]
    assert len(set(fates.values())) == 3 and "f" not in fates
    shared = sites_of(nodes, PlacementRule(shared_fate_ok=True))
    assert len({site.fate for site in shared}) == 5
