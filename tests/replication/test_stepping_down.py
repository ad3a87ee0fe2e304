"""When a master goes, and to whom."""

import msgspec
import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import SECOND, NodeId, ReplicaId
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, GROUP, TARGETS, Rig, elected, sent

NEW = ReplicaTarget(ReplicaId(4), NodeId("d"), "zone-d", "voter")


def test_a_change_of_membership_that_does_not_commit_is_given_up_like_a_write() -> None:
    """Found by the simulator (124807): the master waited for the ack of a member that had promised to somebody else."""
    rig = elected()
    rig.step(ev.SetTarget(GROUP, [*TARGETS, NEW], 0, 1))
    rig.sync()
    assert rig.replica.log.last_lsn == 3
    rig.pass_time(2 * SECOND)
    assert rig.replica.role != "master"


def test_a_master_without_a_lease_that_hears_of_a_higher_promise_goes() -> None:
    """Found by the simulator (122009): no write came that would have failed, and no read was served for ever."""
    rig = elected()
    refusal = msg.AppendRefused(GROUP, ReplicaId(3), BOOT, rig.replica.epoch, 99)
    rig.hear(TARGETS[2].node, refusal)
    assert rig.replica.role == "master"  # Its first grants may still be on their way.
    rig.pass_time(2 * SECOND)
    assert rig.replica.role == "master"
    rig.hear(TARGETS[2].node, refusal)
    assert rig.replica.role != "master"


def test_a_master_that_has_to_leave_hands_over_to_one_who_stays() -> None:
    """Found by the simulator (124825): two that both had to leave handed the mastership to each other without end."""
    rig = elected()
    rig.step(ev.SetTarget(GROUP, [TARGETS[2]], 0, 1))
    assert not handed_over(rig)  # The second is level, and has to leave as well.
    commit_with_both(rig)
    assert handed_over(rig) == [ReplicaId(3)]


@pytest.mark.parametrize("second", ["voter", "learner"])
def test_a_master_that_is_to_be_a_learner_hands_over_to_one_who_stays_a_voter(second: str) -> None:
    rig = elected()
    learner, other = (msgspec.structs.replace(t, role="learner") for t in TARGETS[:2])
    rig.step(ev.SetTarget(GROUP, [learner, other if second == "learner" else TARGETS[1], TARGETS[2]], 0, 1))
    commit_with_both(rig)
    assert handed_over(rig) == [ReplicaId(3 if second == "learner" else 2)]


def test_a_voter_that_is_wanted_as_a_learner_becomes_one() -> None:
    """Found by the simulator (601536): no step led there, and the master did not say so."""
    rig = elected()
    rig.step(ev.SetTarget(GROUP, [*TARGETS[:2], msgspec.structs.replace(TARGETS[2], role="learner")], 0, 1))
    commit_with_both(rig)
    assert rig.replica.membership is not None
    assert [m.role for m in rig.replica.membership.members] == ["voter", "voter", "learner"]
    assert rig.replica.mastership is not None and rig.replica.mastership.reached is not None


def commit_with_both(rig: Rig) -> None:
    """The second and third say that they have all there is, and again where more came of it."""
    third = msg.Appended(GROUP, ReplicaId(3), BOOT, rig.replica.epoch, 2, True, 0)
    rig.hear(TARGETS[2].node, third)
    rig.hear(TARGETS[1].node, msgspec.structs.replace(third, replica=ReplicaId(2)))
    for lsn in range(3, 6):
        rig.sync()
        for number in (2, 3):
            ack = msgspec.structs.replace(
                third, replica=ReplicaId(number), durable_lsn=min(lsn, rig.replica.log.last_lsn)
            )
            rig.hear(TARGETS[number - 1].node, ack)
        rig.step(ev.Applied(GROUP, rig.replica.commit_lsn))


def handed_over(rig: Rig) -> list[ReplicaId]:
    found = [e for e in rig.effects if isinstance(e, ef.Send)]
    return [release.successor for release in sent(found, msg.Release)]
