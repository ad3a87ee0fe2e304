"""Routers whose accountant is away: never unlimited, never closed."""

import pytest

from keystead_core.capacity.accountant import Grant, Term
from keystead_core.capacity.admission import Verdict, judge
from keystead_core.capacity.allowance import SHARE_DECAY, Allowance, Ask
from keystead_core.ids import MILLISECOND, SECOND
from tests.capacity.routers import Routers, provisioned

MINUTE = 60 * SECOND


def alone(share: float, even: float) -> Allowance:
    allowance = Allowance(0)
    allowance.granted(Grant(0.0, True, share), 0)
    ask = allowance.ask(0)
    allowance.unanswered(ask, True, even, 0)
    return allowance


def made(allowance: Allowance, begin: int, end: int) -> float:
    """What it makes in that time, looked at every 10 ms and spent at once."""
    total = 0.0
    for now in range(begin, end, 10 * MILLISECOND):
        allowance.look(now)
        total += allowance.tokens
        allowance.spend(allowance.tokens)
    return total


def test_the_last_share_goes_over_into_an_even_one() -> None:
    allowance = alone(90, 30)
    assert made(allowance, 0, SECOND) == pytest.approx(85, abs=3)
    made(allowance, SECOND, 10 * SHARE_DECAY)
    assert made(allowance, 10 * SHARE_DECAY, 10 * SHARE_DECAY + SECOND) == pytest.approx(30, abs=1)


def test_a_router_that_had_no_share_gets_one() -> None:
    allowance = alone(0, 30)
    assert 0 < made(allowance, 0, SECOND) < 5
    assert made(allowance, SECOND, 60 * SECOND) > 0.8 * 59 * 30


def test_a_router_that_never_had_an_answer_lets_the_first_request_through() -> None:
    allowance = Allowance(0)
    allowance.unanswered(allowance.ask(0), False, 2, 0)
    assert judge([allowance], 1.0, 0).verdict is Verdict.PASSED
    assert judge([allowance], 1.0, 0).verdict is Verdict.REFUSED


def test_no_more_than_a_second_is_saved_alone() -> None:
    allowance = alone(30, 30)
    allowance.look(100 * SECOND)
    assert allowance.tokens == 30


def test_routers_that_are_alone_at_the_same_time_stay_within_the_rate_together() -> None:
    routers = Routers(3, provisioned(300, 1))
    for router, per_second in enumerate((2000, 300, 0)):
        routers.load(router, per_second, 0, 5 * SECOND)
    for router in range(3):
        routers.load(router, 1000, 5 * SECOND, MINUTE)
    routers.is_away = lambda now: now >= 5 * SECOND
    routers.run_until(MINUTE)
    assert 0.9 * 300 * 55 <= routers.consumed(5 * SECOND) <= 300 * 55 + 2 * 300


def test_one_router_alone_has_an_even_share_in_the_end() -> None:
    routers = Routers(3, provisioned(300, 1))
    routers.load(0, 1000, 0, MINUTE)
    routers.is_away = lambda now: now >= SECOND
    routers.run_until(MINUTE)
    assert routers.consumed(40 * SECOND) == pytest.approx(100 * 20, rel=0.05)


def test_an_accountant_that_is_back_is_found_and_the_whole_rate_with_it() -> None:
    routers = Routers(3, provisioned(300, 1))
    routers.load(0, 1000, 0, MINUTE)
    routers.is_away = lambda now: SECOND <= now < 30 * SECOND
    routers.run_until(MINUTE)
    assert 0.95 * 300 * 29 <= routers.consumed(31 * SECOND) <= 300 * 29 + 301


def test_a_new_accountant_every_five_seconds_does_not_add_up_to_more_than_the_rate() -> None:
    limit = provisioned(300, 300)
    routers = Routers(3, limit)
    for router in range(3):
        routers.load(router, 400, 0, MINUTE)
    for turn in range(1, 12):

        def take_over(turn: int = turn) -> None:
            routers.term = Term(turn + 1, routers.now, "id-1")

        routers.at(turn * 5 * SECOND, take_over)
    routers.run_until(MINUTE)
    assert 0.9 * 300 * 60 <= routers.consumed() <= 300 * 60 + 3


def test_what_is_owed_is_owed_still_when_the_accountant_did_not_hear_it() -> None:
    allowance = Allowance(0)
    allowance.granted(Grant(0.0, True, 10.0), 0)
    allowance.spend(50)
    ask = allowance.ask(SECOND)
    assert (ask.returned, allowance.tokens) == (-50, 0)
    allowance.unanswered(ask, True, 10, SECOND)
    assert allowance.tokens == -50


def test_what_was_returned_and_may_have_arrived_is_not_spent_again() -> None:
    for may_have_arrived, left in ((True, 0), (False, 30)):
        allowance = Allowance(0)
        allowance.granted(Grant(30.0, False, 30.0), 0)
        ask = allowance.ask(2 * SECOND)
        assert ask == Ask(30, 0)
        allowance.unanswered(ask, may_have_arrived, 40, 2 * SECOND)
        assert allowance.tokens == left
