"""Rules of the protocol that the simulator's schedules seldom test: each is one small function of the core."""

from fractions import Fraction

import msgspec
import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import MILLISECOND, SECOND, Lsn, NodeId, PartitionId, ReplicaId
from keystead_core.log.record import Kind
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import founding_membership
from keystead_core.replication.replica import CANDIDATE, FOLLOWER
from keystead_core.replication.settings import Settings
from tests.replication.rig import BOOT, GROUP, TARGETS, Rig, chain, elected, founding_record, point
from tests.replication.trio import Trio


@pytest.mark.parametrize("drift_ppm", [0, 20_000, 150_000])
def test_a_grant_outlasts_the_lease_by_the_fastest_clock(drift_ppm: int) -> None:
    settings = Settings(lease=1000 * MILLISECOND, drift_ppm=drift_ppm)
    fastest = 1 + Fraction(drift_ppm, 1_000_000)
    assert settings.granted / fastest >= settings.lease


RELEASE = msg.Release(GROUP, ReplicaId(2), BOOT, 5, point(chain(founding_record(), 5)[0]), ReplicaId(1))


@pytest.mark.parametrize(
    ("changes", "stands"),
    [
        ({}, True),
        ({"epoch": 4}, False),
        ({"boot": BOOT - 1}, False),
        ({"replica": ReplicaId(3)}, False),
        ({"successor": ReplicaId(3)}, False),
        ({"last": point(founding_record())}, False),
    ],
)
def test_a_release_is_void_for_any_other_epoch_boot_log_and_successor(changes: dict[str, object], stands: bool) -> None:
    """Schedule 11: one that comes late would end a lease that has been given to somebody else since."""
    rig = Rig([founding_record()])
    rig.append(2, 5, founding_record(), *chain(founding_record(), 5))
    rig.sync()
    rig.hear(TARGETS[1].node, msgspec.structs.replace(RELEASE, **changes))
    assert rig.replica.role == (CANDIDATE if stands else FOLLOWER)


def test_a_member_that_was_out_counts_again_only_once_others_know() -> None:
    rig = Rig([founding_record()])
    rig.replica.ineligible = "planned"
    rig.step(ev.Resume())
    rig.sync()
    assert rig.replica.unfit == "planned"
    rig.hear(TARGETS[1].node, msg.EligibilityReply(GROUP, ReplicaId(2), BOOT, False, ""))
    rig.sync()
    assert rig.replica.unfit == ""


def test_a_membership_change_waits_for_the_one_before() -> None:
    """Schedule 9."""
    rig = elected()
    more = [ReplicaTarget(ReplicaId(n), NodeId(f"n{n}"), "zone-a", "voter") for n in (4, 5)]
    rig.step(ev.SetTarget(GROUP, [*TARGETS, *more], 0, 1))
    rig.step(ev.SetTarget(GROUP, [*TARGETS, *more[::-1]], 0, 1))
    uncommitted = [lsn for lsn, _ in rig.replica.log.memberships if lsn > rig.replica.commit_lsn]
    assert len(uncommitted) == 1


def test_what_comes_behind_a_change_commits_with_it_where_the_new_members_have_it() -> None:
    """Found by the simulator (113879): where nobody else is left, no ack comes any more by which it could commit."""
    rig = elected()
    rig.step(ev.SetTarget(GROUP, TARGETS[:1], 0, 1))
    rig.sync()
    ack(rig, 3)
    rig.step(ev.Propose(GROUP, [(1, Kind.DATA, b"x")]))
    rig.sync()
    assert rig.replica.log.memberships[-1][0] == 4 and (rig.replica.commit_lsn, rig.replica.log.last_lsn) == (3, 5)
    ack(rig, 4)
    assert rig.replica.commit_lsn == 5


def test_a_full_voter_stays_until_another_who_could_stand_knows_the_members() -> None:
    """Found by the simulator (155142): the master was lost; of the two who were left the log-only one had everything,
    and could not stand, and the other did not know of it."""
    log_only = ReplicaTarget(ReplicaId(4), NodeId("d"), "zone-d", "log-only")
    rig = Rig([founding_record(founding_membership([*TARGETS, log_only], 0, 1, SECOND))])
    rig.now += 200_000
    rig.step(ev.Tick())
    others = {2: TARGETS[1].node, 3: TARGETS[2].node, 4: log_only.node}
    for number in (2, 4):
        rig.hear(others[number], msg.ProbeReply(GROUP, ReplicaId(number), BOOT, 0, 1, 1, 1, number == 2, ""))
    rig.sync()
    epoch = rig.replica.promised
    for number in (2, 4):
        rig.hear(others[number], msg.Support(GROUP, ReplicaId(number), BOOT, epoch, ReplicaId(1), BOOT, 1, 1, 1))
    rig.now += 100_000
    rig.step(ev.Tick())
    rig.sync()
    for number in (2, 4):
        rig.hear(others[number], msg.Appended(GROUP, ReplicaId(number), BOOT, epoch, 2, True, 0))
    rig.step(ev.Applied(GROUP, 2))
    rig.step(ev.SetTarget(GROUP, [TARGETS[0], TARGETS[2], log_only], 0, 1))
    assert rig.replica.log.last_lsn == 2
    assert rig.replica.why.endswith("no other full voter that stays has the last change yet")
    rig.hear(others[3], msg.Appended(GROUP, ReplicaId(3), BOOT, epoch, 2, True, 0))
    assert rig.replica.membership is not None and rig.replica.membership.member(ReplicaId(2)) is None


def ack(rig: Rig, lsn: Lsn) -> None:
    rig.hear(TARGETS[1].node, msg.Appended(GROUP, ReplicaId(2), BOOT, rig.replica.epoch, lsn, True, 0))


def test_a_read_by_quorum_waits_for_a_heartbeat_that_began_after_it() -> None:
    """However fresh the lease is: the clock that says so may have stood still."""
    trio = Trio(settings=Settings(lock="none", reads="quorum"))
    trio.run(3000 * MILLISECOND)
    trio.effects.clear()
    trio.step(trio.master(), ev.ReadWanted(PartitionId(1), 7))
    assert not any(isinstance(effect, ef.ReadReady) for _, effect in trio.effects)
    trio.run(10 * MILLISECOND)
    assert [effect.tokens for _, effect in trio.effects if isinstance(effect, ef.ReadReady)] == [[7]]
