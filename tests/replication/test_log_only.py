"""How a master begins the log of a log-only learner."""

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import MILLISECOND, NodeId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, GROUP, TARGETS, Rig, elected, sent

D = NodeId("d")
LOG_ONLY = ReplicaTarget(ReplicaId(4), D, "zone-a", "log-only")


def with_learner() -> Rig:
    """Node `a` leads; a record that adds a log-only learner on node `d` is committed; `c` has not been heard of."""
    rig = elected()
    rig.step(ev.SetTarget(GROUP, [*TARGETS, LOG_ONLY], 0, 1))
    rig.sync()
    hear_level(rig, TARGETS[1])
    assert rig.replica.commit_lsn == 3
    return rig


def hear_level(rig: Rig, target: ReplicaTarget) -> None:
    rig.hear(target.node, msg.Appended(GROUP, target.replica, BOOT, rig.replica.epoch, 3, True, 0, 3))


def nothing_yet(rig: Rig) -> msg.AppendMismatch:
    return msg.AppendMismatch(GROUP, LOG_ONLY.replica, BOOT, rig.replica.epoch, 0, 0)


def test_log_only_learner_gets_the_whole_log_where_some_voter_needs_it() -> None:
    """To tell it that its log starts at 0 would be answered by the same mismatch, for ever."""
    rig = with_learner()
    effects = rig.hear(D, nothing_yet(rig))
    assert not sent(effects, msg.StartLog)
    (append,) = sent(effects, msg.Append, D)
    assert append.prev == EMPTY_LOG and append.records


def test_start_of_a_log_is_told_again_when_the_message_was_lost() -> None:
    rig = with_learner()
    hear_level(rig, TARGETS[2])
    rig.replica.log.trim(2)
    (start,) = sent(rig.hear(D, nothing_yet(rig)), msg.StartLog)
    assert start.base.lsn == 3
    rig.now += 400 * MILLISECOND
    (probe,) = sent(rig.step(ev.Tick()), msg.Append, D)
    assert probe.prev.lsn == 3
    assert sent(rig.hear(D, nothing_yet(rig)), msg.StartLog)
