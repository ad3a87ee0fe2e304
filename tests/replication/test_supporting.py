"""A promise that waits for its sync, and what may happen to the replica meanwhile."""

from keystead_core.ids import ReplicaId
from keystead_core.replication import eligibility
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, GROUP, C, Rig, founding_record, sent


def asked() -> Rig:
    """Candidate 3 has asked for support in epoch 4; the promise is on its way to the disk."""
    rig = Rig([founding_record()])
    rig.hear(C, msg.SupportRequest(GROUP, ReplicaId(3), BOOT, 4, None))
    assert rig.replica.promised == 4
    return rig


def test_support_leaves_once_the_promise_is_durable() -> None:
    rig = asked()
    assert not sent(rig.effects, msg.Support)
    (support,) = sent(rig.sync(), msg.Support, C)
    assert (support.epoch, support.candidate) == (4, 3)


def test_replica_that_became_ineligible_meanwhile_does_not_support() -> None:
    rig = asked()
    eligibility.enter(rig.replica, "planned")
    rig.step(ev.Tick())
    assert not sent(rig.sync(), msg.Support)


def test_replica_that_was_dropped_meanwhile_does_not_support() -> None:
    rig = asked()
    rig.step(ev.DropReplica(GROUP, ReplicaId(1)))
    assert not sent(rig.sync(), msg.Support)


def test_replica_that_promised_a_later_epoch_meanwhile_does_not_report_for_the_earlier() -> None:
    rig = asked()
    rig.hear(C, msg.SupportRequest(GROUP, ReplicaId(3), BOOT, 5, None))
    assert [support.epoch for support in sent(rig.sync(), msg.Support)] == [5]
