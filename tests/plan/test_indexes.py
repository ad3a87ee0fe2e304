"""Indexes of declared tables: made with their table, added, dropped, given other units."""

from typing import Any

import msgspec
import pytest
from plan_world import ORDERS, World, map_of, settled_world

from keystead_core.catalog import commands
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import ClusterMap, IndexSpec, KeyAttribute, TableDefinition, index_table
from keystead_operator.plan.actions import ChangeIndexes, CreateTable, UpdateTable
from keystead_operator.plan.planner import plan
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable

CLUSTER = ClusterSpec(name="keystead", nodes=3)
SORTED = msgspec.structs.replace(ORDERS, range_key=KeyAttribute("at", "N"))
BY_PRICE = IndexSpec(
    name="by-price", is_global=False, hash=[KeyAttribute("id", "S")], range=[KeyAttribute("price", "N")]
)


def by(name: str, *attributes: str, **more: Any) -> IndexSpec:
    keys = [KeyAttribute(attribute, "S") for attribute in attributes or (name,)]
    return IndexSpec(name=name, is_global=True, hash=keys[:1], range=keys[1:], **more)


def orders(*indexes: IndexSpec, **changes: Any) -> DeclaredTable:
    return msgspec.structs.replace(ORDERS, global_indexes=indexes, **changes)


def declare(world: World, table: DeclaredTable) -> None:
    world.desired = msgspec.structs.replace(world.desired, tables=(table,))


def present(world: World) -> TableDefinition:
    return map_of(world).tables["orders"]


def names(world: World) -> list[str]:
    return [index.name for index in present(world).indexes]


def reasons(world: World) -> set[str]:
    return {note.reason for note in plan(world.desired, world.observe()).notes}


def actions(world: World) -> list[Any]:
    return list(plan(world.desired, world.observe()).actions)


def planned_on(world: World, cluster_map: ClusterMap) -> tuple[list[Any], set[str]]:
    """Actions and reasons of notes while the map is still that one."""
    made = plan(world.desired, msgspec.structs.replace(world.observe(), map=cluster_map))
    return list(made.actions), {note.reason for note in made.notes}


def test_table_is_made_with_its_indexes() -> None:
    table = msgspec.structs.replace(SORTED, global_indexes=(by("city"),), local_indexes=(BY_PRICE,))
    world = settled_world(CLUSTER, table)
    assert [(index.name, index.is_global, index.status) for index in present(world).indexes] == [
        ("by-price", False, "ACTIVE"),
        ("city", True, "ACTIVE"),
    ]
    assert index_table("orders", "city") in map_of(world).tables


def test_indexes_are_added_one_after_the_other_each_when_the_last_is_filled() -> None:
    world = settled_world(CLUSTER)
    declare(world, orders(by("city"), by("state", "state", "city")))
    assert actions(world) == [ChangeIndexes("orders", "Table/orders", new=by("city"))]
    world.execute(actions(world)[0])
    assert planned_on(world, map_of(world)) == ([], {"IndexWaits"}), "the first one is not filled yet"
    world.settle()
    assert [(index.name, index.status, index.filling) for index in present(world).indexes] == [
        ("city", "ACTIVE", []),
        ("state", "ACTIVE", []),
    ]


def test_index_that_is_declared_no_longer_is_dropped() -> None:
    world = settled_world(CLUSTER, orders(by("city"), by("state")))
    declare(world, orders(by("state")))
    world.settle()
    assert names(world) == ["state"]
    assert index_table("orders", "city") not in map_of(world).tables
    declare(world, orders())
    world.settle()
    assert names(world) == []


def test_indexes_stay_where_the_manifest_says_nothing_of_them() -> None:
    world = settled_world(CLUSTER, orders(by("city")))
    declare(world, ORDERS)
    assert actions(world) == []


def test_index_of_the_same_name_and_another_key_is_made_anew() -> None:
    world = settled_world(CLUSTER, orders(by("place", "city")))
    before = present(world).indexes[0].id
    declare(world, orders(by("place", "country")))
    world.settle()
    (index,) = present(world).indexes
    assert (index.hash, index.id > before) == ([KeyAttribute("country", "S")], True)


def test_table_and_its_indexes_go_from_on_demand_to_units_and_back() -> None:
    world = settled_world(CLUSTER, orders(by("city")))
    declare(world, orders(by("city", read_units=7, write_units=8), read_units=5, write_units=6))
    assert [type(action) for action in actions(world)] == [UpdateTable, ChangeIndexes]
    world.settle()
    held = map_of(world).tables[index_table("orders", "city")]
    assert (held.billing_mode, held.read_units, held.write_units) == ("PROVISIONED", 7, 8)
    declare(world, orders(by("city")))
    world.settle()
    held = map_of(world).tables[index_table("orders", "city")]
    assert (held.billing_mode, held.read_units, held.write_units) == ("PAY_PER_REQUEST", 0, 0)


def test_other_local_indexes_than_those_of_the_table_are_a_pending_change() -> None:
    world = settled_world(CLUSTER, SORTED)
    declare(world, msgspec.structs.replace(SORTED, local_indexes=(BY_PRICE,)))
    assert (actions(world), reasons(world)) == ([], {"ChangeNotSupported"})


def test_index_waits_until_a_split_is_done() -> None:
    world = settled_world(CLUSTER)
    (entry,) = (entry for entry in map_of(world).partitions.values() if entry.table == "orders")
    world._apply(commands.PlanSplit(entry.id, bytes([128]), "request"))
    declare(world, orders(by("city")))
    assert planned_on(world, map_of(world)) == ([], {"IndexWaits", "Splitting"})
    world.settle()
    assert names(world) == ["city"]


def test_the_api_cannot_change_the_indexes_of_a_declared_table() -> None:
    world = settled_world(CLUSTER, orders(by("city")))
    for change in (
        commands.ChangeTable("orders", TableChange(), 1.0, by("state")),
        commands.ChangeTable("orders", TableChange(), 1.0, None, "city"),
        commands.ChangeTable("orders", TableChange(), 1.0, None, "city", manager="Table/other"),
    ):
        world._apply(change)
    assert names(world) == ["city"]


@pytest.mark.parametrize("action", [CreateTable, ChangeIndexes])
def test_what_is_done_twice_is_as_if_done_once(action: type) -> None:
    world = settled_world(CLUSTER) if action is ChangeIndexes else World(settled_world(CLUSTER).desired)
    declare(world, orders(by("city")))
    for _ in range(30):
        for one in actions(world):
            world.execute(one)
            if isinstance(one, action):
                before = world.fingerprint()
                world.execute(one)
                assert world.fingerprint() == before
                return
    raise AssertionError(f"no {action.__name__} was planned")
