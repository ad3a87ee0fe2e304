"""Whatever the state: plans are idempotent, converge when cut off anywhere, and planning on the result is empty."""

from copy import deepcopy

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_world import World, map_of

from keystead_core.cluster_map import KeyAttribute
from keystead_operator.plan.actions import RestartNode
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable

NAMES = ("users", "orders", "carts")


@st.composite
def tables(draw: st.DrawFn) -> tuple[DeclaredTable, ...]:
    made = []
    for resource in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3)):
        replicas = draw(st.sampled_from([1, 2, 3]))
        table = DeclaredTable(
            resource=resource,
            name=draw(st.sampled_from([resource, "shared"])),
            hash_key=KeyAttribute(draw(st.sampled_from(["id", "key"])), "S"),
            range_key=None,
            replicas=replicas,
            write_quorum=replicas // 2 + 1,
            durable_zones=draw(st.integers(1, replicas)),
            partitions=draw(st.integers(1, 4)),
            partitions_fixed=draw(st.booleans()),
            read_units=draw(st.sampled_from([0, 5])),
            deletion_protection=draw(st.booleans()),
            retain=draw(st.booleans()),
            deleting=draw(st.booleans()),
        )
        made.append(table)
    return tuple(made)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster after a history of plans cut off somewhere, killed nodes, lost volumes and changed declarations."""
    cluster = ClusterSpec(
        name="keystead", nodes=draw(st.integers(3, 5)), zones=("a", "b", "c")[: draw(st.integers(1, 3))]
    )
    world = World(Desired(cluster, draw(tables())))
    for _ in range(draw(st.integers(0, 8))):
        made = plan(world.desired, world.observe())
        for action in made.actions[: draw(st.integers(0, len(made.actions)))]:
            world.execute(action)
        match draw(st.sampled_from(["nothing", "nothing", "kill", "lose", "declare", "grow", "template", "strand"])):
            case "kill" if world.machines:
                world.kill(draw(st.sampled_from(sorted(world.machines))))
            case "lose" if world.machines:
                world.lose_volume(draw(st.sampled_from(sorted(world.machines))))
            case "template":
                world.template += 1
            case "strand" if world.machines:
                world.lose_machine(draw(st.sampled_from(sorted(world.machines))))
            case "declare":
                world.desired = msgspec.structs.replace(world.desired, tables=draw(tables()))
            case "grow":
                bigger = msgspec.structs.replace(cluster, nodes=world.desired.cluster.nodes + 1)
                world.desired = msgspec.structs.replace(world.desired, cluster=bigger)
    return world


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_planning_on_the_result_is_empty(world: World) -> None:
    world.settle()
    assert plan(world.desired, world.observe()).actions == ()


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_every_action_may_be_repeated(world: World) -> None:
    for action in plan(world.desired, world.observe()).actions:
        world.execute(action)
        once = world.fingerprint()
        world.execute(action)
        assert world.fingerprint() == once, f"{action} done twice is not the same as done once"


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_same_state_gives_the_same_plan(world: World) -> None:
    observed = world.observe()
    assert plan(world.desired, observed) == plan(deepcopy(world.desired), deepcopy(observed))


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_no_plan_takes_back_what_a_plan_did(world: World) -> None:
    """A node that has left stays so; tables that are declared and not being deleted stay."""
    left: set[str] = set()
    kept: set[str] = set()
    for _ in range(10):
        cluster_map = map_of(world)
        assert left <= {node for node, entry in cluster_map.nodes.items() if entry.state == "left"}
        left = {node for node, entry in cluster_map.nodes.items() if entry.state == "left"}
        owned = {table.name for table in world.desired.tables if not table.deleting}
        assert kept & owned <= set(cluster_map.tables)
        kept = set(cluster_map.tables)
        for action in plan(world.desired, world.observe()).actions:
            world.execute(action)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.data())
def test_a_plan_cut_off_after_any_write_converges_all_the_same(world: World, data: st.DataObject) -> None:
    """The executor dies between two writes, again and again, and whoever comes next plans anew."""
    whole = deepcopy(world)
    whole.settle()
    for _ in range(12):
        made = plan(world.desired, world.observe())
        for action in made.actions[: data.draw(st.integers(0, len(made.actions)))]:
            world.execute(action)
    world.settle()
    assert sorted(map_of(world).tables) == sorted(map_of(whole).tables)
    assert sorted(world.machines) == sorted(whole.machines)


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_no_plan_restarts_two_nodes_or_one_while_another_is_away(world: World) -> None:
    for _ in range(10):
        observed = world.observe()
        made = plan(world.desired, observed)
        restarts = [action for action in made.actions if isinstance(action, RestartNode)]
        assert len(restarts) <= 1
        assert not restarts or all(node.reachable for node in observed.nodes)
        for action in made.actions:
            world.execute(action)
