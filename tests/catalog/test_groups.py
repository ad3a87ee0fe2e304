"""Locks, reports and targets of replica groups, and the operator's number in office."""

import pytest

from keystead_core.catalog.commands import (
    DeleteTable,
    Fence,
    GroupReport,
    LockRequest,
    NodeLeft,
    RegisterNode,
    ReplicaSpec,
    SetNodeState,
    SetTarget,
    TakeLocks,
    UpdateSettings,
    take_lock,
)
from keystead_core.catalog.results import (
    BOOT_TOO_OLD,
    FENCE_TOO_OLD,
    INVALID,
    NODE_LEFT,
    NODE_UNKNOWN,
    RESOURCE_NOT_FOUND,
)
from keystead_core.catalog.rows import Lock
from keystead_core.cluster_map import ClusterSettings
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from tests.catalog.cluster import CLUSTER, make_catalog, make_node

ONE, TWO, THREE, FOUR = (make_node(number).id for number in (1, 2, 3, 4))


def test_a_lock_rises_above_its_counter_and_above_what_was_asked() -> None:
    catalog = make_catalog(3)
    partition = catalog.make_table()[0].id
    assert catalog.accept(take_lock(partition, 0, ONE, 1)).counters == [1]
    assert catalog.accept(take_lock(partition, 0, TWO, 1)).counters == [2]
    assert catalog.accept(take_lock(partition, 9, ONE, 1)).counters == [10]
    assert catalog.accept(take_lock(partition, 3, THREE, 4)).counters == [11]
    assert catalog.state.lock(partition) == Lock(11, THREE, 4)


def test_many_locks_travel_in_one_record_and_no_lock_changes_the_map() -> None:
    catalog = make_catalog(3)
    first, second = (entry.id for entry in catalog.make_table(partitions=2))
    version = catalog.state.version
    wishes = [LockRequest(first, 5), LockRequest(second, 0), LockRequest(first, 0)]
    assert catalog.accept(TakeLocks(ONE, 1, wishes)).counters == [6, 1, 7]
    assert catalog.state.version == version


def test_locks_of_deleted_partitions_and_of_the_catalog_are_not_given() -> None:
    catalog = make_catalog(3)
    partition = catalog.make_table()[0].id
    catalog.accept(DeleteTable("orders"))
    wishes = [LockRequest(partition, 0), LockRequest(CATALOG_PARTITION, 0), LockRequest(PartitionId(99), 0)]
    assert catalog.accept(TakeLocks(ONE, 1, wishes)).counters == [0, 0, 1]


def test_only_a_live_node_at_its_newest_boot_takes_a_lock() -> None:
    catalog = make_catalog(4)
    catalog.accept(RegisterNode(CLUSTER, make_node(1, boot=3)))
    catalog.refuse(take_lock(PartitionId(2), 0, ONE, 2), BOOT_TOO_OLD)
    catalog.refuse(take_lock(PartitionId(2), 0, NodeId("nobody"), 1), NODE_UNKNOWN)
    catalog.accept(NodeLeft(FOUR, catalog.take_office()))
    catalog.refuse(take_lock(PartitionId(2), 0, FOUR, 1), NODE_LEFT)


def test_the_newer_report_of_a_group_wins_by_epoch_and_then_by_version() -> None:
    catalog = make_catalog(3)
    entry = catalog.make_table()[0]

    def seen(epoch: int, version: int, master: NodeId) -> tuple[int, int, NodeId]:
        catalog.report([GroupReport(entry.id, epoch, version, entry.members, master)])
        now = catalog.partitions("orders")[0]
        return now.epoch, now.membership_version, now.master

    assert seen(4, 2, ONE) == (4, 2, ONE)
    assert seen(4, 3, TWO) == (4, 3, TWO)
    assert seen(4, 3, THREE) == (4, 3, TWO)
    assert seen(3, 9, THREE) == (4, 3, TWO)
    assert seen(5, 1, THREE) == (5, 1, THREE)


def test_reports_of_unknown_partitions_are_ignored_and_the_rest_of_the_batch_counts() -> None:
    catalog = make_catalog(3)
    entry = catalog.make_table()[0]
    stranger = GroupReport(PartitionId(99), 7, 1, entry.members, ONE)
    catalog.report([stranger, GroupReport(entry.id, 9, 1, entry.members, TWO)])
    assert catalog.partitions("orders")[0].master == TWO
    assert PartitionId(99) not in catalog.state.map().partitions


def test_a_target_keeps_the_replica_ids_that_stay_and_mints_those_that_come() -> None:
    catalog = make_catalog(4)
    fence = catalog.take_office()
    entry = catalog.make_table()[0]
    old = {place.node: place.replica for place in entry.target}
    a, b, c = old
    spare = next(node for node in catalog.state.map().nodes if node not in old)
    command = SetTarget(entry.id, [ReplicaSpec(b), ReplicaSpec(spare, "log-only"), ReplicaSpec(a)], fence)
    catalog.accept(command)
    target = catalog.partitions("orders")[0].target
    assert [(place.node, place.role) for place in target] == [(b, "voter"), (spare, "log-only"), (a, "voter")]
    assert target[0].replica == old[b] and target[2].replica == old[a]
    assert target[1].replica > max(old.values())
    version = catalog.state.version
    catalog.accept(command)
    assert catalog.state.version == version
    catalog.accept(SetTarget(entry.id, [ReplicaSpec(b), ReplicaSpec(c), ReplicaSpec(a)], fence))
    back = catalog.partitions("orders")[0].target
    assert back[1].replica > target[1].replica


def test_a_replica_may_be_made_anew_on_its_node() -> None:
    catalog = make_catalog(3)
    fence = catalog.take_office()
    entry = catalog.make_table()[0]
    specs = [ReplicaSpec(place.node, fresh=number == 0) for number, place in enumerate(entry.target)]
    catalog.accept(SetTarget(entry.id, specs, fence))
    after = catalog.partitions("orders")[0].target
    assert after[0].node == entry.target[0].node and after[0].replica != entry.target[0].replica
    assert after[1:] == entry.target[1:]


def test_targets_that_no_group_can_have_are_refused() -> None:
    catalog = make_catalog(4)
    fence = catalog.take_office()
    partition = catalog.make_table()[0].id
    catalog.accept(RegisterNode(CLUSTER, make_node(5, host="host-1")))
    catalog.accept(NodeLeft(FOUR, fence))
    one, two = ReplicaSpec(ONE), ReplicaSpec(TWO)
    catalog.refuse(SetTarget(PartitionId(99), [one], fence), RESOURCE_NOT_FOUND)
    catalog.refuse(SetTarget(partition, [one, one], fence), INVALID)
    catalog.refuse(SetTarget(partition, [ReplicaSpec(ONE, "log-only")], fence), INVALID)
    catalog.refuse(SetTarget(partition, [ReplicaSpec(ONE, "boss")], fence), INVALID)
    catalog.refuse(SetTarget(partition, [one, ReplicaSpec(NodeId("nobody"))], fence), NODE_UNKNOWN)
    catalog.refuse(SetTarget(partition, [one, ReplicaSpec(FOUR)], fence), NODE_LEFT)
    message = catalog.refuse(SetTarget(partition, [one, two, ReplicaSpec(make_node(5).id)], fence), INVALID)
    assert "share a host" in message


def test_voters_may_share_a_host_where_the_cluster_says_so() -> None:
    catalog = make_catalog(3, settings=ClusterSettings(shared_fate_ok=True))
    fence = catalog.take_office()
    partition = catalog.make_table()[0].id
    catalog.accept(RegisterNode(CLUSTER, make_node(5, host="host-1")))
    catalog.accept(SetTarget(partition, [ReplicaSpec(ONE), ReplicaSpec(TWO), ReplicaSpec(make_node(5).id)], fence))


def test_each_operator_in_office_gets_a_higher_number() -> None:
    catalog = make_catalog(3)
    assert catalog.take_office("a", transitions=0) == 1
    assert catalog.take_office("b", transitions=7) == 8
    assert catalog.take_office("c", transitions=0) == 9
    assert catalog.state.fence == 9


def test_an_operator_out_of_office_is_refused_and_one_of_no_office_too() -> None:
    catalog = make_catalog(3)
    entry = catalog.make_table()[0]
    specs = [ReplicaSpec(place.node) for place in reversed(entry.target)]
    catalog.refuse(SetTarget(entry.id, specs, 0), INVALID)
    old, new = catalog.take_office("a"), catalog.take_office("b")
    message = catalog.refuse(SetTarget(entry.id, specs, old), FENCE_TOO_OLD)
    assert "b took 2" in message
    catalog.refuse(NodeLeft(ONE, old), FENCE_TOO_OLD)
    catalog.refuse(UpdateSettings(ClusterSettings(), old), FENCE_TOO_OLD)
    catalog.refuse(SetNodeState(ONE, "maintenance", old), FENCE_TOO_OLD)
    catalog.refuse(DeleteTable("orders", fence=old), FENCE_TOO_OLD)
    catalog.refuse(SetTarget(entry.id, specs, new + 1), INVALID)
    catalog.accept(SetTarget(entry.id, specs, new))
    catalog.accept(SetNodeState(ONE, "maintenance"))


def test_taking_office_does_not_change_the_map() -> None:
    catalog = make_catalog(3)
    version = catalog.state.version
    catalog.accept(Fence("a", 0))
    assert catalog.state.version == version


@pytest.mark.parametrize("settings", [ClusterSettings(replicas=0), ClusterSettings(partitions=0)])
def test_settings_with_which_no_table_could_be_made_are_refused(settings: ClusterSettings) -> None:
    catalog = make_catalog(3)
    catalog.refuse(UpdateSettings(settings, catalog.take_office()), INVALID)
