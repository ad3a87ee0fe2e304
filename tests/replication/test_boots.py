"""Whose word about starts of volumes counts."""

import pytest

from keystead_core.ids import Boot
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from tests.replication.rig import BOOT, B, Rig, founding_record

LATER = Boot((BOOT >> 16) + 2 << 16)


def renounces(rig: Rig, boot_of_sender: Boot) -> bool:
    refusal = msg.BootRefused(BOOT, LATER)
    return any(isinstance(one, ef.RenounceIdentity) for one in rig.step(ev.Received(B, boot_of_sender, refusal)))


def test_a_volume_that_others_saw_start_later_is_given_up() -> None:
    assert renounces(Rig([founding_record()]), BOOT)


@pytest.mark.parametrize("boot", [BOOT, Boot((BOOT >> 16) + 1 << 16)], ids=["the same boot", "a later one"])
def test_a_peer_that_is_known_and_did_not_go_back_is_believed(boot: Boot) -> None:
    rig = Rig([founding_record()])
    rig.step(ev.Received(B, BOOT, msg.Probe(rig.replica.partition, rig.replica.id, BOOT)))
    assert renounces(rig, boot)


def test_what_an_old_copy_of_a_peers_volume_has_seen_counts_for_nothing() -> None:
    """Found by the simulator (402188): two copies that had seen each other made the real node give up its identity."""
    rig = Rig([founding_record()])
    rig.step(ev.Received(B, LATER, msg.Probe(rig.replica.partition, rig.replica.id, LATER)))
    assert not renounces(rig, Boot(LATER - (1 << 16)))
    assert not renounces(rig, Boot(LATER + 1))
