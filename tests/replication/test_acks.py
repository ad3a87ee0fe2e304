"""Which acks a master counts: the last word of each member, whatever order the messages arrive in."""

from keystead_core.ids import Lsn, ReplicaId
from keystead_core.log.record import Kind
from keystead_core.replication import eligibility, master
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, GROUP, B, C, Rig, chain, elected, founding_record, sent

SECOND_REPLICA = ReplicaId(2)


def ack(rig: Rig, lsn: Lsn, counts: bool, standing: int, boot: int = BOOT) -> None:
    message = msg.Appended(GROUP, SECOND_REPLICA, boot, rig.replica.epoch, lsn, counts, 0, 0, standing)
    rig.step(ev.Received(B, boot, message))


def writing() -> Rig:
    """Node `a` leads, with record 3 durable here and nowhere else."""
    rig = elected()
    rig.step(ev.Propose(GROUP, [(1, Kind.DATA, b"x")]))
    rig.sync()
    return rig


def test_late_ack_from_before_the_member_became_ineligible_does_not_count_what_it_holds_now() -> None:
    """A simulated network that reorders showed it (seed 394): a commit with too few."""
    rig = writing()
    ack(rig, 3, False, standing=1)
    ack(rig, 2, True, standing=0)
    assert rig.replica.commit_lsn == 2
    ack(rig, 3, True, standing=2)
    assert rig.replica.commit_lsn == 3


def test_what_a_member_acked_before_its_log_was_replaced_counts_no_more() -> None:
    rig = writing()
    rig.step(ev.Propose(GROUP, [(2, Kind.DATA, b"y")]))
    ack(rig, 4, True, standing=0)
    ack(rig, 3, True, standing=2)
    rig.sync()
    assert rig.replica.commit_lsn == 3
    assert master.counted_acks(rig.replica)[SECOND_REPLICA] == 3


def test_what_a_member_acked_before_it_started_anew_counts_no_more() -> None:
    rig = writing()
    rig.step(ev.Propose(GROUP, [(2, Kind.DATA, b"y")]))
    ack(rig, 4, True, standing=0)
    ack(rig, 3, True, standing=0, boot=BOOT + (1 << 16))
    rig.sync()
    assert rig.replica.commit_lsn == 3


def test_follower_raises_its_standing_with_each_change_of_its_eligibility() -> None:
    rig = Rig([founding_record()])
    two, three, four = chain(founding_record(), 2, 2, 2)
    rig.append(2, 2, founding_record(), two)
    (first,) = sent(rig.sync(), msg.Appended)
    eligibility.enter(rig.replica, "planned")
    rig.append(2, 2, two, three)
    (second,) = sent(rig.sync(), msg.Appended)
    rig.replica.count_again()
    rig.append(2, 2, three, four)
    (third,) = sent(rig.sync(), msg.Appended)
    assert [m.counts for m in (first, second, third)] == [True, False, True]
    assert first.standing < second.standing < third.standing


def test_two_members_that_ask_at_once_are_not_both_allowed_to_leave_the_quorums() -> None:
    """The first one's acks may be under way, and say that it still counts."""
    rig = elected()
    epoch = rig.replica.epoch
    rig.hear(B, msg.Appended(GROUP, ReplicaId(2), BOOT, epoch, 2, True, 0, 2))
    third = ReplicaId(3)
    rig.hear(C, msg.Appended(GROUP, third, BOOT, epoch, 2, True, 0, 2))
    (first,) = sent(rig.hear(B, wish(SECOND_REPLICA)), msg.EligibilityReply)
    rig.hear(B, msg.Appended(GROUP, ReplicaId(2), BOOT, epoch, 2, True, 0, 2))
    (second,) = sent(rig.hear(C, wish(third)), msg.EligibilityReply)
    assert first.refusal == ""
    assert second.refusal


def wish(replica: ReplicaId) -> msg.EligibilityRequest:
    return msg.EligibilityRequest(GROUP, replica, BOOT, True, "planned")
