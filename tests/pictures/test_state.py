"""The cluster as the page shows it, of a map and of what nodes say."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from keystead_core.cluster_map import SplitPlan
from keystead_core.ids import NodeId, PartitionId
from keystead_core.split.dial_up import PartitionLimits
from keystead_node.transport.requests import OK, REFUSED, Answer, NodeLoad, RequestFailed
from keystead_node.ui.loads import Behind, ReplicaLoad, _ask
from keystead_node.ui.state import State, state_of
from tests.pictures.maps import make_map, make_node, make_partition, make_table, places

LIMITS = PartitionLimits(1000, 500)


def load(
    partition: int, role: str, epoch: int = 1, units: tuple[float, float] = (0.0, 0.0), **more: Any
) -> ReplicaLoad:
    serves = role == "master"
    return ReplicaLoad(PartitionId(partition), role, epoch, serves, True, 100, *units, more.get("behind", []))


def picture(nodes: int, tables: list[Any], partitions: list[Any], loads: dict[str, Any]) -> State:
    by_node = {NodeId(node): said for node, said in loads.items()}
    return state_of(NodeId("n0"), make_map(nodes, tables, partitions), by_node, LIMITS)


def test_the_load_of_a_partition_is_what_all_its_replicas_do_against_what_one_partition_gives() -> None:
    said = {
        "n0": [load(2, "follower", units=(100.0, 0.0))],
        "n1": [],
        "n2": [load(2, "master", units=(200.0, 250.0))],
    }
    state = picture(3, [make_table("orders")], [make_partition(2, "orders")], said)
    (partition,) = state.tables[1].partitions
    assert (partition.load, partition.read_units, partition.write_units) == (0.8, 300.0, 250.0)
    assert partition.master == "n2"
    assert {(one.node, one.role) for one in partition.replicas} == {
        ("n0", "follower"),
        ("n1", "absent"),
        ("n2", "master"),
    }
    assert [(node.name, node.load, node.masters) for node in state.nodes] == [
        ("node-0", 0.1, 0),
        ("node-1", 0.0, 0),
        ("node-2", 0.7, 1),
    ]


def test_of_two_masters_the_later_one_counts() -> None:
    said = {"n0": [load(2, "master", epoch=3)], "n1": [load(2, "master", epoch=4)], "n2": "it is gone"}
    state = picture(3, [make_table("orders")], [make_partition(2, "orders")], said)
    assert state.tables[1].partitions[0].master == "n1"


def test_a_node_that_does_not_answer_is_shown_with_the_reason() -> None:
    said = {"n0": [load(2, "follower")], "n1": "no connection to node n1", "n2": []}
    state = picture(3, [make_table("orders")], [make_partition(2, "orders")], said)
    assert [node.problem for node in state.nodes] == [None, "no connection to node n1", None]
    (partition,) = state.tables[1].partitions
    assert partition.master is None
    assert {one.node: one.role for one in partition.replicas} == {"n0": "follower", "n1": "silent", "n2": "absent"}


def test_one_node_is_a_cluster_too() -> None:
    state = picture(1, [], [], {"n0": [load(1, "master")]})
    assert [(table.name, [p.master for p in table.partitions]) for table in state.tables] == [("", ["n0"])]


def test_partitions_come_in_key_order_and_say_where_they_are_cut() -> None:
    parts = [make_partition(5, "orders", (0, 2)), make_partition(4, "orders", (1, 2))]
    plan = SplitPlan(right=PartitionId(9), at=b"\x40", members=[], reason="size")
    parts[0] = replace(parts[0], split=plan)
    parts[1] = replace(parts[1], left=PartitionId(5), split_refusal="one item")
    state = picture(3, [make_table("orders")], parts, {})
    left, right = state.tables[1].partitions
    assert [(p.id, p.start, p.end) for p in (left, right)] == [(5, 0.0, 0.5), (4, 0.5, 1.0)]
    assert left.split is not None and (left.split.at, left.split.phase, left.split.right) == (0.25, "due", 9)
    assert (right.split_from, right.split_refusal) == (5, "one item")


def test_a_move_is_shown_with_what_the_new_replica_lacks() -> None:
    entry = make_partition(2, "orders", nodes=4)
    entry = replace(entry, target=[*entry.target[1:], *places(2, [1])])
    lacks = [Behind(NodeId("n1"), "copy", 40, 25, 100), Behind(NodeId("n3"), "log", 1)]
    master = entry.target[0].node
    state = picture(4, [make_table("orders")], [entry], {master: [load(2, "master", behind=lacks)]})
    move = state.tables[1].partitions[0].move
    assert move is not None
    assert (move.joining, move.leaving) == (["n1"], [entry.members[0].node])
    assert [(one.node, one.way, one.lag, one.sent, one.total) for one in move.behind] == [("n1", "copy", 40, 25, 100)]


def test_the_splits_that_units_ask_for_are_told_up_to_the_tables_maximum() -> None:
    entry = make_partition(2, "orders")
    plan = picture(3, [make_table("orders", (2000, 1000))], [entry], {}).tables[1].plan
    assert plan is not None and (plan.wanted, plan.splits, plan.generations) == (4, 3, 2)
    assert picture(3, [make_table("orders", (2000, 1000), partitions_max=1)], [entry], {}).tables[1].plan is None
    assert picture(3, [make_table("orders")], [entry], {}).tables[1].plan is None


def test_nodes_are_ordered_by_zone_and_number_and_those_that_left_are_not_shown() -> None:
    cluster_map = make_map(12, [], [])
    cluster_map.nodes[NodeId("n9")] = make_node(9, state="left")
    names = [node.name for node in state_of(NodeId("n0"), cluster_map, {}, LIMITS).nodes if node.zone == "zone-1"]
    assert names == ["node-1", "node-4", "node-7", "node-10"]
    assert "node-9" not in {node.name for node in state_of(NodeId("n0"), cluster_map, {}, LIMITS).nodes}


class Answering:
    """Shell and peers of a node that is asked one thing."""

    def __init__(self, answer: Answer | RequestFailed) -> None:
        self.peers = self
        self._answer = answer

    async def request(self, to: NodeId, request: NodeLoad, seconds: float) -> Answer:
        if isinstance(self._answer, RequestFailed):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            RequestFailed("node n1 does not know requests of number 22", sent=False),
            "does not know requests of number 22",
        ),
        (Answer(REFUSED, reason="not a request about rows"), "not a request about rows"),
        (Answer(OK, value=b"\xc1"), "not understood"),
        (Answer(OK), "does not say"),
    ],
)
def test_whatever_another_node_answers_is_a_reason_at_worst(answer: Answer | RequestFailed, said: str) -> None:
    assert said in str(asyncio.run(_ask(Answering(answer), NodeId("n1"))))  # type: ignore[arg-type]
