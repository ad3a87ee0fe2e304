"""A master whose disk is full gives way to a replica whose node has room; and nobody else does."""

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import MILLISECOND, SECOND, NodeId, PartitionId
from keystead_core.replication import events as ev
from tests.replication.trio import Trio

GROUPS = 6
MEGABYTE = 1024 * 1024


def trio_with_room(rooms: tuple[int, int, int]) -> Trio:
    """Three nodes that have told each other what their disks have left."""
    trio = Trio(GROUPS)
    for name, room in zip(trio.nodes, rooms, strict=True):
        trio.step(name, ev.RoomMeasured(room))
    trio.run(15 * SECOND)
    return trio


def masters(trio: Trio) -> list[NodeId]:
    return [trio.master(group) for group in range(1, GROUPS + 1)]


def test_master_on_a_full_disk_hands_over_to_a_node_that_reports_room() -> None:
    trio = trio_with_room((MEGABYTE, MEGABYTE, MEGABYTE))
    full = NodeId("n0")
    assert full in masters(trio)
    trio.step(full, ev.RoomMeasured(0))
    trio.run(100 * MILLISECOND)
    assert full not in masters(trio)


def test_master_gives_way_to_the_one_that_has_room_not_to_another_full_one() -> None:
    trio = trio_with_room((MEGABYTE, 0, MEGABYTE))
    trio.step(NodeId("n0"), ev.RoomMeasured(0))
    trio.run(100 * MILLISECOND)
    assert set(masters(trio)) <= {NodeId("n1"), NodeId("n2")}
    assert all(trio.nodes[NodeId("n1")].replicas[PartitionId(g)].role == "follower" for g in handed_by(trio, "n0"))


def handed_by(trio: Trio, name: str) -> list[int]:
    """The groups whose last master before the present one was on the node."""
    replicas = trio.nodes[NodeId(name)].replicas
    return [int(partition) for partition, r in replicas.items() if r.why.startswith("handed over")]


def test_masters_stay_where_every_disk_is_full_or_unknown() -> None:
    """They go on serving reads and deletes."""
    for rooms in ((0, 0, 0), (MEGABYTE, 0, 0)):
        trio = trio_with_room(rooms)
        before = masters(trio)
        trio.step(NodeId("n0"), ev.RoomMeasured(0))
        trio.run(SECOND)
        assert masters(trio) == before


def test_mastership_is_not_given_back_to_a_preferred_replica_on_a_full_disk() -> None:
    trio = trio_with_room((MEGABYTE, MEGABYTE, MEGABYTE))
    full = trio.master(1)
    replicas = {name: node.replicas[PartitionId(1)] for name, node in trio.nodes.items()}
    target = [m for m in replicas[full].membership.members if m.node == full]  # type: ignore[union-attr]
    others = [m for m in replicas[full].membership.members if m.node != full]  # type: ignore[union-attr]
    wanted = [ReplicaTarget(m.replica, m.node, m.zone, "voter") for m in (*target, *others)]
    for name in trio.nodes:
        trio.step(name, ev.SetTarget(PartitionId(1), wanted, 0, 1))
    trio.step(full, ev.RoomMeasured(0))
    trio.run(15 * SECOND)
    assert trio.master(1) != full
    trio.step(trio.master(1), ev.Rebalance())
    trio.run(SECOND)
    assert trio.master(1) != full
    trio.step(full, ev.RoomMeasured(MEGABYTE))
    trio.run(SECOND)
    trio.step(trio.master(1), ev.Rebalance())
    trio.run(SECOND)
    assert trio.master(1) == full
