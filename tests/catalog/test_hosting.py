"""What a node takes on, and what it drops: only what a committed membership, newer than its own, leaves out."""

import msgspec
import pytest

from keystead_core.cluster_map import PartitionEntry, ReplicaTarget
from keystead_core.hosting import Hosted, plan_hosting
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.replication.events import DropReplica, HostReplica

HERE = NodeId("a")
OTHERS = [ReplicaTarget(ReplicaId(n), NodeId(f"n{n}"), f"z{n}", "voter") for n in (1, 2, 3)]


def entry(version: int, epoch: int) -> PartitionEntry:
    """A group that lives elsewhere, by its last committed membership."""
    return PartitionEntry(
        id=PartitionId(5),
        table="orders",
        low=b"",
        high=None,
        generation=1,
        founders=OTHERS,
        target=OTHERS,
        members=OTHERS,
        write_quorum=2,
        durable_zones=2,
        membership_version=version,
        membership_epoch=epoch,
    )


@pytest.mark.parametrize(
    ("committed", "own", "dropped"),
    [
        ((7, 3), (6, 2), True),  # It was removed by version 7; its own log may hold that record, or not.
        ((6, 3), (6, 3), False),  # The map is older than the log: this very membership names it.
        ((6, 3), (7, 4), False),  # It was added just now, and the catalog has not heard of it.
        ((6, 4), (6, 3), True),  # It was added by a record that never was committed; another took its place.
        ((6, 0), (6, 3), False),  # Told by a program that named no epochs.
        ((6, 3), (0, 0), True),  # It never belonged to the group.
    ],
)
def test_a_replica_goes_once_a_later_membership_is_committed_without_it(
    committed: tuple[int, int], own: tuple[int, int], dropped: bool
) -> None:
    events = plan_hosting(entry(*committed), HERE, Hosted(ReplicaId(9), *own), True)
    assert (DropReplica(PartitionId(5), ReplicaId(9)) in events) == dropped


@pytest.mark.parametrize(("own", "dropped"), [((0, 0), False), ((6, 2), True)])
def test_a_map_that_may_be_older_says_nothing_against_a_replica_that_knows_no_membership(
    own: tuple[int, int], dropped: bool
) -> None:
    """Found by the simulator (700033): killed just behind its taking a replica on, a node began with the map that its
    disk had, dropped the replica, and under that id never took it on again: the group waited for ever."""
    events = plan_hosting(entry(7, 3), HERE, Hosted(ReplicaId(9), *own), False, may_be_older=True)
    assert (DropReplica(PartitionId(5), ReplicaId(9)) in events) == dropped


@pytest.mark.parametrize(
    ("founder", "registered", "taken"), [(False, False, []), (False, True, [9]), (True, False, [9])]
)
def test_a_node_takes_on_a_replica_once_it_is_registered(founder: bool, registered: bool, taken: list[int]) -> None:
    """Found by the simulator (123080): an old copy of a volume joined a group before the catalog refused it."""
    here = ReplicaTarget(ReplicaId(9), HERE, "z1", "voter")
    wanted = msgspec.structs.replace(
        entry(1, 1), target=[*OTHERS, here], founders=[*OTHERS, here] if founder else OTHERS
    )
    events = plan_hosting(wanted, HERE, None, registered)
    assert [event.replica for event in events if isinstance(event, HostReplica)] == taken
