"""The planner, step by step: what it does with each observation, and what it leaves alone and why."""

from typing import Any

import msgspec
from plan_world import World, map_of

from keystead_core.catalog import commands
from keystead_core.catalog.commands import TableSpec
from keystead_core.catalog.table_changes import Expiry, TableChange
from keystead_core.cluster_map import KeyAttribute
from keystead_core.ids import NodeId
from keystead_operator.plan.actions import (
    AddNode,
    CreateTable,
    DeleteTable,
    ForgetTable,
    FormCatalog,
    GrowVolume,
    NameFounders,
    StartNode,
    StopNode,
    UpdateTable,
)
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired, Observed, ObservedNode
from keystead_operator.plan.tables import as_spec
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable

CLUSTER = ClusterSpec(name="keystead", nodes=3)


def table(resource: str = "orders", **changes: Any) -> DeclaredTable:
    base = DeclaredTable(
        resource=resource,
        name=resource,
        hash_key=KeyAttribute("id", "S"),
        range_key=None,
        replicas=3,
        write_quorum=2,
        durable_zones=1,
        partitions=2,
    )
    return msgspec.structs.replace(base, **changes)


def settled(*tables: DeclaredTable, nodes: int = 3) -> World:
    world = World(Desired(msgspec.structs.replace(CLUSTER, nodes=nodes), tables))
    world.settle()
    return world


def declare(world: World, *tables: DeclaredTable) -> None:
    world.desired = msgspec.structs.replace(world.desired, tables=tables)


def reasons(world: World) -> set[str]:
    return {note.reason for note in plan(world.desired, world.observe()).notes}


def actions(world: World) -> list[Any]:
    return list(plan(world.desired, world.observe()).actions)


def test_nothing_becomes_a_cluster_with_a_table() -> None:
    world = settled(table())
    assert world.bootstrapped
    assert [node.state for node in map_of(world).nodes.values()] == ["active"] * 3
    assert map_of(world).tables["orders"].status == "ACTIVE"
    assert map_of(world).tables["orders"].managed_by == "Table/orders"


def test_nodes_are_spread_over_the_zones() -> None:
    desired = Desired(msgspec.structs.replace(CLUSTER, nodes=5, zones=("a", "b")))
    made = plan(desired, Observed(nodes=()))
    assert [action.zone for action in made.actions if isinstance(action, AddNode)] == ["a", "b", "a", "b", "a"]


def _node(name: str, zone: str, **more: Any) -> ObservedNode:
    return ObservedNode(name=name, zone=zone, running=True, reachable=True, id=NodeId(name), volume_empty=True, **more)


def test_founders_are_named_from_all_zones_before_anything_is_formed() -> None:
    nodes = (_node("node-0", "a"), _node("node-1", "a"), _node("node-2", "b"), _node("node-3", "c"))
    desired = Desired(msgspec.structs.replace(CLUSTER, nodes=4))
    (action,) = plan(desired, Observed(nodes=nodes)).actions
    assert isinstance(action, NameFounders)
    assert [founder.name for founder in action.founders] == ["node-0", "node-2", "node-3"]
    assert [founder.replica_id for founder in action.founders] == [1, 2, 3]


def test_founders_wait_for_a_node_in_each_zone() -> None:
    away = ObservedNode(name="node-2", zone="c", running=True)
    made = plan(Desired(CLUSTER), Observed(nodes=(_node("node-0", "a"), _node("node-1", "b"), away)))
    assert made.actions == ()
    assert [note.reason for note in made.notes] == ["WaitingForNodes"]


def test_catalog_is_never_formed_over_volumes_that_hold_data() -> None:
    full = msgspec.structs.replace(_node("node-1", "b"), volume_empty=False)
    made = plan(Desired(CLUSTER), Observed(nodes=(_node("node-0", "a"), full, _node("node-2", "c"))))
    assert made.actions == ()
    assert [note.reason for note in made.notes] == ["VolumesNotEmpty"]


def test_lost_catalog_is_not_formed_again() -> None:
    world = settled(table())
    for name in list(world.machines):
        world.kill(name)
        world.lose_volume(name)
    world.settle()
    assert not any(isinstance(action, NameFounders | FormCatalog) for action in actions(world))
    assert "CatalogAway" in reasons(world)


def test_dead_process_is_started_again_after_its_pause() -> None:
    dead = ObservedNode(name="node-0", zone="a", running=False, start_in_seconds=0.4)
    one = Desired(msgspec.structs.replace(CLUSTER, nodes=1))
    assert plan(one, Observed(nodes=(dead,))).actions == ()
    due = msgspec.structs.replace(dead, start_in_seconds=0.0)
    assert plan(one, Observed(nodes=(due,))).actions == (StartNode("node-0"),)


def test_process_over_a_lost_volume_is_stopped_and_comes_back_as_a_new_node() -> None:
    world = settled(table())
    world.lose_volume("node-1")
    assert [type(action) for action in actions(world)] == [StopNode]
    world.settle()
    assert map_of(world).nodes[NodeId("node-1#0")].state == "left"
    for entry in map_of(world).partitions.values():
        assert NodeId("node-1#0") not in [member.node for member in entry.members]
        assert NodeId("node-1#1") in [member.node for member in entry.members]


def test_majority_of_lost_volumes_is_not_papered_over() -> None:
    world = settled(table(partitions=8), nodes=5)
    for name in ("node-3", "node-4"):
        world.kill(name)
        world.lose_volume(name)
    world.settle()
    assert "VolumeLost" in reasons(world)
    assert not any(node.state == "left" for node in map_of(world).nodes.values())


def test_fewer_declared_nodes_than_replicas_are_refused_with_a_reason() -> None:
    world = settled(table(), nodes=4)
    world.desired = Desired(msgspec.structs.replace(CLUSTER, nodes=2), world.desired.tables)
    assert actions(world) == []
    assert reasons(world) == {"ScaleInBlocked"}


def test_suspended_cluster_is_left_alone() -> None:
    world = World(Desired(msgspec.structs.replace(CLUSTER, suspend=True), (table(),)))
    assert actions(world) == []
    assert reasons(world) == {"Suspended"}


def test_table_waits_for_enough_nodes() -> None:
    world = settled(table(replicas=5, write_quorum=3))
    assert "TooFewNodes" in reasons(world)
    assert "orders" not in map_of(world).tables


def test_changed_capacity_reaches_the_catalog() -> None:
    world = settled(table())
    declare(world, table(read_units=10, write_units=5, deletion_protection=True))
    assert [type(action) for action in actions(world)] == [UpdateTable]
    world.settle()
    after = map_of(world).tables["orders"]
    assert (after.billing_mode, after.read_units, after.write_units) == ("PROVISIONED", 10, 5)
    assert after.deletion_protection


def test_fewer_partitions_are_left_alone_and_said() -> None:
    world = settled(table(partitions=8))
    declare(world, table(partitions=4, partitions_fixed=True))
    world.settle()
    assert actions(world) == []
    assert reasons(world) == {"ChangeNotSupported"}


def test_table_of_another_manager_is_not_touched() -> None:
    world = settled(table())
    declare(world, table("copy", name="orders"))
    assert actions(world) == []
    assert reasons(world) == {"Conflict"}


def test_two_objects_that_declare_one_table_do_not_fight() -> None:
    world = settled(table("a", name="orders"), table("b", name="orders"))
    assert map_of(world).tables["orders"].managed_by == "Table/a"
    assert reasons(world) == {"Conflict"}


def test_table_made_through_the_api_is_adopted_if_its_keys_are_the_same() -> None:
    world = settled(table())
    world.execute(UpdateTable(msgspec.structs.replace(_spec_in_map(world), managed_by=""), "Table/orders"))
    assert map_of(world).tables["orders"].managed_by == ""
    world.settle()
    assert map_of(world).tables["orders"].managed_by == "Table/orders"


def test_what_the_api_alone_says_of_a_declared_table_is_left_alone() -> None:
    world = settled(table())
    world._apply(commands.ChangeTable("orders", TableChange(expiry=Expiry("until", True)), 1.0))
    assert actions(world) == []
    declare(world, table(read_units=10, write_units=5))
    world.settle()
    after = map_of(world).tables["orders"]
    assert (after.read_units, after.options.expiry_attribute) == (10, "until")


def test_table_with_other_keys_is_not_adopted() -> None:
    world = settled(table())
    world.execute(UpdateTable(msgspec.structs.replace(_spec_in_map(world), managed_by=""), "Table/orders"))
    declare(world, table(hash_key=KeyAttribute("other", "S")))
    assert actions(world) == []
    assert reasons(world) == {"KeysDiffer"}


def _spec_in_map(world: World) -> TableSpec:
    return as_spec(map_of(world).tables["orders"])


def test_deleted_object_deletes_the_table_and_then_goes() -> None:
    world = settled(table())
    declare(world, table(deleting=True))
    assert [type(action) for action in actions(world)] == [DeleteTable]
    world.settle()
    assert world.desired.tables == ()
    assert map_of(world).tables == {}


def test_deleted_object_with_retain_leaves_the_table_unmanaged() -> None:
    world = settled(table())
    declare(world, table(deleting=True, retain=True))
    world.settle()
    assert world.desired.tables == ()
    assert map_of(world).tables["orders"].managed_by == ""


def test_protected_table_is_not_deleted() -> None:
    world = settled(table(deletion_protection=True))
    declare(world, table(deleting=True, deletion_protection=True))
    assert actions(world) == []
    assert reasons(world) == {"DeletionProtected"}


def test_table_goes_when_its_protection_is_taken_off_after_the_wish_to_delete_it() -> None:
    world = settled(table(deletion_protection=True))
    declare(world, table(deleting=True, deletion_protection=False))
    assert [type(action) for action in actions(world)] == [UpdateTable]
    world.settle()
    assert "orders" not in map_of(world).tables


def test_deleted_object_that_never_owned_the_table_just_goes() -> None:
    world = settled(table())
    declare(world, table(), table("copy", name="orders", deleting=True))
    assert actions(world) == [ForgetTable("copy")]


def test_table_is_created_once() -> None:
    world = settled(table())
    assert not any(isinstance(action, CreateTable) for action in actions(world))


def test_volumes_smaller_than_declared_are_grown_once() -> None:
    world = settled()
    world.machines["node-1"].small = True
    assert actions(world) == [GrowVolume("node-1")]
    world.settle()
    assert not world.machines["node-1"].small
