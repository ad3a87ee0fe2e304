"""A group that is given up (docs/decisions/0012): its replicas take part no more, and no old volume leads it."""

import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import CATALOG_PARTITION, SECOND, Epoch, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, LogPoint, StateEntry
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import founding_membership
from keystead_core.replication.node import Node
from keystead_core.replication.replica import RETIRED
from keystead_core.replication.settings import Settings
from tests.replication.rig import (
    BOOT,
    FOUNDING,
    GROUP,
    A,
    B,
    Rig,
    chain,
    elected,
    founding_record,
    sent,
)
from tests.replication.trio import Trio

FIRST = founding_record()
OTHER = PartitionId(9)


def retired(effects: list[ef.Effect]) -> list[ef.Retired]:
    return [effect for effect in effects if isinstance(effect, ef.Retired)]


def with_tail() -> Rig:
    """A follower that has two records more than it knows to be committed."""
    rig = Rig([FIRST])
    rig.append(2, 2, FIRST, *chain(FIRST, 2, 2))
    rig.sync()
    assert (rig.replica.commit_lsn, rig.replica.log.last_lsn) == (1, 3)
    return rig


def retire(rig: Rig) -> ef.Retired:
    rig.step(ev.Retire(GROUP, ReplicaId(1)))
    (answer,) = retired(rig.sync())
    return answer


def test_it_is_told_once_it_is_durable_and_each_time_that_it_is_asked() -> None:
    rig = with_tail()
    assert retired(rig.step(ev.Retire(GROUP, ReplicaId(1)))) == []
    (answer,) = retired(rig.sync())
    assert answer == ef.Retired(GROUP, ReplicaId(1), rig.replica.log.last, True)
    assert answer.last.lsn == 3, "what may have been acknowledged behind the known commit LSN is counted"
    assert retired(rig.step(ev.Retire(GROUP, ReplicaId(1)))) == [answer]


def test_it_supports_nobody_and_takes_and_acks_nothing() -> None:
    rig = with_tail()
    retire(rig)
    last, promised = rig.replica.log.last, rig.replica.promised
    asked = rig.hear(B, msg.SupportRequest(GROUP, ReplicaId(2), BOOT, 9, None))
    (refused,) = sent(asked, msg.SupportRefused)
    assert refused.unfit == RETIRED and not sent(asked, msg.Support)
    record = chain(chain(FIRST, 2, 2)[-1], 9)
    effects = rig.append(2, 9, chain(FIRST, 2, 2)[-1], *record, commit=3)
    effects += rig.sync()
    assert not sent(effects, msg.Appended)
    assert (rig.replica.log.last, rig.replica.promised, rig.replica.commit_lsn) == (last, promised, 1)


def test_it_never_stands_and_a_restart_does_not_forget_it() -> None:
    rig = with_tail()
    retire(rig)
    rig.pass_time(5 * SECOND)
    assert rig.replica.role == "follower" and rig.replica.promised == 2
    found = rig.recovered([FIRST, *chain(FIRST, 2, 2)], rig.replica.state())
    again = Node(Settings(lock="none"), A, BOOT + (1 << 16), [found], 0, 1)
    again.start(0)
    again.step(ev.Registered(), 0)
    again.step(ev.Resume(), 0)
    assert again.replicas[GROUP].unfit == RETIRED


def test_a_master_that_is_told_serves_no_more() -> None:
    rig = elected()
    effects = rig.step(ev.Retire(GROUP, ReplicaId(1)))
    assert any(isinstance(effect, ef.Deposed) for effect in effects)
    assert rig.node.proposal_refusal(GROUP)


@pytest.mark.parametrize("event", [ev.RowsLost(GROUP), ev.CopyArrived(GROUP, 1, 9, LogPoint(9, 90, 5), b"")])
def test_nothing_that_is_lost_or_copied_later_makes_it_count_again(event: ev.Event) -> None:
    rig = with_tail()
    retire(rig)
    rig.step(event)
    rig.sync()
    assert rig.replica.unfit == RETIRED and not rig.replica.staged


def test_lost_rows_are_no_survivors() -> None:
    rig = with_tail()
    rig.step(ev.RowsLost(GROUP))
    answer = retire(rig)
    assert (answer.last, answer.has_rows) == (EMPTY_LOG, False)


def test_all_of_its_log_goes_into_its_rows_when_another_group_goes_on_from_it() -> None:
    rig = with_tail()
    rig.step(ev.Conclude(GROUP))
    assert rig.replica.commit_lsn == 1, "not before it takes part no more"
    retire(rig)
    applied = [e for e in rig.step(ev.Conclude(GROUP)) if isinstance(e, ef.Apply)]
    assert [record.lsn for effect in applied for record in effect.records] == [2, 3]


def test_where_there_is_none_none_is_ever_made() -> None:
    """A founder that had not made its replica yet would make it by an older map, and its vote would count."""
    rig = Rig([FIRST])
    rig.step(ev.Retire(OTHER, ReplicaId(5)))
    (answer,) = retired(rig.sync())
    assert answer == ef.Retired(OTHER, ReplicaId(0), EMPTY_LOG, False)
    states = [e for effect in rig.effects if isinstance(effect, ef.Persist) for e in effect.entries]
    assert [e.state.dropped for e in states if isinstance(e, StateEntry) and e.partition == OTHER] == [True]
    rig.step(ev.HostReplica(OTHER, ReplicaId(5), FOUNDING))
    assert OTHER not in rig.node.replicas


# -- the gate ---------------------------------------------------------------------------------------------------------


def unregistered(partition: PartitionId = GROUP) -> Node:
    """A founder that was started, and that no catalog has taken in."""
    alone = founding_membership([ReplicaTarget(ReplicaId(1), A, "zone-a", "voter")], 0, 1, SECOND)
    node = Node(Settings(lock="none"), A, BOOT, [], 0, 1)
    node.step(ev.HostReplica(partition, ReplicaId(1), alone), 0)
    return node


def pass_time(node: Node, start: int, seconds: int) -> None:
    for now in range(start, start + seconds * SECOND, SECOND // 10):
        node.step(ev.Tick(), now)
        node.step(ev.Synced(node._sequence), now)


def test_nobody_leads_before_the_catalog_has_taken_its_node_in() -> None:
    node = unregistered()
    pass_time(node, 0, 10)
    assert node.replicas[GROUP].role == "follower"
    assert "the catalog has not taken this node in" in node.replicas[GROUP].why
    node.step(ev.Registered(), 10 * SECOND)
    pass_time(node, 10 * SECOND, 2)
    assert node.replicas[GROUP].role == "master"


def test_the_catalogs_own_group_waits_for_nobody() -> None:
    node = unregistered(CATALOG_PARTITION)
    pass_time(node, 0, 3)
    assert node.replicas[CATALOG_PARTITION].role == "master"


def test_a_mastership_is_not_taken_over_by_a_node_that_may_not_lead() -> None:
    rig = with_tail()
    rig.node.registered = False
    last = rig.replica.log.last
    effects = rig.hear(B, msg.Release(GROUP, ReplicaId(2), BOOT, Epoch(2), last, ReplicaId(1)))
    assert rig.replica.role == "follower" and not sent(effects, msg.SupportRequest)
    rig.node.registered = True
    rig.hear(B, msg.Release(GROUP, ReplicaId(2), BOOT, Epoch(2), last, ReplicaId(1)))
    assert rig.replica.role == "candidate"


@pytest.mark.parametrize("given_up", [1, 2])
def test_a_group_with_a_voter_that_was_not_restarted_needs_no_catalog(given_up: int) -> None:
    """The others are started again, while the catalog is away."""
    trio = Trio()
    group = PartitionId(2)
    targets = [ReplicaTarget(ReplicaId(n + 1), node, f"z{n}", "voter") for n, node in enumerate(trio.nodes)]
    for node in list(trio.nodes.values())[:given_up]:
        node.registered = False
    for target in targets:
        trio.step(target.node, ev.HostReplica(group, target.replica, founding_membership(targets, 0, 1, SECOND)))
    trio.run(10 * SECOND)
    assert trio.master(2) in list(trio.nodes)[given_up:]


def test_old_volumes_alone_lead_nothing_however_many_they_are() -> None:
    trio = Trio()
    group = PartitionId(2)
    targets = [ReplicaTarget(ReplicaId(n + 1), node, f"z{n}", "voter") for n, node in enumerate(trio.nodes)]
    for node in trio.nodes.values():
        node.registered = False
    for target in targets:
        trio.step(target.node, ev.HostReplica(group, target.replica, founding_membership(targets, 0, 1, SECOND)))
    trio.run(20 * SECOND)
    assert {node.replicas[group].role for node in trio.nodes.values()} == {"follower"}
    assert not [m for _, _, m in trio.sent if isinstance(m, msg.SupportRequest) and m.partition == group]


def test_a_survivor_that_is_retired_helps_no_old_volume_though_it_is_registered() -> None:
    trio = Trio()
    trio.run(2 * SECOND)
    group = PartitionId(2)
    targets = [ReplicaTarget(ReplicaId(n + 1), node, f"z{n}", "voter") for n, node in enumerate(trio.nodes)]
    founding = founding_membership(targets, 0, 1, SECOND)
    survivor, *old = trio.nodes
    for name in old:
        trio.nodes[name].registered = False
    for target in targets:
        trio.step(target.node, ev.HostReplica(group, target.replica, founding))
    trio.step(NodeId(survivor), ev.Retire(group, ReplicaId(1)))
    trio.run(20 * SECOND)
    assert {node.replicas[group].role for node in trio.nodes.values()} == {"follower"}
    for name in old:  # And if they were let in all the same, the retired one is no help.
        trio.step(name, ev.Registered())
    trio.run(5 * SECOND)
    assert trio.nodes[survivor].replicas[group].log.last_lsn == 1
