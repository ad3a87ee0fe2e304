"""Replicas come to a node and leave it; one that leaves and the next of the same group do not meet."""

from keystead_core.ids import ReplicaId
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.node import Node
from keystead_core.replication.settings import Settings
from keystead_node.status import role_of
from tests.replication.rig import BOOT, GROUP, A, Rig, founding_record


def test_next_replica_of_a_group_waits_until_the_rows_of_the_last_are_dropped() -> None:
    """Else what is applied to the new replica's rows would be deleted with the old ones."""
    rig = Rig([founding_record()])
    rig.step(ev.DropReplica(GROUP, ReplicaId(1)))
    rig.step(ev.HostReplica(GROUP, ReplicaId(9), None))
    assert GROUP not in rig.node.replicas
    effects = rig.sync()
    assert ef.DropRows(GROUP) in effects
    assert rig.replica.id == 9


def test_rows_of_a_dropped_replica_are_dropped_at_the_next_start_too() -> None:
    """The node may have stopped between the durable tombstone and the deletion."""
    rig = Rig([founding_record()])
    state = rig.replica.state(dropped=True)
    found = rig.recovered([founding_record()], state)
    node = Node(Settings(), A, BOOT, [found], 0, 1)
    assert node.start(rig.now) == [ef.DropRows(GROUP)]
    assert node.tombstones == {GROUP: 1}


def test_a_replica_that_its_log_does_not_name_yet_is_shown_as_a_learner() -> None:
    rig = Rig([founding_record()])
    assert role_of(rig.replica) == "follower"
    rig.step(ev.DropReplica(GROUP, ReplicaId(1)))
    rig.step(ev.HostReplica(GROUP, ReplicaId(9), None))
    rig.sync()
    assert role_of(rig.replica) == "learner"
