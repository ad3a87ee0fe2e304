"""Preferred masters are spread over the nodes that could be, in quiet times alone."""

import msgspec
from plan_world import ORDERS, World, map_of, settled_world

from keystead_core.catalog.commands import ReplicaSpec
from keystead_operator.plan.actions import SetTarget
from keystead_operator.plan.planner import plan
from keystead_operator.spec.resources import ClusterSpec

TABLE = msgspec.structs.replace(ORDERS, partitions=8)


def lopsided() -> World:
    """Every group prefers one node."""
    world = settled_world(ClusterSpec(name="keystead", nodes=3), TABLE)
    first = min(map_of(world).nodes)
    for entry in map_of(world).partitions.values():
        others = [place.node for place in entry.target if place.node != first]
        world.execute(SetTarget(entry.id, tuple(ReplicaSpec(node) for node in (first, *others))))
    return world


def preferred(world: World) -> list[int]:
    counts = dict.fromkeys(map_of(world).nodes, 0)
    for entry in map_of(world).partitions.values():
        counts[entry.target[0].node] += 1
    return sorted(counts.values())


def test_masters_on_one_node_are_spread_over_all() -> None:
    world = lopsided()
    assert preferred(world) == [0, 0, 9]
    before = {entry.id: {place.replica for place in entry.target} for entry in map_of(world).partitions.values()}
    world.settle()
    assert preferred(world) == [3, 3, 3]
    after = {entry.id: {place.replica for place in entry.target} for entry in map_of(world).partitions.values()}
    assert after == before, "only the order of targets changes"


def test_masters_stay_while_a_node_is_away() -> None:
    world = lopsided()
    observed = world.observe()
    down = {node: 1.0 if node == max(observed.seconds_down) else 0.0 for node in observed.seconds_down}
    made = plan(world.desired, msgspec.structs.replace(observed, seconds_down=down))
    assert made.actions == ()


def test_even_masters_are_left_alone() -> None:
    world = lopsided()
    world.settle()
    assert plan(world.desired, world.observe()).actions == ()


def test_cluster_whose_namespace_is_going_is_left_alone() -> None:
    world = lopsided()
    made = plan(msgspec.structs.replace(world.desired, ending="its namespace is being deleted"), world.observe())
    assert made.actions == ()
    assert [note.reason for note in made.notes] == ["Ending"]
