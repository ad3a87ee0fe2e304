"""One seat of a group: a replacement, or a voter without rows while its node is away."""

import pytest

from keystead_core.catalog.commands import ReplicaSpec
from keystead_core.cluster_map import PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.ledger import Ledger, PlacementRule, Site, ledger_of
from keystead_core.placement import place_log_only, replace, replacement

RULE = PlacementRule()


def make_site(name: str, zone: str, host: str = "") -> Site:
    return Site(NodeId(name), zone, host or name, True)


SITES = [
    make_site("a1", "a"),
    make_site("a2", "a"),
    make_site("b1", "b"),
    make_site("b2", "b"),
    make_site("c1", "c"),
    make_site("c2", "c"),
]


def make_group(*nodes: str, write_quorum: int = 2, log_only: str = "") -> PartitionEntry:
    target = [
        ReplicaTarget(ReplicaId(n), NodeId(node), node[0], "log-only" if node == log_only else "voter")
        for n, node in enumerate(nodes, 1)
    ]
    return PartitionEntry(
        id=PartitionId(2),
        table="t",
        low=b"",
        high=None,
        generation=1,
        founders=target,
        target=target,
        members=target,
        write_quorum=write_quorum,
        durable_zones=1,
    )


def test_a_replica_is_replaced_in_the_zone_that_the_group_lacks() -> None:
    target = replace(make_group("a1", "b1", "c1"), [NodeId("b1")], SITES, Ledger(), RULE)
    assert target == [ReplicaSpec(NodeId("a1")), ReplicaSpec(NodeId("c1")), ReplicaSpec(NodeId("b2"))]


def test_two_replicas_are_replaced_apart() -> None:
    target = replace(make_group("a1", "b1", "c1"), [NodeId("b1"), NodeId("c1")], SITES, Ledger(), RULE)
    assert target is not None and {spec.node for spec in target} == {"a1", "b2", "c2"}


def test_the_least_loaded_of_equal_sites_is_taken() -> None:
    sites = [*SITES, make_site("b3", "b")]
    loaded = ledger_of([make_group("b2"), make_group("b2", "a2"), make_group("b3")])
    assert replacement([NodeId("a1"), NodeId("c1"), NodeId("b1")][:2], sites[:3] + sites[3:], loaded, RULE) == "b1"
    rest = [site for site in sites if site.node != "b1"]
    assert replacement([NodeId("a1"), NodeId("c1")], rest, loaded, RULE) == "b3"


def test_a_peer_is_taken_before_a_less_loaded_stranger_once_the_peer_limit_is_reached() -> None:
    tight = PlacementRule(peers_max=2)
    peers = ledger_of([make_group("a1", "b2", "c1")])
    rest = [site for site in SITES if site.node != "b1"]
    assert replacement([NodeId("a1"), NodeId("c1")], [*rest, make_site("b3", "b")], peers, tight) == "b2"
    assert replacement([NodeId("a1"), NodeId("c1")], [*rest, make_site("b3", "b")], peers, RULE) == "b3"


def test_no_replacement_shares_a_host_with_the_group() -> None:
    sites = [make_site("a1", "a", "h1"), make_site("b1", "b", "h2"), make_site("c1", "c", "h1")]
    assert replacement([NodeId("a1"), NodeId("b1")], sites, Ledger(), RULE) is None
    assert replace(make_group("a1", "b1"), [NodeId("b1")], sites[:1] + sites[2:], Ledger(), RULE) is None


def test_a_log_only_voter_takes_the_seat_of_the_one_that_is_away() -> None:
    target = place_log_only(make_group("a1", "b1", "c1"), NodeId("c1"), SITES, Ledger(), RULE)
    assert target == [
        ReplicaSpec(NodeId("a1")),
        ReplicaSpec(NodeId("b1")),
        ReplicaSpec(NodeId("c2"), "log-only"),
    ]


@pytest.mark.parametrize(
    "group",
    [
        make_group("a1", "b1", "c1", write_quorum=3),
        make_group("a1", "b1", "c1", log_only="b1"),
        make_group("a1", "c1"),
    ],
)
def test_every_failover_quorum_keeps_a_voter_with_rows(group: PartitionEntry) -> None:
    assert place_log_only(group, NodeId("c1"), SITES, Ledger(), RULE) is None


def test_no_log_only_voter_without_a_spare_site() -> None:
    assert place_log_only(make_group("a1", "b1", "c1"), NodeId("c1"), SITES[::2], Ledger(), RULE) is None
