"""What nodes say to each other while nobody asks for anything, and that their leases hold all the same."""

from collections import Counter

from keystead_core.ids import MILLISECOND, SECOND, PartitionId
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.settings import Settings
from tests.replication.trio import Trio

GROUPS = 60
WATCHED_SECONDS = 10


def idle_trio() -> Trio:
    trio = Trio(GROUPS)
    trio.run(10 * SECOND)
    for group in range(1, GROUPS + 1):
        trio.put(trio.master(group), group)
    trio.run(2 * SECOND)
    return trio


def test_two_idle_nodes_exchange_ten_messages_a_second() -> None:
    """A heartbeat of each way every 200 ms; the replies travel with them. So many for a thousand groups as for one."""
    trio = idle_trio()
    assert {trio.master(group) for group in range(1, GROUPS + 1)} == set(trio.nodes)
    trio.sent.clear()
    trio.run(WATCHED_SECONDS * SECOND)
    pairs = Counter(frozenset((sender, receiver)) for sender, receiver, _ in trio.sent)
    assert len(pairs) == 3
    assert max(pairs.values()) <= 10 * WATCHED_SECONDS
    assert {type(message) for _, _, message in trio.sent} == {msg.Heartbeat}


def test_lease_of_an_idle_group_never_lapses() -> None:
    trio = idle_trio()
    for _ in range(300):
        trio.run(17 * MILLISECOND)
        for group in range(1, GROUPS + 1):
            master = trio.nodes[trio.master(group)]
            assert master.read_refusal(PartitionId(group), trio.now) == ""


def test_heartbeat_is_answered_at_once_where_the_receiver_sends_none_itself() -> None:
    trio = Trio(1)
    trio.run(5 * SECOND)
    trio.sent.clear()
    trio.run(SECOND)
    kinds = Counter(type(message) for _, _, message in trio.sent)
    assert kinds[msg.Heartbeat] == kinds[msg.HeartbeatReply] == 10


def test_reads_by_quorum_do_not_wait_for_the_next_heartbeat() -> None:
    """The heartbeats of a round of reads are urgent: each is answered when it arrives."""

    trio = Trio(GROUPS, Settings(lock="none", reads="quorum"))
    trio.run(12 * SECOND)
    trio.effects.clear()
    trio.step(trio.master(1), ev.ReadWanted(PartitionId(1), 77))
    trio.run(MILLISECOND)
    ready = [effect.tokens for _, effect in trio.effects if isinstance(effect, ef.ReadReady)]
    assert ready == [[77]]
