"""Nodes come and go as declared: by count, by name, cancelled, overtaken; nothing leaves that still holds something."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_world import ORDERS, World, map_of, settled_world

from keystead_core.ledger import ledger_of
from keystead_operator.plan.actions import AddNode, MarkLeft, Plan, RemoveNode, SetTarget, StartNode, StopNode
from keystead_operator.plan.planner import plan
from keystead_operator.plan.repairs import MOVES_MAX
from keystead_operator.spec.resources import ClusterSpec

TABLE = msgspec.structs.replace(ORDERS, partitions=8)
ZONES = ("a", "b", "c")


def make_world(nodes: int, partitions: int = 8) -> World:
    table = msgspec.structs.replace(TABLE, partitions=partitions)
    return settled_world(ClusterSpec(name="keystead", nodes=nodes, zones=ZONES), table)


def declare(world: World, nodes: int, *remove: str) -> None:
    cluster = msgspec.structs.replace(world.desired.cluster, nodes=nodes, remove_nodes=remove)
    world.desired = msgspec.structs.replace(world.desired, cluster=cluster)


def one_round(world: World) -> None:
    for action in plan(world.desired, world.observe()).actions:
        world.execute(action)


def loads(world: World) -> dict[str, int]:
    """Replicas of tables on each present node, by the name of its place."""
    entries = [entry for entry in map_of(world).partitions.values() if entry.table]
    held, nodes = ledger_of(entries).replicas, map_of(world).nodes
    return {entry.name: held.get(node, 0) for node, entry in nodes.items() if entry.state != "left"}


def reasons(world: World) -> set[str]:
    return {note.reason for note in plan(world.desired, world.observe()).notes}


def begun(world: World, made: Plan) -> int:
    """Replicas that the plan sends to nodes where they are not yet meant to be."""
    entries = map_of(world).partitions
    return sum(
        len({spec.node for spec in action.target} - {place.node for place in entries[action.partition].target})
        for action in made.actions
        if isinstance(action, SetTarget)
    )


def test_new_nodes_get_their_share_and_nothing_else_moves() -> None:
    world = make_world(3, partitions=20)
    before = {entry.id: {place.node for place in entry.target} for entry in map_of(world).partitions.values()}
    declare(world, 6)
    world.settle()
    assert loads(world) == {f"node-{n}": 10 for n in range(6)}
    moved = 0
    for entry in map_of(world).partitions.values():
        new = {place.node for place in entry.target} - before[entry.id]
        assert all(node.split("#")[0] in ("node-3", "node-4", "node-5") for node in new)
        moved += len(new)
    assert moved == 30


def test_by_count_the_highest_of_the_fullest_zones_go_with_their_places() -> None:
    world = make_world(5)
    declare(world, 3)
    world.settle()
    assert sorted(world.machines) == ["node-0", "node-1", "node-2"]
    assert loads(world) == {"node-0": 8, "node-1": 8, "node-2": 8}


def test_by_name_exactly_that_node_goes_and_none_comes_when_fewer_are_declared() -> None:
    world = make_world(5)
    declare(world, 4, "node-1")
    world.settle()
    assert sorted(world.machines) == ["node-0", "node-2", "node-3", "node-4"]
    declare(world, 4)
    world.settle()
    assert sorted(world.machines) == ["node-0", "node-2", "node-3", "node-4"], "nothing follows from a shorter list"


def test_by_name_with_the_same_count_a_new_node_comes_in_its_zone() -> None:
    world = make_world(3)
    declare(world, 3, "node-1")
    world.settle()
    assert {name: machine.zone for name, machine in world.machines.items()} == {
        "node-0": "a",
        "node-2": "c",
        "node-3": "b",
    }
    assert loads(world) == {"node-0": 8, "node-2": 8, "node-3": 8}


def test_a_founder_of_the_catalog_may_go() -> None:
    world = make_world(4)
    declare(world, 3, "node-0")
    world.settle()
    assert sorted(world.machines) == ["node-1", "node-2", "node-3"]
    catalog = map_of(world).catalog()
    assert catalog is not None and len(catalog.members) == 3


@pytest.mark.parametrize("nodes", [1, 2])
def test_too_few_nodes_for_the_replicas_are_refused_whole_before_anything_moves(nodes: int) -> None:
    world = make_world(5)
    declare(world, nodes)
    made = plan(world.desired, world.observe())
    assert made.actions == () and made.moves.leaving == ()
    [note] = made.notes
    assert note.reason == "ScaleInBlocked" and "3 replicas" in note.message


def test_a_name_that_no_node_has_or_had_is_told() -> None:
    world = make_world(4)
    declare(world, 3, "node-1", "1")
    [note] = plan(world.desired, world.observe()).notes
    assert note.reason == "ScaleInBlocked"
    assert note.message == "removeNodes names 1, and the nodes are node-0, node-1, node-2, node-3"
    declare(world, 3, "node-1")
    assert not reasons(world)
    world.settle()
    assert "node-1" not in world.machines and not reasons(world), "who has gone may stay on the list"


def test_too_few_zones_are_refused() -> None:
    table = msgspec.structs.replace(TABLE, replicas=2, durable_zones=2)
    world = settled_world(ClusterSpec(name="keystead", nodes=5, zones=("a", "b")), table)
    declare(world, 3, "node-1", "node-3")
    assert reasons(world) == {"ScaleInBlocked"}
    assert "1 zones" in plan(world.desired, world.observe()).notes[0].message


@pytest.mark.parametrize(("room_gib", "goes"), [(10, True), (3, False), (-1, True)])
def test_a_node_whose_rows_the_others_have_no_room_for_stays_with_the_reason(room_gib: int, goes: bool) -> None:
    world = make_world(4)
    declare(world, 3)
    seen = world.observe()
    nodes = tuple(
        msgspec.structs.replace(node, room_bytes=room_gib << 30 if room_gib > 0 else -1, held_bytes=8 << 30)
        for node in seen.nodes
    )
    made = plan(world.desired, msgspec.structs.replace(seen, nodes=nodes))
    told = [note.message for note in made.notes if note.reason == "ScaleInBlocked"]
    assert any(isinstance(action, SetTarget) for action in made.actions) == goes
    assert told == (
        [] if goes else ["the rows of node-3 are 8.0 GiB, and the volumes of the others have room for 7.2 GiB"]
    )


def test_the_bytes_that_have_to_move_are_those_of_the_replicas_that_have_to() -> None:
    world = make_world(3, partitions=40)
    declare(world, 6)
    one_round(world)
    one_round(world)
    seen = world.observe()
    sizes = {partition: 1000 + partition for partition in map_of(world).partitions}
    made = plan(world.desired, msgspec.structs.replace(seen, partition_bytes=sizes)).moves
    assert made.waiting + made.moving == 60, "half of 120 replicas"
    assert min(sizes.values()) <= made.bytes / 60 <= max(sizes.values())
    assert plan(world.desired, seen).moves.bytes == 0, "unknown sizes weigh nothing"


def test_nothing_goes_while_the_catalog_is_away() -> None:
    world = make_world(5)
    for name in list(world.machines):
        world.kill(name)
    declare(world, 3)
    made = plan(world.desired, world.observe())
    assert "ScaleInBlocked" in {note.reason for note in made.notes}
    assert not any(isinstance(action, RemoveNode) for action in made.actions)


def test_a_node_that_registers_while_its_place_is_about_to_go_is_drained_first() -> None:
    """Seed 820252 of the simulation: what was seen of a process that still runs may be over when the volume goes."""
    world = make_world(3)
    declare(world, 4)
    one_round(world)
    one_round(world)
    seen = world.observe()
    (newcomer,) = [entry for entry in seen.map.nodes.values() if entry.name == "node-3"] if seen.map else []
    before = {node: entry for node, entry in map_of(world).nodes.items() if node != newcomer.id}
    assert seen.map is not None
    not_yet = msgspec.structs.replace(seen, map=msgspec.structs.replace(seen.map, nodes=before))
    declare(world, 3)
    made = plan(world.desired, not_yet)
    assert [type(action) for action in made.actions if getattr(action, "name", "") == "node-3"] == [StopNode]
    for action in made.actions:
        world.execute(action)
    again = plan(world.desired, world.observe()).actions
    assert StartNode("node-3") in again and not any(isinstance(action, RemoveNode) for action in again)
    world.settle()
    assert set(world.machines) == {"node-0", "node-1", "node-2"}


def test_only_so_many_partitions_are_on_the_move_at_once_and_the_rest_is_counted() -> None:
    world = make_world(3, partitions=100)
    declare(world, 6)
    one_round(world)
    one_round(world)
    made = plan(world.desired, world.observe())
    assert sum(isinstance(action, SetTarget) for action in made.actions) == MOVES_MAX
    assert begun(world, made) + made.moves.waiting == 150 and "Throttled" in {note.reason for note in made.notes}


def test_out_and_in_at_once_brings_everything_back_and_takes_the_new_places_away() -> None:
    world = make_world(3, partitions=100)
    declare(world, 6)
    for _ in range(4):
        one_round(world)
    assert loads(world)["node-3"] > 0
    declare(world, 3)
    world.settle()
    assert loads(world) == {"node-0": 100, "node-1": 100, "node-2": 100}


def test_in_and_out_at_once_keeps_the_node_with_what_it_still_has() -> None:
    world = make_world(6, partitions=100)
    ids = {node.id for node in map_of(world).nodes.values()}
    declare(world, 3)
    one_round(world)
    assert any(load < 50 for load in loads(world).values())
    declare(world, 6)
    world.settle()
    assert {node.id for node in map_of(world).nodes.values() if node.state == "active"} == ids
    assert set(loads(world).values()) == {50}


def test_a_node_wanted_again_after_it_has_left_comes_back_as_a_new_one() -> None:
    world = make_world(4)
    declare(world, 3)
    while all(node.state != "left" for node in map_of(world).nodes.values()):
        one_round(world)
    declare(world, 4)
    world.settle()
    assert sorted(loads(world)) == ["node-0", "node-1", "node-2", "node-3"]
    assert [node.id for node in map_of(world).nodes.values() if node.state == "left"] == ["node-3#0"]


CHANGES = st.lists(
    st.tuples(
        st.integers(3, 7),
        st.sets(st.sampled_from([f"node-{n}" for n in range(7)]), max_size=2),
        st.integers(0, 4),
        st.sampled_from(["", "", "kill", "lose"]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.data())
def test_rescales_that_overtake_each_other_and_die_anywhere_come_to_what_was_asked_last(
    changes: list[tuple[int, set[str], int, str]], data: st.DataObject
) -> None:
    """Each change goes some rounds, each of them cut off somewhere; no place goes while its node may serve, no group
    is ever without its replicas (both asserted by the world)."""
    world = make_world(4)
    for nodes, remove, rounds, trouble in changes:
        declare(world, nodes, *sorted(remove))
        for _ in range(rounds):
            made = plan(world.desired, world.observe())
            for action in made.actions[: data.draw(st.integers(0, len(made.actions)))]:
                world.execute(action)
        if trouble and world.machines:
            name = data.draw(st.sampled_from(sorted(world.machines)))
            world.kill(name) if trouble == "kill" else world.lose_volume(name)
            world.settle()
    world.settle()
    nodes, remove, _, _ = changes[-1]
    assert "ScaleInBlocked" in reasons(world) or (len(world.machines) == nodes and not set(world.machines) & remove), (
        sorted(world.machines)
    )
    assert plan(world.desired, world.observe()).actions == ()


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 7), st.integers(3, 7), st.data())
def test_a_rescale_is_monotone_and_its_actions_may_be_repeated(start: int, end: int, data: st.DataObject) -> None:
    """What is left to move never grows; nodes only come, or only go; each action twice is as good as once."""
    world = make_world(start)
    declare(world, end)
    last: int | None = None
    for _ in range(40):
        made = plan(world.desired, world.observe())
        if not made.actions:
            break
        registered = len(map_of(world).nodes) >= end
        left = made.moves.waiting + begun(world, made)
        if registered and last is not None:
            assert left <= last
        last = left if registered else None
        assert not any(isinstance(action, AddNode) for action in made.actions) or end > start
        assert not any(isinstance(action, RemoveNode | MarkLeft) for action in made.actions) or end < start
        for action in made.actions[: data.draw(st.integers(1, len(made.actions)))]:
            world.execute(action)
            once = world.fingerprint()
            world.execute(action)
            assert world.fingerprint() == once
    assert len(world.machines) == end
