"""Records that a volume lost: fetched from peers, or dropped where they surely never were durable."""

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import SECOND, ReplicaId
from keystead_core.log.entries import SnipEntry
from keystead_core.replication import effects as ef
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import founding_membership
from tests.replication.rig import A, Rig, chain, founding_record, sent

ALONE = founding_record(founding_membership([ReplicaTarget(ReplicaId(1), A, "zone-a", "voter")], 0, 1, SECOND))
TOGETHER = founding_record()


def snips(effects: list[ef.Effect]) -> list[SnipEntry]:
    return [e for p in effects if isinstance(p, ef.Persist) for e in p.entries if isinstance(e, SnipEntry)]


def test_the_only_voter_takes_what_its_last_batch_lost_for_never_synced() -> None:
    """Found by the simulator: a power loss that left an index copy alone ended a group of one for ever."""
    first, second = chain(ALONE, 1, 1)
    rig = Rig([ALONE, first], damaged=[second], doubtful=True)
    assert [snip.first_lsn for snip in snips(rig.effects)] == [3]
    assert rig.replica.unfit == ""


def test_the_only_voter_never_drops_what_it_had_synced() -> None:
    first, second = chain(ALONE, 1, 1)
    rig = Rig([ALONE, first], damaged=[second])
    assert snips(rig.effects) == []
    assert rig.replica.unfit == "damaged"


def test_a_voter_with_peers_asks_them_whatever_it_doubts() -> None:
    first, second = chain(TOGETHER, 1, 1)
    rig = Rig([TOGETHER, first], damaged=[second], doubtful=True)
    assert snips(rig.effects) == []
    assert len(sent(rig.effects, msg.RepairRequest)) == 2
