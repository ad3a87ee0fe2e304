"""Who stands for election, and who must not lead though others support it."""

import msgspec

from keystead_core.ids import MILLISECOND, SECOND, ReplicaId
from keystead_core.log.entries import EMPTY_LOG
from keystead_core.log.record import Kind, make_record
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication import suspicion
from keystead_core.replication.membership import encode_membership
from keystead_core.replication.replica import PLANNED
from tests.replication.rig import BOOT, FOUNDING, GROUP, B, C, Rig, chain, founding_record, point, sent


def test_candidate_that_is_no_voter_by_the_newer_log_that_it_fetched_does_not_lead() -> None:
    """The record that had made it a voter was never committed; a supporter's newer log has another in its place."""
    own, *others = FOUNDING.members
    learner = msgspec.structs.replace(FOUNDING, members=(msgspec.structs.replace(own, voter=False), *others))
    first = founding_record(learner)
    promoted = encode_membership(msgspec.structs.replace(FOUNDING, version=2))
    two = make_record(GROUP, 2, 2, Kind.MEMBERSHIP, 1, first.hash, 0, promoted)
    (newer,) = chain(first, 3)
    rig = Rig([first, two], promised=3)
    rig.now += 200_000
    rig.step(ev.Tick())
    rig.hear(B, msg.ProbeReply(GROUP, ReplicaId(2), BOOT, 0, 3, 3, 2, False, ""))
    rig.now += 100_000
    rig.step(ev.Tick())
    rig.sync()
    epoch = rig.replica.promised
    rig.hear(C, msg.Support(GROUP, ReplicaId(3), BOOT, epoch, ReplicaId(1), BOOT, 1, 1, 1))
    effects = rig.hear(B, msg.Support(GROUP, ReplicaId(2), BOOT, epoch, ReplicaId(1), BOOT, 3, 2, 1))
    (fetch,) = sent(effects, msg.FetchLog, B)
    assert fetch.after == point(first)
    rig.hear(B, msg.LogFetched(GROUP, ReplicaId(2), BOOT, epoch, point(first), newer.raw, 2))
    rig.sync()
    assert rig.replica.role == "follower"
    assert rig.replica.why == "not a full voter by the log that was fetched"


def test_a_member_that_returns_from_maintenance_stands_where_its_master_went_meanwhile() -> None:
    """Found by the simulator (219862): it was not allowed to when the master went, and nothing asked it again."""
    rig = Rig([founding_record()])
    rig.replica.ineligible = PLANNED
    rig.pass_time(2 * SECOND)
    assert rig.replica.why == "cannot stand: planned"
    rig.step(ev.Resume())
    rig.hear(B, msg.EligibilityReply(GROUP, ReplicaId(2), BOOT, False, ""))
    rig.sync()
    assert rig.replica.unfit == ""
    before = len(rig.effects)
    rig.pass_time(2 * SECOND)
    assert sent(rig.effects[before:], msg.Probe, B)


def test_candidate_that_is_too_far_behind_leaves_the_next_turn_to_its_supporters() -> None:
    """Found by the simulator (119224): it stood again before anybody else, was as far behind as before, and so on."""
    rig = Rig([founding_record()])
    rig.now += 200_000
    rig.step(ev.Tick())
    rig.hear(B, msg.ProbeReply(GROUP, ReplicaId(2), BOOT, 0, 1, 1, 9, True, ""))
    rig.now += 100_000
    rig.step(ev.Tick())
    rig.sync()
    epoch = rig.replica.promised
    rig.hear(C, msg.Support(GROUP, ReplicaId(3), BOOT, epoch, ReplicaId(1), BOOT, 1, 1, 1))
    rig.hear(B, msg.Support(GROUP, ReplicaId(2), BOOT, epoch, ReplicaId(1), BOOT, 1, 9, 1))
    rig.hear(B, msg.LogFetched(GROUP, ReplicaId(2), BOOT, epoch, EMPTY_LOG, b"", 9))
    assert rig.replica.why == "too far behind replica 2"
    supporters_turn = suspicion.patience(rig.replica, epoch) + 2 * suspicion.RANK_DELAY + 20 * MILLISECOND
    rig.now += supporters_turn + MILLISECOND
    assert not sent(rig.step(ev.Tick()), msg.Probe)
    rig.now += supporters_turn
    assert sent(rig.step(ev.Tick()), msg.Probe)


def test_candidate_asks_once_for_what_comes_next_however_often_the_last_answer_comes() -> None:
    """Found by the simulator (146611): where a network doubled messages, each doubled the questions: a storm."""
    first = founding_record()
    newer = chain(first, 3, 3)
    rig = Rig([first])
    rig.now += 200_000
    rig.step(ev.Tick())
    rig.hear(B, msg.ProbeReply(GROUP, ReplicaId(2), BOOT, 0, 3, 3, 3, False, ""))
    rig.now += 100_000
    rig.step(ev.Tick())
    rig.sync()
    epoch = rig.replica.promised
    rig.hear(C, msg.Support(GROUP, ReplicaId(3), BOOT, epoch, ReplicaId(1), BOOT, 1, 1, 1))
    rig.hear(B, msg.Support(GROUP, ReplicaId(2), BOOT, epoch, ReplicaId(1), BOOT, 3, 3, 1))
    part = msg.LogFetched(GROUP, ReplicaId(2), BOOT, epoch, point(first), newer[0].raw, 3)
    asked = [message for _ in range(3) for message in sent(rig.hear(B, part), msg.FetchLog, B)]
    assert [fetch.after for fetch in asked] == [point(newer[0])]
