"""A machine that loses its power resets no connection: its silence alone says that it is gone."""

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import SECOND, ReplicaId
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import founding_membership
from tests.replication.rig import BOOT, GROUP, TARGETS, B, Rig, founding_record, sent

LEARNER = ReplicaTarget(ReplicaId(2), B, "zone-b", "learner")


def with_level_learner() -> Rig:
    """Node `a` leads a group of one; a learner on node `b` has all of it."""
    rig = Rig([founding_record(founding_membership([TARGETS[0], LEARNER], 0, 1, SECOND))])
    rig.pass_time(SECOND // 2)
    rig.sync()
    rig.sync()
    rig.step(ev.Applied(GROUP, 2))
    assert rig.replica.mastership is not None and rig.replica.mastership.serving
    rig.hear(B, msg.Appended(GROUP, LEARNER.replica, BOOT, rig.replica.epoch, 2, True, 0, 2))
    return rig


def answer_heartbeats(rig: Rig, effects: list[ef.Effect]) -> None:
    for beat in sent(effects, msg.Heartbeat, B):
        rig.hear(B, msg.HeartbeatReply(BOOT, rig.node.boot, beat.sequence, beat.version, beat.digest, []))


def is_voter(rig: Rig) -> bool:
    membership = rig.replica.membership
    return membership is not None and membership.is_voter(LEARNER.replica)


def test_a_learner_that_answers_heartbeats_becomes_a_voter() -> None:
    rig = with_level_learner()
    for _ in range(20):
        rig.now += SECOND // 10
        answer_heartbeats(rig, rig.step(ev.Tick()))
    rig.step(ev.SetTarget(GROUP, TARGETS[:2], 0, 1))
    assert is_voter(rig)


def test_a_learner_silent_for_a_lease_becomes_a_voter_only_once_it_is_heard_of_again() -> None:
    """A group of one with a dead second voter could commit nothing, and nobody could lead it."""
    rig = with_level_learner()
    rig.pass_time(2 * SECOND)
    rig.step(ev.SetTarget(GROUP, TARGETS[:2], 0, 1))
    assert not is_voter(rig)
    assert rig.replica.why == "membership change waits: its live members cannot meet the write quorum and zones"
    answer_heartbeats(rig, rig.effects)
    assert is_voter(rig)


def test_a_learner_whose_connection_was_lost_becomes_no_voter() -> None:
    rig = with_level_learner()
    rig.step(ev.PeerLost(B))
    rig.step(ev.SetTarget(GROUP, TARGETS[:2], 0, 1))
    assert not is_voter(rig)
