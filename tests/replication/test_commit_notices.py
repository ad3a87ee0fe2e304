"""Followers learn of a commit though nothing is written any more, and though a message or a start was lost."""

from keystead_core.ids import MILLISECOND, ReplicaId
from keystead_core.log.record import Kind
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, GROUP, B, C, Rig, chain, elected, founding_record, sent

RESEND = 400 * MILLISECOND


def committed() -> tuple[Rig, int]:
    """Node `a` has committed LSN 3, which `b` and `c` hold without knowing that it is committed."""
    rig = elected()
    epoch = rig.replica.epoch
    rig.hear(C, msg.Appended(GROUP, ReplicaId(3), BOOT, epoch, 2, True, 0, 1))
    rig.step(ev.Propose(GROUP, [(1, Kind.DATA, b"x")]))
    rig.sync()
    for node, replica in ((B, 2), (C, 3)):
        rig.hear(node, msg.Appended(GROUP, ReplicaId(replica), BOOT, epoch, 3, True, 0, 2))
    assert rig.replica.commit_lsn == 3
    return rig, epoch


def pass_time(rig: Rig, micros: int) -> list[ef.Effect]:
    """Lets time pass from deadline to deadline; returns what was done on the way."""
    end = rig.now + micros
    effects: list[ef.Effect] = []
    while (due := rig.node.deadline()) is not None and due <= end:
        rig.now = max(rig.now, due)
        effects += rig.step(ev.Tick())
    rig.now = end
    return effects


def test_commit_notice_goes_out_again_until_the_follower_knows_the_commit() -> None:
    rig, epoch = committed()
    told = sent(pass_time(rig, 30 * MILLISECOND), msg.Append)
    assert [notice.commit_lsn for notice in told] == [3, 3]
    rig.hear(B, msg.Appended(GROUP, ReplicaId(2), BOOT, epoch, 3, True, 0, 3))
    effects = pass_time(rig, RESEND)
    assert [notice.commit_lsn for notice in sent(effects, msg.Append, C)] == [3]
    assert not sent(effects, msg.Append, B)
    rig.hear(C, msg.Appended(GROUP, ReplicaId(3), BOOT, epoch, 3, True, 0, 3))
    assert not sent(pass_time(rig, 2 * RESEND), msg.Append)


def test_follower_says_in_its_ack_which_commit_it_knows() -> None:
    rig = Rig([founding_record()])
    (two,) = chain(founding_record(), 2)
    rig.append(2, 2, founding_record(), two)
    (ack,) = sent(rig.sync(), msg.Appended)
    assert ack.commit_lsn == 1
    (ack,) = sent(rig.append(2, 2, two, commit=2), msg.Appended)
    assert ack.commit_lsn == 2


def test_follower_that_started_anew_is_asked_where_it_stands() -> None:
    """It may have forgotten the commit that it knew, and a lost connection may not have told of its end."""
    rig, epoch = committed()
    pass_time(rig, 30 * MILLISECOND)
    for node, replica in ((B, 2), (C, 3)):
        rig.hear(node, msg.Appended(GROUP, ReplicaId(replica), BOOT, epoch, 3, True, 0, 3))
    later = BOOT + (1 << 16)
    rig.step(ev.Received(C, later, msg.Probe(GROUP, ReplicaId(3), later)))
    (probe,) = sent(pass_time(rig, 1 * MILLISECOND), msg.Append, C)
    assert probe.commit_lsn == 3


def test_follower_of_an_earlier_version_is_told_once() -> None:
    """Its acks do not say what it knows."""
    rig, epoch = committed()
    pass_time(rig, 30 * MILLISECOND)
    for node, replica in ((B, 2), (C, 3)):
        rig.hear(node, msg.Appended(GROUP, ReplicaId(replica), BOOT, epoch, 3, True, 0))
    assert not sent(pass_time(rig, 2 * RESEND), msg.Append)
