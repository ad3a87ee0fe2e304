"""Who is handed what of a bucket."""

import pytest

from keystead_core.capacity.accountant import WISH_LASTS, Accountant, Grant, Term
from keystead_core.ids import SECOND, NodeId
from tests.capacity.routers import KEY, provisioned

LIMIT = provisioned(100, burst_seconds=10)
TERM = Term(1, 0, "id-1")
A, B = NodeId("a"), NodeId("b")


@pytest.fixture
def accountant() -> Accountant:
    return Accountant()


def ask(
    accountant: Accountant, router: NodeId, wanted: float, now: float, returned: float = 0.0, term: Term = TERM
) -> Grant:
    return accountant.settle(KEY, LIMIT, term, router, returned, wanted, int(now * SECOND))


def test_an_account_has_saved_what_flowed_in_since_the_term_began(accountant: Accountant) -> None:
    assert ask(accountant, A, 5000, 3).units == 300


def test_whoever_wants_what_is_there_gets_it(accountant: Accountant) -> None:
    grant = ask(accountant, A, 250, 3)
    assert (grant.units, grant.is_scarce) == (250, False)
    assert ask(accountant, A, 250, 3).units == 50


def test_what_is_there_is_divided_by_what_is_wanted(accountant: Accountant) -> None:
    ask(accountant, A, 3000, 10)
    ask(accountant, B, 1000, 10)
    grants = [ask(accountant, A, 300, 10.3), ask(accountant, B, 100, 10.3)]
    assert [grant.share for grant in grants] == [pytest.approx(300 / 13), pytest.approx(25)]
    assert all(grant.is_scarce for grant in grants)


def test_a_router_that_asks_no_more_has_no_part_in_the_division(accountant: Accountant) -> None:
    ask(accountant, B, 1e6, 10)
    ask(accountant, A, 1e6, 10)
    later = 10 + WISH_LASTS / SECOND + 0.01
    assert ask(accountant, A, 1000, later).share == 100


def test_what_comes_back_can_be_handed_out_again(accountant: Accountant) -> None:
    ask(accountant, A, 1000, 10)
    ask(accountant, A, 0, 10, returned=700)
    assert ask(accountant, B, 700, 10).units == 700


def test_what_a_router_owes_is_paid_by_the_rate_of_all(accountant: Accountant) -> None:
    ask(accountant, A, 1000, 10)
    ask(accountant, A, 0, 10, returned=-150)
    assert ask(accountant, B, 10, 11).units == 0
    assert ask(accountant, B, 10, 11.55).units == pytest.approx(5)


def test_an_accountant_that_takes_over_hands_out_nothing_of_its_predecessors(accountant: Accountant) -> None:
    ask(accountant, A, 10, 100)
    assert ask(accountant, A, 1000, 101, term=Term(2, 101 * SECOND, "id-1")).units == 0
    assert ask(accountant, A, 1000, 102, term=Term(2, 101 * SECOND, "id-1")).units == 100


def test_a_table_of_the_same_name_is_another_account(accountant: Accountant) -> None:
    ask(accountant, A, 1000, 10)
    assert ask(accountant, A, 1000, 10, term=Term(1, 0, "id-2")).units == 1000


def test_another_rate_holds_with_the_next_ask(accountant: Accountant) -> None:
    ask(accountant, A, 1000, 10)
    grant = accountant.settle(KEY, provisioned(500, 10), TERM, A, 0.0, 1000, 11 * SECOND)
    assert (grant.units, grant.share) == (100, 500)
    assert accountant.settle(KEY, provisioned(500, 10), TERM, A, 0.0, 1000, 12 * SECOND).units == 500


def test_an_account_is_kept_until_it_would_be_made_anew_the_same(accountant: Accountant) -> None:
    ask(accountant, A, 600, 20)
    accountant.forget_idle(25 * SECOND)
    assert len(accountant) == 1
    accountant.forget_idle(27 * SECOND)
    assert len(accountant) == 0
    assert ask(accountant, A, 5000, 27).units == 1000


def test_an_account_that_is_full_before_its_time_is_kept(accountant: Accountant) -> None:
    ask(accountant, A, 0, 1, returned=5000)
    accountant.forget_idle(2 * SECOND)
    assert len(accountant) == 1
