"""One limit over time."""

from keystead_core.capacity.token_bucket import DEBT_SECONDS_MAX, TokenBucket
from keystead_core.ids import SECOND


def bucket(rate: float = 10, burst: float = 100, tokens: float = 0) -> TokenBucket:
    return TokenBucket(rate, burst, tokens, 0)


def test_units_flow_in_at_the_rate_until_the_burst_is_saved() -> None:
    found = bucket()
    found.advance(3 * SECOND)
    assert found.tokens == 30
    found.advance(30 * SECOND)
    assert found.tokens == 100 and found.is_full


def test_a_bucket_never_begins_with_more_than_it_may_save() -> None:
    assert bucket(tokens=1000).tokens == 100


def test_what_is_owed_is_paid_back_at_the_rate() -> None:
    found = bucket()
    found.add(-50)
    found.advance(4 * SECOND)
    assert found.tokens == -10


def test_what_is_owed_beyond_some_minutes_is_forgiven() -> None:
    found = bucket()
    found.add(-1_000_000)
    assert found.tokens == -10 * DEBT_SECONDS_MAX


def test_a_clock_that_goes_back_changes_nothing() -> None:
    found = bucket()
    found.advance(5 * SECOND)
    found.advance(1 * SECOND)
    found.advance(5 * SECOND)
    assert found.tokens == 50


def test_another_rate_holds_from_then_on() -> None:
    found = bucket()
    found.change(100, 1000, 2 * SECOND)
    found.advance(3 * SECOND)
    assert found.tokens == 20 + 100


def test_a_lower_rate_leaves_no_more_than_it_may_save_or_owe() -> None:
    rich, poor = bucket(tokens=100), bucket()
    poor.add(-1000)
    rich.change(1, 10, 0)
    poor.change(1, 10, 0)
    assert (rich.tokens, poor.tokens) == (10, -DEBT_SECONDS_MAX)
