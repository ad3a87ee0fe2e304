"""A changed template reaches the nodes one at a time, zone by zone, and stops where it does harm."""

import msgspec
from plan_world import settled_world

from keystead_core.ids import NodeId
from keystead_operator.plan.actions import RestartNode
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired, Observed, ObservedNode
from keystead_operator.spec.resources import ClusterSpec

CLUSTER = ClusterSpec(name="keystead", nodes=4, zones=("a", "b"))


def restarts(observed: Observed) -> list[str]:
    made = plan(Desired(CLUSTER), observed)
    return [action.name for action in made.actions if isinstance(action, RestartNode)]


def reasons(observed: Observed) -> set[str]:
    return {note.reason for note in plan(Desired(CLUSTER), observed).notes}


def test_nodes_are_restarted_one_after_the_other_and_zone_by_zone() -> None:
    world = settled_world(CLUSTER)
    world.template += 1
    order: list[str] = []
    for _ in range(30):
        made = plan(world.desired, world.observe())
        order += [action.name for action in made.actions if isinstance(action, RestartNode)]
        for action in made.actions:
            world.execute(action)
    assert [world.machines[name].zone for name in order] == ["a", "a", "b", "b"]
    assert all(machine.template == 1 for machine in world.machines.values())


def test_nothing_is_restarted_while_replicas_are_not_level() -> None:
    world = settled_world(CLUSTER)
    world.template += 1
    observed = msgspec.structs.replace(world.observe(), unlevel="partition 7 has 2 level replicas")
    assert restarts(observed) == []
    assert "RolloutWaiting" in reasons(observed)


def test_nothing_is_restarted_while_a_node_is_away() -> None:
    world = settled_world(CLUSTER)
    world.template += 1
    world.kill("node-3")
    assert restarts(world.observe()) == []


def _with(observed: Observed, name: str, **changes: object) -> Observed:
    nodes = [
        msgspec.structs.replace(node, **changes) if node.name == name else node  # type: ignore[arg-type]
        for node in observed.nodes
    ]
    return msgspec.structs.replace(observed, nodes=tuple(nodes))


def test_rollout_stops_at_a_node_that_does_not_start_and_says_why() -> None:
    world = settled_world(CLUSTER)
    world.template += 1
    observed = _with(
        world.observe(), "node-0", outdated=False, reachable=False, stuck="ImagePullBackOff: no such image"
    )
    assert restarts(observed) == []
    (note,) = [note for note in plan(Desired(CLUSTER), observed).notes if note.reason == "RolloutStopped"]
    assert "node-0" in note.message
    assert "ImagePullBackOff" in note.message


def test_node_that_cannot_start_from_the_last_template_gets_the_new_one_at_once() -> None:
    world = settled_world(CLUSTER)
    world.template += 1
    observed = _with(world.observe(), "node-2", reachable=False, stuck="ImagePullBackOff: no such image")
    assert restarts(observed) == ["node-2"]


def test_nothing_is_restarted_where_the_template_is_the_same() -> None:
    assert restarts(settled_world(CLUSTER).observe()) == []


def test_single_node_is_restarted_too() -> None:
    node = ObservedNode(name="n", zone="a", running=True, reachable=True, id=NodeId("n"), outdated=True)
    made = plan(Desired(msgspec.structs.replace(CLUSTER, nodes=1)), Observed(nodes=(node,), unlevel=""))
    assert [action.name for action in made.actions if isinstance(action, RestartNode)] == ["n"]


def test_node_that_has_handed_over_is_restarted_though_it_is_the_reason_why_replicas_are_not_level() -> None:
    world = settled_world(CLUSTER)
    world.template += 1
    observed = _with(world.observe(), "node-1", resting=True)
    assert restarts(msgspec.structs.replace(observed, unlevel="partition 7 has 2 level replicas")) == ["node-1"]
