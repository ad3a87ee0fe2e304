"""Memberships: their encoding, and what the quorum rules promise of each other (docs/protocol.md, Membership)."""

from itertools import combinations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import NO_REPLICA, NodeId, ReplicaId
from keystead_core.replication.membership import (
    Membership,
    MembershipError,
    decode_membership,
    encode_membership,
    founding_membership,
)
from keystead_core.replication.membership_steps import next_steps
from tests.formats.strategies import ZONES, damaged, memberships

STEPS_MAX = 40


def subsets(membership: Membership) -> list[list[ReplicaId]]:
    voters = [m.replica for m in membership.voters]
    return [list(chosen) for size in range(len(voters) + 1) for chosen in combinations(voters, size)]


@given(memberships())
def test_a_membership_comes_back_as_it_was(membership: Membership) -> None:
    assert decode_membership(encode_membership(membership)) == membership


@given(memberships(), st.data())
@settings(max_examples=400)
def test_damaged_bytes_are_a_membership_or_a_membership_error(membership: Membership, data: st.DataObject) -> None:
    try:
        found = decode_membership(data.draw(damaged(encode_membership(membership))))
    except MembershipError:
        return
    assert isinstance(found, Membership)


@given(memberships())
def test_each_failover_quorum_meets_each_durable_set(membership: Membership) -> None:
    durable = [set(held) for held in subsets(membership) if membership.is_durable(held)]
    for supporters in subsets(membership):
        if membership.is_failover_quorum(supporters):
            assert all(held & set(supporters) for held in durable)


@given(memberships())
def test_two_failover_quorums_share_a_voter(membership: Membership) -> None:
    quorums = [set(by) for by in subsets(membership) if membership.is_failover_quorum(by)]
    assert all(one & other for one, other in combinations(quorums, 2))


@given(memberships())
def test_granters_block_just_if_they_meet_each_failover_quorum(membership: Membership) -> None:
    quorums = [set(by) for by in subsets(membership) if membership.is_failover_quorum(by)]
    for granters in subsets(membership):
        assert membership.blocks_failover(granters) == all(set(granters) & quorum for quorum in quorums)


@given(memberships())
def test_a_larger_set_is_no_less_of_a_quorum(membership: Membership) -> None:
    everybody = [m.replica for m in membership.voters]
    for chosen in subsets(membership):
        for more in everybody:
            if membership.is_durable(chosen):
                assert membership.is_durable([*chosen, more])
            if membership.is_failover_quorum(chosen):
                assert membership.is_failover_quorum([*chosen, more])


@given(memberships())
def test_learners_and_strangers_count_for_nothing(membership: Membership) -> None:
    others = [m.replica for m in membership.members if not m.voter] + [ReplicaId(99)]
    for chosen in subsets(membership):
        assert membership.is_durable(chosen) == membership.is_durable([*chosen, *others])
        assert membership.is_failover_quorum(chosen) == membership.is_failover_quorum([*chosen, *others])


@given(memberships(), st.data())
def test_the_durable_lsn_is_the_highest_that_a_durable_set_holds(membership: Membership, data: st.DataObject) -> None:
    acks = {m.replica: data.draw(st.integers(0, 5)) for m in membership.members if data.draw(st.booleans())}
    expected = max((n for n in range(1, 6) if membership.is_durable([r for r in acks if acks[r] >= n])), default=0)
    assert membership.durable_lsn(acks) == expected


@given(memberships(), memberships())
def test_quorums_of_neighbours_that_no_rule_refuses_share_a_voter(before: Membership, other: Membership) -> None:
    """What one record may change: a set that the two rules together call durable meets each failover quorum of both."""
    for member in other.members:
        after = before.with_member(member, before.epoch)
        if before.refusal_of(after):
            continue
        for held in subsets(after) + subsets(before):
            if not (before.is_durable(held) and after.is_durable(held)):
                continue
            for one in (before, after):
                assert all(set(held) & set(by) for by in subsets(one) if one.is_failover_quorum(by))


@given(memberships(voters_min=3))
def test_a_record_that_skips_a_version_or_changes_two_voters_is_refused(membership: Membership) -> None:
    first, second, *_ = membership.voters
    once = membership.without(first.replica, membership.epoch)
    twice = once.without(second.replica, membership.epoch)
    assert "does not follow" in membership.refusal_of(twice)
    both = msgspec.structs.replace(twice, version=membership.version + 1)
    assert "one voter" in membership.refusal_of(both)


@st.composite
def targets(draw: st.DrawFn, first_id: int, learner: bool = False) -> list[ReplicaTarget]:
    """`learner`: one of them may be wanted as that, be it new or a voter now."""
    count = draw(st.integers(3, 5))
    fresh = draw(st.integers(0, count))
    ids = [*range(1, count - fresh + 1), *range(first_id, first_id + fresh)]
    chosen = draw(st.sampled_from([0, *ids])) if learner else 0
    roles = {i: "learner" if i == chosen else "voter" for i in ids}
    return [ReplicaTarget(ReplicaId(i), NodeId(f"n{i}"), ZONES[k % 3], roles[i]) for k, i in enumerate(ids)]


def everybody(membership: Membership) -> list[ReplicaId]:
    return [m.replica for m in membership.members]


@given(targets(1), targets(10, learner=True))
def test_single_steps_lead_to_the_target_by_the_rules(begin: list[ReplicaTarget], target: list[ReplicaTarget]) -> None:
    membership = founding_membership(begin, 0, 2, 1_000_000)
    level = [t.replica for t in target]
    for _ in range(STEPS_MAX):
        steps = next_steps(membership, target, 1, level, live=everybody(membership), master=NO_REPLICA)
        if not steps:
            break
        after = next(step for step in steps if not membership.refusal_of(step))
        changed = {m.replica for m in membership.voters} ^ {m.replica for m in after.voters}
        assert len(changed) <= 1
        membership = after
    assert {(m.replica, m.role) for m in membership.members} == {(t.replica, t.role) for t in target}


@given(targets(1), targets(10))
def test_nobody_is_promoted_or_removed_before_the_new_ones_are_level(
    begin: list[ReplicaTarget], target: list[ReplicaTarget]
) -> None:
    membership = founding_membership(begin, 0, 1, 1_000_000)
    voters = membership.voters
    while steps := next_steps(membership, target, 1, level=[], live=everybody(membership), master=NO_REPLICA):
        membership = steps[0]
    if {t.replica for t in target} - {t.replica for t in begin}:
        assert membership.voters == voters


def voters_of(*replicas: int, log_only: tuple[int, ...] = ()) -> list[ReplicaTarget]:
    roles = [(n, "log-only" if n in log_only else "voter") for n in (*replicas, *log_only)]
    return [ReplicaTarget(ReplicaId(n), NodeId(f"n{n}"), f"z{n}", role) for n, role in roles]


def first_allowed(begin: list[ReplicaTarget], target: list[ReplicaTarget], live: list[int]) -> list[tuple[int, str]]:
    """The members after the first step that the rules allow."""
    membership = founding_membership(begin, 0, 1, 1_000_000)
    steps = next_steps(membership, target, 1, level=[], live=[ReplicaId(n) for n in live], master=ReplicaId(1))
    after = next(step for step in steps if not membership.refusal_of(step))
    return [(m.replica, m.role) for m in after.members]


def test_of_those_to_be_removed_the_dead_go_first_and_the_master_last() -> None:
    assert first_allowed(voters_of(1, 2, 3), voters_of(2), live=[1, 2]) == [(1, "voter"), (2, "voter")]
    assert first_allowed(voters_of(1, 2, 3), voters_of(3), live=[1, 2, 3]) == [(1, "voter"), (3, "voter")]


def as_learner(replica: int) -> ReplicaTarget:
    return ReplicaTarget(ReplicaId(replica), NodeId(f"n{replica}"), f"z{replica}", "learner")


def test_a_voter_that_is_wanted_as_a_learner_becomes_one_the_master_last() -> None:
    """Found by the simulator (601536): the catalog wanted a learner of the past back, which a master that it had not
    heard of had promoted; the group stood there for ever, and did not say why."""
    assert first_allowed(voters_of(1, 2, 3), [*voters_of(1, 2), as_learner(3)], live=[1, 2, 3]) == [
        (1, "voter"), (2, "voter"), (3, "learner"),
    ]  # fmt: skip
    wanted = [*voters_of(2), as_learner(1), as_learner(3)]
    assert first_allowed(voters_of(1, 2, 3), wanted, live=[1, 2, 3]) == [
        (1, "voter"), (2, "voter"), (3, "learner"),
    ]  # fmt: skip


def test_a_voter_stays_one_until_those_who_come_in_its_place_are_voters() -> None:
    wanted = [*voters_of(1, 2, 4), as_learner(3)]
    membership = founding_membership([*voters_of(1, 2, 3), as_learner(4)], 0, 1, 1_000_000)
    assert next_steps(membership, wanted, 1, level=[], live=everybody(membership), master=ReplicaId(1)) == []


def test_member_on_the_place_of_a_wanted_replica_leaves_first() -> None:
    """Its node hosts one replica of the group: the wanted one could never come."""
    wanted = [*voters_of(1, 2), ReplicaTarget(ReplicaId(9), NodeId("n3"), "z3", "voter")]
    assert first_allowed(voters_of(1, 2, 3), wanted, live=[1, 2, 3]) == [(1, "voter"), (2, "voter")]


def test_log_only_voter_that_may_not_stay_leaves_before_the_full_one() -> None:
    begin = voters_of(1, 2, 5, log_only=(3, 4))
    assert first_allowed(begin, voters_of(1, log_only=(4,)), live=[1, 2, 3, 4, 5]) == [
        (1, "voter"), (2, "voter"), (4, "log-only"), (5, "voter"),
    ]  # fmt: skip


def test_dead_full_voter_that_nobody_wants_does_not_keep_a_log_only_one_out() -> None:
    """No log starts early enough for a voter of which nobody knows what it has."""
    begin = [*voters_of(1, 2, 3), ReplicaTarget(ReplicaId(4), NodeId("n4"), "z4", "learner")]
    target = voters_of(1, 2, log_only=(4,))
    membership = founding_membership(begin, 0, 1, 1_000_000)
    assert (
        next_steps(membership, target, 1, level=[], live=[ReplicaId(n) for n in (1, 2, 3)], master=ReplicaId(1)) == []
    )
    assert first_allowed(begin, target, live=[1, 2]) == [(1, "voter"), (2, "voter"), (4, "learner")]
