"""What a follower acknowledges, and whom it follows."""

from keystead_core.ids import NodeId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG
from keystead_core.replication import messages as msg
from keystead_core.replication.lease import pair_digest
from tests.replication.rig import BOOT, GROUP, B, C, Rig, chain, founding_record, point, sent

FIRST = founding_record()


def test_follower_acks_only_after_its_sync() -> None:
    rig = Rig([FIRST])
    (two,) = chain(FIRST, 2)
    assert not sent(rig.append(2, 2, FIRST, two), msg.Appended)
    (ack,) = sent(rig.sync(), msg.Appended)
    assert ack == msg.Appended(GROUP, ReplicaId(1), BOOT, 2, 2, True, 0, 1, 0)


def test_follower_ignores_a_deposed_master() -> None:
    rig = Rig([FIRST])
    rig.append(3, 5, FIRST, *chain(FIRST, 5))
    rig.sync()
    (refusal,) = sent(rig.append(2, 4, FIRST, *chain(FIRST, 4)), msg.AppendRefused)
    assert refusal.promised == 5
    assert rig.replica.log.last_epoch == 5


def test_follower_that_promised_the_epoch_to_another_says_so() -> None:
    """Else the master would wait for its answer for ever (a cluster of a thousand groups showed it)."""
    rig = Rig([FIRST])
    request = msg.SupportRequest(GROUP, ReplicaId(3), BOOT, 4, None)
    rig.hear(C, request)
    rig.sync()
    (refusal,) = sent(rig.append(2, 4, FIRST, *chain(FIRST, 4)), msg.AppendRefused)
    assert refusal.promised == 4


def test_record_above_a_gap_is_kept_and_not_acked_before_the_gap_is_filled() -> None:
    rig = Rig([FIRST])
    two, three = chain(FIRST, 2, 2)
    rig.append(2, 2, two, three)
    rig.sync()
    assert not sent(rig.effects, msg.Appended)
    rig.append(2, 2, FIRST, two)
    (ack,) = sent(rig.sync(), msg.Appended)
    assert ack.durable_lsn == 3


def test_branch_above_a_filled_damage_is_not_acked_to_a_master_that_may_not_have_it() -> None:
    """3(e1) was here above the damaged 2; a master of epoch 5 fills 2 and has another 3."""
    two, branch = chain(FIRST, 1, 1)
    rig = Rig([FIRST, branch], damaged=[two])
    rig.append(2, 5, FIRST, two)
    acks = sent(rig.sync(), msg.Appended)
    assert acks and all(ack.durable_lsn == 2 for ack in acks)
    (three,) = chain(two, 5)
    rig.append(2, 5, two, three)
    (ack,) = sent(rig.sync(), msg.Appended)
    assert ack.durable_lsn == 3
    assert rig.replica.log.last_hash == three.hash


def test_conflicting_tail_is_snipped_before_the_masters_records_are_acked() -> None:
    old = chain(FIRST, 2, 2)
    rig = Rig([FIRST, *old])
    new = chain(FIRST, 3)
    rig.append(2, 3, FIRST, *new)
    rig.sync()
    assert [record.epoch for record in rig.replica.log.records] == [1, 3]


def test_replica_that_learns_the_membership_from_its_master_grants_its_lease() -> None:
    """The heartbeat may come before the log that tells who the sender is (a lost volume being re-filled)."""
    rig = Rig([])
    beat = msg.Heartbeat(BOOT, BOOT, 1, 1, pair_digest(GROUP, 3), 0, [(GROUP, 3)], [])
    (before,) = sent(rig.hear(B, beat), msg.HeartbeatReply)
    assert [partition for partition, _ in before.excluded] == [GROUP]
    rig.hear(B, msg.Append(GROUP, ReplicaId(2), BOOT, 3, EMPTY_LOG, 1, FIRST.raw))
    rig.sync()
    again = msg.Heartbeat(BOOT, BOOT, 2, 1, pair_digest(GROUP, 3), 1, [], [])
    (after,) = sent(rig.hear(B, again), msg.HeartbeatReply)
    assert after.excluded == []


def test_learner_acks_to_a_master_that_its_log_does_not_name_yet() -> None:
    """The master may have joined the group after the record up to which the learner has the log."""
    rig = Rig([FIRST])
    later = NodeId("z")
    (two,) = chain(FIRST, 2)
    rig.hear(later, msg.Append(GROUP, ReplicaId(9), BOOT, 2, point(FIRST), 1, two.raw))
    (ack,) = sent(rig.sync(), msg.Appended, later)
    assert ack.durable_lsn == 2
