"""Records that a volume lost: fetched from peers, or dropped where they surely never were durable."""

import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import SECOND, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, SnipEntry
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import founding_membership
from tests.replication.rig import BOOT, GROUP, TARGETS, A, B, C, Rig, chain, founding_record, sent

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


def test_whom_to_ask_is_the_catalogs_word_where_the_record_that_names_them_is_lost() -> None:
    """Found by the simulator (121041): a voter whose founding record had rotted asked nobody, for ever."""
    rig = Rig([], damaged=[TOGETHER])
    assert not sent(rig.effects, msg.RepairRequest)
    rig.step(ev.SetTarget(GROUP, TARGETS, 0, 1))
    rig.now += SECOND
    asked = rig.step(ev.Tick())
    assert len(sent(asked, msg.RepairRequest)) == 2
    rig.hear(B, msg.RepairReply(GROUP, ReplicaId(2), BOOT, 1, TOGETHER.raw, True))
    rig.sync()
    assert rig.replica.membership is not None and rig.replica.unfit == ""


def test_who_stands_for_election_is_asked_too_where_the_catalog_does_not_want_it_any_more() -> None:
    """Found by the simulator (897835): the one candidate waited for the support of a voter whose founding record had
    rotted, and the voter asked only those who were to follow both."""
    rig = Rig([], damaged=[TOGETHER])
    rig.step(ev.SetTarget(GROUP, [TARGETS[0], TARGETS[2]], 0, 1))
    (refusal,) = sent(rig.hear(B, msg.SupportRequest(GROUP, ReplicaId(2), BOOT, 5, None)), msg.SupportRefused, B)
    assert refusal.unfit == "damaged"
    rig.now += SECOND
    asked = rig.step(ev.Tick())
    assert [len(sent(asked, msg.RepairRequest, node)) for node in (B, C)] == [1, 1]


@pytest.mark.parametrize("found", [True, False])
def test_who_has_a_record_only_in_its_cold_log_reads_it_from_there(found: bool) -> None:
    (second,) = chain(TOGETHER, 1)
    rig = Rig([TOGETHER, second])
    rig.replica.log.trim(2)
    request = msg.RepairRequest(GROUP, ReplicaId(2), BOOT, 1, TOGETHER.hash)
    (read,) = [e for e in rig.hear(B, request) if isinstance(e, ef.ReadCold)]
    assert (read.peer, read.after_lsn) == (2, 0)
    answer = rig.step(ev.ColdRead(GROUP, ReplicaId(2), EMPTY_LOG, TOGETHER.raw if found else b""))
    (reply,) = sent(answer, msg.RepairReply, B)
    assert (reply.record, reply.certain) == (TOGETHER.raw if found else b"", False)


def test_a_replica_stands_once_it_has_been_repaired() -> None:
    """Found by the simulator (127102): it did not stand while it was damaged, and nobody told it when it could."""
    first, second = chain(TOGETHER, 1, 1)
    rig = Rig([TOGETHER, first], damaged=[second])
    rig.pass_time(2 * SECOND)
    assert rig.replica.why.startswith("cannot stand")
    rig.hear(B, msg.RepairReply(GROUP, ReplicaId(2), BOOT, 3, second.raw, True))
    rig.sync()
    rig.effects.clear()
    rig.pass_time(2 * SECOND)
    assert sent(rig.effects, msg.Probe)
