"""The core keeps every invariant in a bounded exploration; and rules taken away from it are missed by it, without luck.

Each planted bug replaces one function of the core. The search is exhaustive and breadth-first: a bug is found whenever
some order of at most so many events shows it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from keystead_core.replication import election, follower, master, node
from keystead_core.replication.membership import Membership
from keystead_core.replication.replica import Replica
from tests.explore.scenario import Budget, Scenario
from tests.explore.search import Found, Search

STATES_MAX = 100_000
A_WRITE = Scenario("a write", Budget(writes=1))
TWO_WRITES = Scenario("two writes", Budget(writes=2))
A_CRASH = Scenario("a write, a crash", Budget(writes=1, crashes=1), durable_zones=2)
AN_ELECTION = Scenario("founding, an election", Budget(elections=1), "founded")
RIVALS = Scenario("founding, two rivals", Budget(elections=2), "founded", candidates=(0, 1))
SUCCESSION = Scenario("a write, a succession", Budget(elections=1, writes=1), candidates=(1,))
RETURN = Scenario("overtaken, an election", Budget(elections=1), "overtaken", candidates=(0,))

SCOPES = (A_WRITE, TWO_WRITES, A_CRASH, AN_ELECTION, RIVALS, SUCCESSION, RETURN)
ABOUT_DURABLE = "durable"
PLANTED: dict[str, tuple[object, str, Callable[..., Any], Scenario, str]] = {
    "write quorum one short": (
        Membership, "is_durable", lambda m, held: len(set(held)) >= m.write_quorum - 1, A_WRITE, ABOUT_DURABLE,
    ),
    "failover quorum one short": (Membership, "is_failover_quorum", lambda m, by: bool(by), RIVALS, "two masters"),
    "earlier epochs commit by counting": (master, "may_commit", lambda r, lsn: True, RETURN, "lacks committed"),
    "own copy counts before its sync": (master, "own_ack", lambda r: r.log.last_lsn, A_WRITE, ABOUT_DURABLE),
    "ack before the sync": (follower, "ackable_lsn", lambda r: r.matched_lsn, TWO_WRITES, "acked LSN"),
    "ack before the promise is durable": (follower, "promise_allows_ack", lambda r: True, RIVALS, "durably promised"),
    "report before the promise is durable": (node.Node, "support_after_sync", node.Node.send, AN_ELECTION, "reported"),
    "asking before the own promise is durable": (
        election, "wait_for_own_promise", election.on_own_promise_synced, AN_ELECTION, "asked for support",
    ),
    "an earlier sync taken for the promise's": (
        election, "own_promise_is_durable", lambda r: True, RIVALS, "asked for support",
    ),
    "a promise in memory only": (Replica, "persist_state", lambda r: 0, AN_ELECTION, ABOUT_DURABLE),
    "an epoch used twice": (election, "next_epoch", lambda r: max(r.promised, 2), RIVALS, "two masters"),
    "any supporter leads": (election, "newest_supporter", lambda r: r.id, SUCCESSION, "without all that is committed"),
    "the longer log counts as newer": (
        election, "newness", lambda epoch, lsn, version: (lsn, epoch), RETURN, "without all that is committed",
    ),
    "apply above the commit LSN": (Replica, "applicable_lsn", lambda r: r.log.last_lsn, TWO_WRITES, "has applied"),
    "a commit LSN told too early": (master, "told_commit_lsn", lambda r: r.log.last_lsn, A_WRITE, "has applied"),
    "the record before is not compared": (follower, "_matches", lambda r, m: True, SUCCESSION, ABOUT_DURABLE),
}  # fmt: skip


def explore(scenario: Scenario, states_max: int = STATES_MAX) -> Found:
    return Search(scenario).run(states_max=states_max)


@pytest.mark.parametrize("scenario", SCOPES, ids=lambda scenario: scenario.name)
def test_no_order_of_events_breaks_an_invariant(scenario: Scenario) -> None:
    found = explore(scenario)
    assert found.violation == "", "\n".join(found.trace)
    assert found.exhausted or found.states >= STATES_MAX


@pytest.mark.parametrize("rule", PLANTED)
def test_a_rule_taken_away_is_missed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, without, scenario, expected = PLANTED[rule]
    monkeypatch.setattr(owner, name, without)
    assert expected in explore(scenario).violation


def test_a_small_scope_is_explored_to_its_end() -> None:
    found = explore(A_WRITE)
    assert found.exhausted and found.states > 20


def test_the_same_exploration_twice_meets_the_same_states() -> None:
    first, second = explore(SUCCESSION, 20_000), explore(SUCCESSION, 20_000)
    assert (first.states, first.transitions, first.depth) == (second.states, second.transitions, second.depth)


def test_a_violation_comes_with_the_events_that_lead_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "own_ack", lambda r: r.log.last_lsn)
    found = explore(A_WRITE)
    assert found.trace[0] == "n1 propose 1"
    assert "receives from n2: Appended" in found.trace[-1] or "receives from n3: Appended" in found.trace[-1]
