"""A master and a member that its logs no longer reach."""

import msgspec
import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import SECOND, NodeId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.record import Kind, Record, make_record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import encode_membership
from tests.replication.rig import BOOT, FOUNDING, GROUP, TARGETS, Rig, chain, elected, founding_record, point, sent


def test_member_is_copied_when_the_cold_log_does_not_reach_it_and_asked_anew_behind_the_copy() -> None:
    """Sending on from where the member stood before its copy would end in the next copy, for ever."""
    rig = elected()
    epoch = rig.replica.epoch
    rig.replica.log.trim(2)
    third = TARGETS[2].node
    effects = rig.hear(third, msg.AppendMismatch(GROUP, ReplicaId(3), BOOT, epoch, 1, 0))
    assert any(isinstance(effect, ef.ReadCold) for effect in effects)
    point = rig.replica.log.base
    effects = rig.step(ev.ColdRead(GROUP, ReplicaId(3), point, b""))
    assert any(isinstance(effect, ef.SendCopy) for effect in effects)
    rig.step(ev.CopyFinished(GROUP, ReplicaId(3), True))
    rig.now += 1
    effects = rig.step(ev.Tick())
    (probe,) = sent([e for e in effects if isinstance(e, ef.Send) and e.to == third], msg.Append)
    assert probe.prev.lsn == 2
    assert not any(isinstance(effect, ef.ReadCold) for effect in effects)


def test_the_cold_log_stays_behind_a_copy_until_its_receiver_is_in_step() -> None:
    """Else a copy that takes longer than the cold log lasts would end behind it, and begin again for ever."""
    rig = elected()
    third = TARGETS[2].node
    assert kept(rig) == 0
    rig.step(ev.ColdRead(GROUP, ReplicaId(3), rig.replica.log.base, b""))
    assert kept(rig) == 2
    rig.step(ev.CopyFinished(GROUP, ReplicaId(3), True))
    assert kept(rig) == 2
    rig.hear(third, msg.Appended(GROUP, ReplicaId(3), BOOT, rig.replica.epoch, 2, True, 0))
    assert kept(rig) == 0


def test_the_cold_log_stays_whole_while_a_member_cannot_be_copied() -> None:
    """A log-only voter is brought level by log records alone."""
    rig = elected()
    rig.step(ev.SetTarget(GROUP, [*TARGETS, ReplicaTarget(ReplicaId(4), NodeId("d"), "zone-a", "log-only")], 0, 1))
    assert rig.replica.membership is not None and len(rig.replica.membership.members) == 4
    rig.sync()
    assert kept(rig) == 1


def test_a_master_does_not_give_up_while_it_waits_only_for_a_copy() -> None:
    """Found by the simulator (119224): the next master would begin the same copy anew, and so on."""
    rig = elected()
    rig.step(ev.ColdRead(GROUP, ReplicaId(3), rig.replica.log.base, b""))
    rig.step(ev.Propose(GROUP, [(1, Kind.DATA, b"x")]))
    rig.sync()
    rig.pass_time(3 * SECOND)
    assert rig.replica.role == "master"
    rig.step(ev.CopyFinished(GROUP, ReplicaId(3), False))
    rig.pass_time(2 * SECOND)
    assert rig.replica.role != "master"


def test_a_master_gives_up_where_the_receiver_of_a_copy_is_lost() -> None:
    rig = elected()
    rig.step(ev.ColdRead(GROUP, ReplicaId(3), rig.replica.log.base, b""))
    rig.step(ev.Propose(GROUP, [(1, Kind.DATA, b"x")]))
    rig.sync()
    rig.step(ev.PeerLost(TARGETS[2].node))
    rig.pass_time(2 * SECOND)
    assert rig.replica.role != "master"


def follower_of_b(records: list[Record]) -> Rig:
    """Node `a` holds the records and follows the master of epoch 5, which is `b`."""
    rig = Rig(records, promised=1)
    rig.append(2, 5, chain(records[-1], 5)[0])
    rig.sync()
    return rig


@pytest.mark.parametrize(("base_lsn", "counts"), [(9, True), (2, False)])
def test_a_slow_voter_counts_again_with_its_copy_if_that_reaches_as_far_as_its_own_log(
    base_lsn: int, counts: bool
) -> None:
    """Where one member is lost, the group needs the one that was only slow; but not one that forgot what it acked."""
    records = [founding_record(), *chain(founding_record(), 1, 1)]
    rig = follower_of_b(records)
    base = LogPoint(5, base_lsn, 77) if base_lsn > 3 else point(records[1])
    install_copy(rig, 5, base)
    assert (rig.replica.unfit == "") == counts


@pytest.mark.parametrize(("base_epoch", "counts"), [(6, True), (5, False), (1, False)])
def test_a_former_master_counts_again_with_a_copy_that_ends_in_a_later_epoch_than_its_own_records(
    base_epoch: int, counts: bool
) -> None:
    """Found by the simulator (600339): cut off, it had appended more than was ever committed; what it had of that is
    nobody's. With one of four voters lost, the group waited for its ack, and it for a commit."""
    branch = chain(founding_record(), 1, *[5] * 8)
    rig = Rig([founding_record(), *branch], promised=5)
    rig.sync()
    install_copy(rig, 8, LogPoint(base_epoch, 4, 77))
    assert (rig.replica.unfit == "") == counts


def install_copy(rig: Rig, epoch: int, base: LogPoint) -> None:
    """A copy of the master of `epoch` takes the place of the log, durably."""
    rig.step(ev.CopyArrived(GROUP, 1, epoch, base, encode_membership(FOUNDING)))
    assert rig.replica.unfit
    rig.sync()
    rig.step(ev.CopyInstalled(GROUP, 1))
    rig.sync()


@pytest.mark.parametrize("voter", [True, False])
def test_a_member_whose_rows_are_lost_counts_only_once_it_has_all_that_it_may_have_acked(voter: bool) -> None:
    """Found by the simulator (121788): a learner may be promoted for what it acked before it lost its log."""
    own, *others = FOUNDING.members
    founding = msgspec.structs.replace(FOUNDING, members=(msgspec.structs.replace(own, voter=voter), *others))
    first = founding_record(founding)
    rig = Rig([first])
    rig.append(2, 5, first, *chain(first, 5))
    rig.sync()
    rig.step(ev.RowsLost(GROUP))
    rig.step(ev.CopyArrived(GROUP, 1, 5, LogPoint(5, 2, 77), encode_membership(founding)))
    rig.sync()
    rig.step(ev.CopyInstalled(GROUP, 1))
    rig.sync()
    assert rig.replica.unfit


def test_a_member_whose_going_is_not_committed_and_whose_rows_are_lost_does_not_count() -> None:
    """Found by the simulator (650156): it had acked records, gave up its log, and counted as one that never had any."""
    first = founding_record()
    (data,) = chain(first, 5)
    without = msgspec.structs.replace(FOUNDING, members=FOUNDING.members[1:], version=FOUNDING.version + 1, epoch=5)
    going = make_record(GROUP, 5, 3, Kind.MEMBERSHIP, without.version, data.hash, 0, encode_membership(without))
    rig = Rig([first])
    rig.append(2, 5, first, data, going)
    rig.sync()
    assert rig.replica.own_member is None and rig.replica.commit_lsn < 3 and not rig.replica.unfit
    rig.step(ev.RowsLost(GROUP))
    assert rig.replica.unfit


def kept(rig: Rig) -> int:
    """From which LSN on a segment sealed now would leave the cold log alone."""
    (seal,) = [effect for effect in rig.step(ev.SealWanted(GROUP)) if isinstance(effect, ef.Seal)]
    rig.step(ev.Sealed(GROUP, EMPTY_LOG))
    return seal.keep_lsn
