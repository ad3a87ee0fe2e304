"""A master and a member that its logs no longer reach."""

from keystead_core.ids import ReplicaId
from keystead_core.log.entries import EMPTY_LOG
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, GROUP, TARGETS, Rig, elected, sent


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


def kept(rig: Rig) -> int:
    """From which LSN on a segment sealed now would leave the cold log alone."""
    (seal,) = [effect for effect in rig.step(ev.SealWanted(GROUP)) if isinstance(effect, ef.Seal)]
    rig.step(ev.Sealed(GROUP, EMPTY_LOG))
    return seal.keep_lsn
