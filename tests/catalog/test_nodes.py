"""The node registry: who may register, rest and leave."""

import msgspec

from keystead_core.catalog.commands import (
    CreateTable,
    InitCluster,
    NodeLeft,
    RegisterNode,
    ReplicaSpec,
    SetNodeState,
    SetTarget,
)
from keystead_core.catalog.results import (
    ALREADY_INITIALISED,
    BOOT_TOO_OLD,
    INVALID,
    NODE_LEFT,
    NODE_NOT_EMPTY,
    NODE_UNKNOWN,
    NOT_INITIALISED,
    WRONG_CLUSTER,
)
from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import CATALOG_PARTITION, NodeId, ReplicaId
from tests.catalog.cluster import CLUSTER, Catalog, make_catalog, make_node, make_table


def test_nothing_is_taken_before_the_cluster_is_formed() -> None:
    catalog = Catalog()
    catalog.refuse(RegisterNode(CLUSTER, make_node(1)), NOT_INITIALISED)
    catalog.refuse(CreateTable(make_table(), b"s", 1.0), NOT_INITIALISED)


def test_forming_again_is_idempotent_but_another_cluster_is_refused() -> None:
    catalog = make_catalog(3)
    group = catalog.state.map().partitions[CATALOG_PARTITION]
    catalog.accept(InitCluster(CLUSTER, group.founders))
    catalog.refuse(InitCluster("another", group.founders), ALREADY_INITIALISED)
    catalog.refuse(InitCluster(CLUSTER, group.founders[:1]), ALREADY_INITIALISED)


def test_catalog_members_need_replica_ids_of_their_own() -> None:
    place = ReplicaTarget(ReplicaId(1), NodeId("a"), "z", "voter")
    Catalog().refuse(InitCluster(CLUSTER, [place, msgspec.structs.replace(place, node=NodeId("b"))]), INVALID)
    Catalog().refuse(InitCluster(CLUSTER, []), INVALID)


def test_registering_the_same_again_changes_nothing() -> None:
    catalog = make_catalog(3)
    version = catalog.state.version
    catalog.accept(RegisterNode(CLUSTER, make_node(2)))
    assert catalog.state.version == version


def test_a_node_of_another_cluster_is_refused() -> None:
    message = make_catalog(3).refuse(RegisterNode("another", make_node(9)), WRONG_CLUSTER)
    assert "another" in message and CLUSTER in message


def test_a_new_boot_replaces_the_addresses_and_an_older_one_is_refused() -> None:
    catalog = make_catalog(3)
    moved = msgspec.structs.replace(make_node(1, boot=5), api_address="127.0.0.1:1")
    catalog.accept(RegisterNode(CLUSTER, moved))
    assert catalog.state.map().nodes[moved.id].api_address == "127.0.0.1:1"
    catalog.refuse(RegisterNode(CLUSTER, make_node(1, boot=4)), BOOT_TOO_OLD)


def test_a_second_process_on_the_same_volume_is_refused() -> None:
    catalog = make_catalog(3)
    twin = msgspec.structs.replace(make_node(1), peer_address="127.0.0.1:1")
    assert "attached twice" in catalog.refuse(RegisterNode(CLUSTER, twin), BOOT_TOO_OLD)


def test_maintenance_survives_a_restart_of_the_node() -> None:
    catalog = make_catalog(3)
    node = make_node(1).id
    catalog.accept(SetNodeState(node, "maintenance"))
    catalog.accept(RegisterNode(CLUSTER, make_node(1, boot=2)))
    assert catalog.state.map().nodes[node].state == "maintenance"
    catalog.refuse(SetNodeState(node, "left"), INVALID)


def test_a_node_that_left_never_comes_back() -> None:
    catalog = make_catalog(4)
    node, fence = make_node(4).id, catalog.take_office()
    catalog.accept(NodeLeft(node, fence))
    catalog.accept(NodeLeft(node, fence))
    catalog.refuse(RegisterNode(CLUSTER, make_node(4)), NODE_LEFT)
    catalog.refuse(RegisterNode(CLUSTER, make_node(4, boot=9)), NODE_LEFT)
    catalog.refuse(SetNodeState(node, "active"), NODE_LEFT)
    assert catalog.state.map().nodes[node].state == "left"


def test_an_unknown_node_can_neither_rest_nor_leave() -> None:
    catalog = make_catalog(3)
    fence = catalog.take_office()
    catalog.refuse(NodeLeft(NodeId("nobody"), fence), NODE_UNKNOWN)
    catalog.refuse(SetNodeState(NodeId("nobody"), "active"), NODE_UNKNOWN)


def test_a_node_that_is_to_leave_empty_is_refused_while_a_group_has_it() -> None:
    catalog = make_catalog(4)
    fence = catalog.take_office()
    entry = catalog.make_table(replicas=3)[0]
    leaver = entry.target[0].node
    spare = next(n for n in catalog.state.map().nodes if n not in [t.node for t in entry.target])
    moved = [ReplicaSpec(spare), *(ReplicaSpec(t.node) for t in entry.target[1:])]
    catalog.refuse(NodeLeft(leaver, fence, only_if_empty=True), NODE_NOT_EMPTY)
    catalog.accept(SetTarget(entry.id, moved, fence))
    message = catalog.refuse(NodeLeft(leaver, fence, only_if_empty=True), NODE_NOT_EMPTY)
    assert "still holds" in message
