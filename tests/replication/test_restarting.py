"""What a replica is again after its node has stopped at a bad moment."""

import msgspec

from keystead_core.ids import SECOND, NodeId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, RecoveredReplica, ReplicaState, StateEntry
from keystead_core.log.record import Kind, make_record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import encode_membership
from keystead_core.replication.node import Node
from keystead_core.replication.settings import Settings
from tests.replication.rig import BOOT, FOUNDING, GROUP, A, B, chain, founding_record, point, sent

LOG_ONLY = msgspec.structs.replace(FOUNDING.members[0], log_only=True)


def test_membership_that_was_sealed_just_before_the_stop_is_known_after_it() -> None:
    """The cold log holds it already, and the state on the volume does not name it yet."""
    first = founding_record()
    second = msgspec.structs.replace(FOUNDING, version=2, members=FOUNDING.members[:2])
    body = encode_membership(second)
    two = make_record(GROUP, 1, 2, Kind.MEMBERSHIP, 1, first.hash, 0, body)
    (three,) = chain(two, 1)
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(0), 0, "", EMPTY_LOG, b"")
    found = RecoveredReplica(GROUP, state, [three], 2, 2, 1, point(two), cold_membership=body)
    replica = Node(Settings(), A, BOOT, [found], 0, 1).replicas[GROUP]
    assert (replica.log.base.lsn, replica.log.last_lsn) == (2, 3)
    assert replica.membership == second


def test_state_names_no_membership_from_behind_its_base() -> None:
    state = Node(Settings(), A, BOOT, [founder()], 0, 1).replicas[GROUP].state()
    assert (state.base, state.base_membership) == (EMPTY_LOG, b"")


def founder() -> RecoveredReplica:
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(0), 0, "", EMPTY_LOG, b"")
    return RecoveredReplica(GROUP, state, [founding_record()], 1, 0)


def test_log_only_replica_keeps_its_log_though_it_has_no_rows() -> None:
    """Rows that are older than the log's base mean a copy cut short, but not where there are none to be had."""
    first = founding_record(msgspec.structs.replace(FOUNDING, members=(LOG_ONLY, *FOUNDING.members[1:])))
    two, three = chain(first, 1, 1)
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(0), 0, "", EMPTY_LOG, b"")
    found = RecoveredReplica(GROUP, state, [three], 2, 0, 2, point(two), cold_membership=first.body)
    replica = Node(Settings(), A, BOOT, [found], 0, 1).replicas[GROUP]
    assert replica.log.last_lsn == 3
    assert replica.is_log_only


def test_log_only_learner_keeps_the_start_of_its_log_before_any_record_names_it() -> None:
    """Found by the simulator (226249): it forgot its log, and the next master began it at another point."""
    learner = Node(Settings(), NodeId("d"), BOOT, [], 0, 1)
    learner.step(ev.HostReplica(GROUP, ReplicaId(4), None), 1)
    (two,) = chain(founding_record(), 1)
    start = msg.StartLog(GROUP, ReplicaId(1), BOOT, 1, point(two), encode_membership(FOUNDING))
    effects = learner.step(ev.Received(A, BOOT, start), 2)
    entries = [entry for effect in effects if isinstance(effect, ef.Persist) for entry in effect.entries]
    state = [entry.state for entry in entries if isinstance(entry, StateEntry)][-1]
    (three,) = chain(two, 1)
    again = Node(Settings(), NodeId("d"), 2 * BOOT, [RecoveredReplica(GROUP, state, [three], 2, 0)], 0, 1)
    replica = again.replicas[GROUP]
    assert (replica.log.base.lsn, replica.log.last_lsn, replica.unfit) == (2, 3, "")


def test_a_replica_without_its_log_counts_only_once_it_has_all_that_it_may_have_acked() -> None:
    """Its rows are older than its log, and nothing leads from one to the other: a copy cut short, or worse."""
    records = [founding_record(), *chain(founding_record(), 1, 1)]
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(1), 0, "", point(records[2]), encode_membership(FOUNDING))
    replica = Node(Settings(), A, BOOT, [RecoveredReplica(GROUP, state, [], 3, 0)], 0, 1).replicas[GROUP]
    assert replica.log.last_lsn == 0
    assert replica.unfit


def test_rows_are_owed_what_is_sealed_where_nothing_else_is_to_be_applied() -> None:
    """Found by the simulator (263191): the rows of a master stayed behind its log's base, and could not be copied."""
    first = founding_record()
    two, three = chain(first, 1, 1)
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(0), 0, "", EMPTY_LOG, b"")
    found = RecoveredReplica(GROUP, state, [three], 2, 0, 1, point(two), cold_membership=first.body)
    assert Node(Settings(), A, BOOT, [found], 0, 1).start(0) == [ef.RowsDue(GROUP, 2)]
    found = msgspec.structs.replace(found, commit_lsn=3)
    assert Node(Settings(), A, BOOT, [found], 0, 1).start(0) == [ef.Apply(GROUP, [three])]


def test_nothing_is_owed_to_a_log_only_replica() -> None:
    first = founding_record(msgspec.structs.replace(FOUNDING, members=(LOG_ONLY, *FOUNDING.members[1:])))
    (two,) = chain(first, 1)
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(0), 0, "", EMPTY_LOG, b"")
    found = RecoveredReplica(GROUP, state, [], 2, 0, 1, point(two), cold_membership=first.body)
    assert Node(Settings(), A, BOOT, [found], 0, 1).start(0) == []


def test_nobody_is_supported_before_what_was_granted_before_the_stop_has_lapsed() -> None:
    """Schedule 10: the restart forgot whom it had granted a lease, and until when."""
    settings = Settings()
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(0), 0, "", EMPTY_LOG, b"")
    node = Node(settings, A, BOOT, [RecoveredReplica(GROUP, state, [founding_record()], 1, 0)], 10 * SECOND, 1)
    node.start(10 * SECOND)
    node.step(ev.Registered(), 10 * SECOND)
    asked = ev.Received(B, BOOT, msg.SupportRequest(GROUP, ReplicaId(2), BOOT, 5, None))
    (refusal,) = sent(node.step(asked, 10 * SECOND + settings.granted - 1), msg.SupportRefused, B)
    assert refusal.expires_in == 1
    promised = node.step(asked, 10 * SECOND + settings.granted)
    assert [effect for effect in promised if isinstance(effect, ef.Persist)]
