"""Machines that are gone for good, and volumes that are: what is given up, what is not, and what is said."""

import msgspec
from plan_world import ORDERS, World, map_of, settled_world

from keystead_core.ids import NodeId
from keystead_operator.plan.actions import FormCatalog, GiveUpVolume, MarkLeft, NameFounders
from keystead_operator.plan.planner import plan
from keystead_operator.spec.resources import ClusterSpec

CLUSTER = ClusterSpec(name="keystead", nodes=3)


def reasons(world: World) -> set[str]:
    return {note.reason for note in plan(world.desired, world.observe()).notes}


def test_place_on_a_machine_that_is_gone_gets_a_new_volume_after_its_node_has_left() -> None:
    world = settled_world(CLUSTER)
    world.lose_machine("node-1")
    (left,) = [a for a in plan(world.desired, world.observe()).actions if isinstance(a, MarkLeft)]
    assert left.node == NodeId("node-1#0")
    world.settle()
    assert map_of(world).nodes[NodeId("node-1#0")].state == "left"
    for entry in map_of(world).partitions.values():
        assert NodeId("node-1#1") in [member.node for member in entry.members]


def test_volume_is_not_given_up_before_its_node_has_left() -> None:
    world = settled_world(CLUSTER)
    world.lose_machine("node-1")
    assert not any(isinstance(action, GiveUpVolume) for action in plan(world.desired, world.observe()).actions)


def test_second_machine_is_not_given_up_while_that_would_leave_no_majority() -> None:
    world = settled_world(CLUSTER)
    world.lose_machine("node-1")
    world.lose_machine("node-2")
    for action in plan(world.desired, world.observe()).actions:
        world.execute(action)
    assert [node.state for node in map_of(world).nodes.values()].count("left") == 0


def test_stranded_node_waits_for_the_grace() -> None:
    world = settled_world(CLUSTER)
    observed = world.observe()
    nodes = [msgspec.structs.replace(node, stranded_seconds=5.0) for node in observed.nodes]
    made = plan(world.desired, msgspec.structs.replace(observed, nodes=tuple(nodes)))
    assert made.actions == ()


def test_node_that_answers_is_not_given_up_whatever_its_pod_looks_like() -> None:
    world = settled_world(CLUSTER)
    observed = world.observe()
    nodes = [msgspec.structs.replace(node, stranded_seconds=1e6) for node in observed.nodes]
    made = plan(world.desired, msgspec.structs.replace(observed, nodes=tuple(nodes)))
    assert made.actions == ()


def test_majority_of_volumes_lost_is_said_while_the_catalog_is_away() -> None:
    world = settled_world(CLUSTER)
    for name in ("node-0", "node-1"):
        world.kill(name)
        world.lose_volume(name)
    world.settle()
    made = plan(world.desired, world.observe())
    assert "VolumeLost" in {note.reason for note in made.notes}
    assert not any(isinstance(action, NameFounders | FormCatalog | MarkLeft) for action in made.actions)


def test_any_one_of_two_lost_volumes_of_the_catalog_is_named_and_brings_all_back() -> None:
    world = settled_world(CLUSTER)
    for name in ("node-0", "node-1"):
        world.kill(name)
        world.lose_volume(name)
    world.settle()
    (told,) = [note.message for note in plan(world.desired, world.observe()).notes if note.reason == "VolumeLost"]
    assert "any one of node-0 (node id node-0#0), node-1 (node id node-1#0)" in told
    world.put_back_volume("node-1", 0)
    world.settle()
    assert reasons(world) == set()
    left = {node.id for node in map_of(world).nodes.values() if node.state == "left"}
    assert NodeId("node-0#0") in left and NodeId("node-1#0") not in left
    for entry in map_of(world).partitions.values():
        assert {member.node for member in entry.members} == {"node-0#1", "node-1#0", "node-2#0"}


def test_volumes_lost_beside_the_catalog_bring_their_partitions_back() -> None:
    world = settled_world(ClusterSpec(name="keystead", nodes=5), msgspec.structs.replace(ORDERS, partitions=8))
    for name in ("node-3", "node-4"):
        world.kill(name)
        world.lose_volume(name)
    world.settle()
    (told,) = [note.message for note in plan(world.desired, world.observe()).notes if note.reason == "VolumeLost"]
    assert "any one of node-3 (node id node-3#0), node-4 (node id node-4#0)" in told
    world.put_back_volume("node-4", 0)
    world.settle()
    assert reasons(world) == set()
    assert map_of(world).nodes[NodeId("node-3#0")].state == "left"
    assert map_of(world).nodes[NodeId("node-4#0")].state == "active"


def test_volume_that_goes_with_its_pod_is_warned_of() -> None:
    world = settled_world(CLUSTER)
    observed = world.observe()
    nodes = [msgspec.structs.replace(node, volume_going=node.name == "node-1") for node in observed.nodes]
    made = plan(world.desired, msgspec.structs.replace(observed, nodes=tuple(nodes)))
    assert made.actions == ()
    assert [note.reason for note in made.notes] == ["VolumeGoing"]


def test_minority_of_volumes_lost_is_no_reason_for_alarm() -> None:
    world = settled_world(CLUSTER)
    world.lose_volume("node-1")
    world.settle()
    assert reasons(world) == set()
