"""Splits in a group's log: when one is appended, what is refused from then on, and how the right group begins."""

import msgspec
import pytest

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import SECOND, Lsn, NodeId, PartitionId, ReplicaId
from keystead_core.indexes.feed import encode_feed
from keystead_core.log.entries import LogPoint, RecoveredReplica, StateEntry
from keystead_core.log.ops import encode_change
from keystead_core.log.record import Kind, make_record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.node import Node
from keystead_core.replication.settings import Settings
from keystead_core.replication.splitting import OUT_OF_RANGE
from keystead_core.split.record import Split, encode_split, membership_of
from tests.replication.rig import BOOT, GROUP, TARGETS, Rig, elected, founding_record
from tests.replication.trio import Trio

RIGHT = PartitionId(70)
MEMBERS = tuple(ReplicaTarget(ReplicaId(n + 11), t.node, t.zone, "voter") for n, t in enumerate(TARGETS))
SPLIT = Split(RIGHT, b"", b"m", None, MEMBERS, 0, 1, SECOND)


def ack(rig: Rig, member: int, lsn: Lsn, known: Lsn = -1) -> list[ef.Effect]:
    """A follower has everything up to `lsn`, and knows that what is at `known` is committed."""
    replica = ReplicaId(member)
    epoch = rig.replica.epoch
    return rig.hear(TARGETS[member - 1].node, msg.Appended(GROUP, replica, BOOT, epoch, lsn, True, 0, known))


def leading() -> Rig:
    """Node `a` leads epoch 2, and both others have all of its two records."""
    rig = elected()
    ack(rig, 3, 2)
    return rig


def propose(rig: Rig, split: Split = SPLIT) -> list[ef.Effect]:
    return rig.step(ev.ProposeSplit(GROUP, encode_split(split)))


def splits(rig: Rig) -> list[tuple[Lsn, Split]]:
    return rig.replica.log.splits


def put(rig: Rig, *keys: bytes, token: int = 1) -> list[ef.Effect]:
    proposals = [(token + n, Kind.DATA, encode_change(key, b"v")) for n, key in enumerate(keys)]
    return rig.step(ev.Propose(GROUP, proposals))


def refused(effects: list[ef.Effect]) -> dict[int, str]:
    found = [effect for effect in effects if isinstance(effect, ef.ProposalRefused)]
    return {token: effect.reason for effect in found for token in effect.tokens}


def taken(effects: list[ef.Effect]) -> list[int]:
    return [token for effect in effects if isinstance(effect, ef.Proposed) for token in effect.tokens]


# -- when it is appended --------------------------------------------------------------------------------------------


def test_a_split_is_a_record_that_goes_to_all_members() -> None:
    rig = leading()
    effects = propose(rig)
    assert splits(rig) == [(3, SPLIT)]
    assert {effect.to for effect in effects if isinstance(effect, ef.Send)} >= {TARGETS[1].node}
    assert rig.replica.log.records[-1].kind == Kind.SPLIT


def test_no_split_while_a_change_of_members_is_uncommitted() -> None:
    rig = leading()
    rig.step(ev.SetTarget(GROUP, TARGETS[:2], 0, 1))
    propose(rig)
    assert splits(rig) == [] and "another change is uncommitted" in rig.replica.why


def test_no_split_while_another_is_uncommitted() -> None:
    rig = leading()
    propose(rig)
    other = msgspec.structs.replace(SPLIT, right=PartitionId(71), at=b"f", high=b"m")
    propose(rig, other)
    assert splits(rig) == [(3, SPLIT)] and "another split is uncommitted" in rig.replica.why
    rig.sync()
    ack(rig, 2, 3)
    propose(rig, other)
    assert [lsn for lsn, _ in splits(rig)] == [3, 4]


def test_a_split_is_appended_once() -> None:
    rig = leading()
    propose(rig)
    rig.sync()
    ack(rig, 2, 3)
    propose(rig)
    assert splits(rig) == [(3, SPLIT)] and "in the log already" in rig.replica.why


@pytest.mark.parametrize(("at", "high"), [(b"m", None), (b"x", None), (b"f", None), (b"f", b"p")])
def test_a_range_is_given_away_once(at: bytes, high: bytes | None) -> None:
    """The shell may have read the range before the split that narrowed it was applied."""
    rig = leading()
    propose(rig)
    rig.sync()
    ack(rig, 2, 3)
    propose(rig, msgspec.structs.replace(SPLIT, right=PartitionId(71), at=at, high=high))
    assert splits(rig) == [(3, SPLIT)] and "has gone to another partition" in rig.replica.why


def test_no_split_before_the_master_serves_or_by_a_follower() -> None:
    rig = Rig([founding_record()])
    propose(rig)
    assert splits(rig) == [] and "does not serve yet" in rig.replica.why


def test_no_split_with_a_member_that_is_not_level() -> None:
    rig = elected()
    propose(rig)
    assert splits(rig) == [] and "the copy on node c is not level yet" in rig.replica.why
    ack(rig, 3, 2)
    propose(rig)
    assert splits(rig) == [(3, SPLIT)]


def test_no_split_with_a_member_that_is_silent() -> None:
    rig = leading()
    for _ in range(20):
        rig.pass_time(SECOND // 10)
        ack(rig, 2, 2)
    propose(rig)
    assert splits(rig) == [] and "the copy on node c is not level yet" in rig.replica.why


def with_copy() -> tuple[Rig, Split]:
    """Node `d` is to have a right replica in the place of `c`, and is a learner from record 3 on."""
    rig = leading()
    d = NodeId("d")
    rig.step(ev.SetTarget(GROUP, [*TARGETS, ReplicaTarget(ReplicaId(4), d, "zone-d", "learner")], 0, 1))
    rig.sync()
    ack(rig, 2, 3)
    ack(rig, 3, 3)
    assert rig.replica.commit_lsn == 3
    members = (*MEMBERS[:2], ReplicaTarget(ReplicaId(14), d, "zone-d", "voter"))
    return rig, msgspec.structs.replace(SPLIT, members=members)


def test_no_split_where_a_member_has_no_copy() -> None:
    rig = leading()
    members = (*MEMBERS[:2], ReplicaTarget(ReplicaId(14), NodeId("d"), "zone-d", "voter"))
    propose(rig, msgspec.structs.replace(SPLIT, members=members))
    assert splits(rig) == [] and "node d has no copy of the rows" in rig.replica.why


def test_a_split_waits_for_the_copy_to_be_level() -> None:
    rig, split = with_copy()
    propose(rig, split)
    assert splits(rig) == [] and "the copy on node d is not level yet" in rig.replica.why
    epoch = rig.replica.epoch
    rig.hear(NodeId("d"), msg.Appended(GROUP, ReplicaId(4), BOOT, epoch, 3, True, 0))
    propose(rig, split)
    assert splits(rig) == [(4, split)]


def test_no_split_onto_a_log_without_rows() -> None:
    rig = leading()
    rig.step(ev.SetTarget(GROUP, [*TARGETS, ReplicaTarget(ReplicaId(4), NodeId("d"), "zone-d", "log-only")], 0, 1))
    rig.sync()
    ack(rig, 2, 3)
    ack(rig, 3, 3)
    members = (*MEMBERS[:2], ReplicaTarget(ReplicaId(14), NodeId("d"), "zone-d", "voter"))
    propose(rig, msgspec.structs.replace(SPLIT, members=members))
    assert splits(rig) == []


# -- who takes part stays --------------------------------------------------------------------------------------------


def test_who_is_to_make_a_right_replica_stays_until_it_knows_of_the_commit() -> None:
    """With all of them removed just behind the split, nobody would begin the right group."""
    rig, split = with_copy()
    d, epoch = NodeId("d"), rig.replica.epoch
    rig.hear(d, msg.Appended(GROUP, ReplicaId(4), BOOT, epoch, 3, True, 0))
    propose(rig, split)
    rig.sync()
    ack(rig, 2, 4)
    rig.hear(d, msg.Appended(GROUP, ReplicaId(4), BOOT, epoch, 4, True, 0, 3))
    assert rig.replica.commit_lsn == 4
    rig.step(ev.SetTarget(GROUP, TARGETS, 0, 1))
    assert rig.replica.membership is not None
    assert rig.replica.membership.member(ReplicaId(4)) is not None
    assert "has not heard yet that the split is committed" in rig.replica.why
    rig.hear(d, msg.Appended(GROUP, ReplicaId(4), BOOT, epoch, 4, True, 0, 4))
    rig.step(ev.Tick())
    assert rig.replica.membership is not None and rig.replica.membership.member(ReplicaId(4)) is None


def test_who_cannot_be_heard_of_is_not_waited_for() -> None:
    rig, split = with_copy()
    d, epoch = NodeId("d"), rig.replica.epoch
    rig.hear(d, msg.Appended(GROUP, ReplicaId(4), BOOT, epoch, 3, True, 0))
    propose(rig, split)
    rig.sync()
    ack(rig, 2, 4)
    rig.step(ev.PeerLost(d))
    rig.step(ev.SetTarget(GROUP, TARGETS, 0, 1))
    assert rig.replica.membership is not None and rig.replica.membership.member(ReplicaId(4)) is None


# -- writes and reads -------------------------------------------------------------------------------------------------


def test_writes_of_the_right_range_are_refused_from_appending_on() -> None:
    rig = leading()
    assert taken(put(rig, b"z")) == [1]
    propose(rig)
    effects = put(rig, b"a", b"m", b"l\xff", b"z", token=10)
    assert refused(effects) == {11: OUT_OF_RANGE, 13: OUT_OF_RANGE}
    assert taken(effects) == [10, 12]
    effects = put(rig, b"z", token=20)
    assert (refused(effects), taken(effects)) == ({20: OUT_OF_RANGE}, [])


def test_a_write_of_several_rows_is_refused_whole() -> None:
    rig = leading()
    propose(rig)
    body = encode_change(b"a", b"v") + encode_change(b"z", None)
    assert refused(rig.step(ev.Propose(GROUP, [(1, Kind.DATA, body)]))) == {1: OUT_OF_RANGE}


def test_a_feed_with_an_entry_of_the_right_range_is_refused_whole() -> None:
    rig = leading()
    propose(rig)
    left = encode_feed(PartitionId(7), 5, [(b"a", b"v")])
    both = encode_feed(PartitionId(8), 5, [(b"a", b"v"), (b"z", None)])
    none = encode_feed(PartitionId(9), 5, [])
    effects = rig.step(ev.Propose(GROUP, [(n, Kind.INDEX_FEED, body) for n, body in enumerate((left, both, none), 1)]))
    assert (refused(effects), taken(effects)) == ({2: OUT_OF_RANGE}, [1, 3])


def test_records_about_no_row_are_taken_behind_a_split() -> None:
    rig = leading()
    propose(rig)
    assert taken(rig.step(ev.Propose(GROUP, [(1, Kind.TABLE_DEFINITION, b"zz")]))) == [1]


def inherited() -> Rig:
    """Node `a` has an uncommitted split of epoch 1 in its log, and leads epoch 2."""
    first = founding_record()
    record = make_record(GROUP, 1, 2, Kind.SPLIT, 1, first.hash, 0, encode_split(SPLIT))
    rig = Rig([first, record])
    rig.now += 200_000
    rig.step(ev.Tick())
    rig.hear(TARGETS[1].node, msg.ProbeReply(GROUP, ReplicaId(2), BOOT, 0, 1, 1, 1, True, ""))
    rig.sync()
    epoch = rig.replica.promised
    rig.hear(TARGETS[1].node, msg.Support(GROUP, ReplicaId(2), BOOT, epoch, ReplicaId(1), BOOT, 1, 1, 1))
    rig.now += 100_000
    rig.step(ev.Tick())
    rig.sync()
    return rig


def test_a_new_master_that_inherits_a_split_takes_no_write_of_the_right_range() -> None:
    rig = inherited()
    assert splits(rig) == [(2, SPLIT)]
    ack(rig, 2, 3)
    rig.step(ev.Applied(GROUP, 3))
    effects = put(rig, b"a", b"z")
    assert (refused(effects), taken(effects)) == ({2: OUT_OF_RANGE}, [1])


def test_reads_of_the_right_range_end_with_the_commit_before_anybody_is_told_of_it() -> None:
    rig = leading()
    propose(rig)
    rig.sync()
    node = rig.node
    assert node.is_read_here(GROUP, b"z") and node.reads_to(GROUP, None)
    seen: list[bool] = []
    emit = node.emit

    def look(effect: ef.Effect) -> None:
        said = (
            effect.message.commit_lsn if isinstance(effect, ef.Send) and isinstance(effect.message, msg.Append) else 0
        )
        if said >= 3 or isinstance(effect, ef.Apply):
            seen.append(node.is_read_here(GROUP, b"z"))
        emit(effect)

    node.emit = look  # type: ignore[method-assign]
    ack(rig, 2, 3)
    rig.pass_time(SECOND // 2)
    assert seen and not any(seen)
    assert not node.is_read_here(GROUP, b"m") and node.is_read_here(GROUP, b"l")
    assert not node.reads_to(GROUP, None) and not node.reads_to(GROUP, b"n") and node.reads_to(GROUP, b"m")


def test_a_split_that_was_snipped_is_forgotten() -> None:
    first = founding_record()
    record = make_record(GROUP, 1, 2, Kind.SPLIT, 1, first.hash, 0, encode_split(SPLIT))
    rig = Rig([first, record])
    assert splits(rig) == [(2, SPLIT)]
    other = make_record(GROUP, 5, 2, Kind.EPOCH, 1, first.hash, 0, b"")
    rig.append(2, 5, first, other)
    rig.sync()
    assert splits(rig) == [] and rig.replica.log.last_epoch == 5
    assert rig.node.is_read_here(GROUP, b"z")


def test_a_split_stays_known_when_its_record_is_trimmed() -> None:
    rig = leading()
    propose(rig)
    rig.sync()
    ack(rig, 2, 3)
    rig.step(ev.Applied(GROUP, 3))
    rig.replica.log.trim(3)
    assert refused(put(rig, b"z")) == {1: OUT_OF_RANGE} and not rig.node.is_read_here(GROUP, b"z")


# -- the right group --------------------------------------------------------------------------------------------------


BASE = LogPoint(6, 40, 12345)


def state_of(effects: list[ef.Effect]) -> StateEntry:
    persisted = [entry for effect in effects if isinstance(effect, ef.Persist) for entry in effect.entries]
    (state,) = [entry for entry in persisted if isinstance(entry, StateEntry)]
    return state


def begin(node: Node, now: int, base: LogPoint = BASE, replica: ReplicaId = MEMBERS[0].replica) -> list[ef.Effect]:
    return node.step(ev.HostReplica(RIGHT, replica, membership_of(SPLIT, base.epoch), base), now)


def test_a_right_replica_begins_behind_the_split_record() -> None:
    rig = leading()
    effects = begin(rig.node, rig.now)
    r = rig.node.replicas[RIGHT]
    assert (r.id, r.log.base, r.log.last) == (MEMBERS[0].replica, BASE, BASE)
    assert (r.commit_lsn, r.applied_lsn) == (40, 40)
    assert r.promised == r.epoch_seen == 6 and r.own_member is not None
    state = state_of(effects)
    assert state.state.base == BASE and not [e for e in effects if isinstance(e, ef.Apply)]


def test_a_right_replica_is_made_once_and_not_again_once_it_was_dropped() -> None:
    rig = leading()
    begin(rig.node, rig.now)
    first = rig.node.replicas[RIGHT]
    begin(rig.node, rig.now)
    assert rig.node.replicas[RIGHT] is first
    rig.node.step(ev.DropReplica(RIGHT, first.id), rig.now)
    begin(rig.node, rig.now)
    assert RIGHT not in rig.node.replicas


def test_a_right_replica_comes_back_with_nothing_but_its_state() -> None:
    rig = leading()
    effects = begin(rig.node, rig.now)
    state = state_of(effects)
    found = RecoveredReplica(RIGHT, state.state, [], BASE.lsn, BASE.lsn)
    node = Node(Settings(lock="none"), TARGETS[0].node, BOOT + 1, [found], 0, 1)
    node.start(0)
    r = node.replicas[RIGHT]
    assert (r.log.base, r.commit_lsn, r.promised) == (BASE, 40, 6)
    assert r.membership == membership_of(SPLIT, 6) and not r.unfit


def test_the_right_group_leads_above_the_left_groups_epoch_from_its_base_on() -> None:
    trio = Trio()
    trio.run(2 * SECOND)
    for member in MEMBERS:
        node = NodeId(f"n{ord(member.node) - ord('a')}")
        mine = msgspec.structs.replace(member, node=node)
        split = msgspec.structs.replace(
            SPLIT, members=tuple(msgspec.structs.replace(m, node=NodeId(f"n{i}")) for i, m in enumerate(MEMBERS))
        )
        trio.step(node, ev.HostReplica(RIGHT, mine.replica, membership_of(split, BASE.epoch), BASE))
    trio.run(SECOND)
    master = trio.nodes[trio.master(RIGHT)].replicas[RIGHT]
    assert master.epoch == BASE.epoch + 1
    first = master.log.record_at(BASE.lsn + 1)
    assert first is not None and (first.kind, first.prev_hash, first.epoch) == (Kind.EPOCH, BASE.hash, master.epoch)
    assert master.commit_lsn >= BASE.lsn + 1


def test_the_first_right_member_stands_well_within_a_lease() -> None:
    """Nobody has granted anything in this group: there is nothing to wait for."""
    trio = Trio()
    trio.run(2 * SECOND)
    nodes = list(trio.nodes)
    members = tuple(msgspec.structs.replace(m, node=node) for m, node in zip(MEMBERS, nodes, strict=True))
    split = msgspec.structs.replace(SPLIT, members=members)
    for member in members:
        trio.step(member.node, ev.HostReplica(RIGHT, member.replica, membership_of(split, BASE.epoch), BASE))
    trio.run(Settings().lease // 2)
    assert trio.master(RIGHT) == members[0].node
