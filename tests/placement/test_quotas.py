"""The quota table: level, within what zones and hosts allow, in favour of those who hold more today."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.ids import NodeId
from keystead_core.quotas import Part, divide, quotas_of, zone_bounds
from tests.placement.node_changes import make_site

PARTS = st.lists(
    st.builds(
        lambda size, low, more, held: Part(size, low, low + more, held), *[st.integers(1, 5), *[st.integers(0, 30)] * 3]
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(PARTS, st.integers(0, 200))
def test_division_is_whole_within_bounds_and_level(parts: list[Part], extra: int) -> None:
    total = sum(part.lowest for part in parts) + extra
    given_out = divide(total, parts)
    assert sum(given_out) == min(total, sum(part.highest for part in parts))
    for part, share in zip(parts, given_out, strict=True):
        assert part.lowest <= share <= part.highest
    for giver, share in zip(parts, given_out, strict=True):
        for taker, other in zip(parts, given_out, strict=True):
            can = share > giver.lowest and other < taker.highest
            assert not can or (share - 1) // giver.size <= other // taker.size, "a replica less here and more there"


def test_the_larger_half_of_a_broken_level_goes_to_who_holds_it_already() -> None:
    assert divide(7, [Part(1, 0, 9, 0), Part(1, 0, 9, 3), Part(1, 0, 9, 3)]) == [2, 3, 2]
    assert divide(7, [Part(1, 0, 9, 3), Part(1, 0, 9, 3), Part(1, 0, 9, 0)]) == [3, 2, 2]


def test_a_group_spans_all_zones_as_evenly_as_they_allow() -> None:
    assert zone_bounds(3, [4, 4, 4]) == [(1, 1)] * 3
    assert zone_bounds(3, [4, 4]) == [(1, 2)] * 2
    assert zone_bounds(2, [4, 9, 4]) == [(0, 1)] * 3
    assert zone_bounds(5, [9, 1, 9]) == [(2, 2), (1, 1), (2, 2)]


def test_each_node_has_its_share_of_replicas_and_masters_and_zones_are_their_sums() -> None:
    sites = [make_site(number, number % 3) for number in range(6)]
    table = quotas_of({3: 100}, sites, {}, {}, version=7)
    assert table.version == 7
    assert {quota.replicas for quota in table.nodes.values()} == {50}
    assert sorted(quota.masters for quota in table.nodes.values()) == [16, 16, 17, 17, 17, 17]
    assert table.zones == {"zone-0": 100, "zone-1": 100, "zone-2": 100}


def test_a_zone_of_one_node_holds_a_replica_of_every_group_and_no_node_leads_more_than_it_holds() -> None:
    sites = [make_site(number, zone) for number, zone in enumerate([0, 0, 0, 0, 1])]
    table = quotas_of({2: 40}, sites, {}, {})
    assert table.nodes[NodeId("00004")].replicas == 40
    assert [table.nodes[NodeId(f"0000{n}")].replicas for n in range(4)] == [10] * 4
    assert all(quota.masters == 8 for quota in table.nodes.values())
