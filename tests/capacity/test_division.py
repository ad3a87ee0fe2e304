"""Routers and their accountant together, in virtual time: how much is let through, wherever it arrives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.ids import SECOND
from tests.capacity.routers import Routers, provisioned

MINUTE = 60 * SECOND


def test_one_hot_router_may_use_the_whole_rate() -> None:
    routers = Routers(3, provisioned(1000))
    routers.load(0, 1500, 0, MINUTE)
    routers.run_until(MINUTE)
    assert 0.95 * 60_000 <= routers.consumed() <= 60_000 + 3


def test_demand_that_is_just_the_rate_is_hardly_refused() -> None:
    routers = Routers(3, provisioned(1000), saved_seconds=2)
    for router in range(3):
        routers.load(router, 320, 0, MINUTE)
    routers.run_until(MINUTE)
    assert routers.refused == 0
    assert routers.consumed() == len(routers.admitted) > 57_000


@pytest.mark.parametrize("demand", [(400, 400, 400), (1000, 100, 10), (2000, 0, 5), (600, 600, 0)])
def test_the_rate_is_used_however_the_demand_is_spread(demand: tuple[int, ...]) -> None:
    routers = Routers(3, provisioned(1000))
    for router, per_second in enumerate(demand):
        routers.load(router, per_second, 0, MINUTE)
    routers.at(0, routers.tidy)
    routers.run_until(MINUTE)
    assert 0.95 * 60_000 <= routers.consumed() <= 60_000 + 3


def test_demand_that_moves_from_router_to_router_takes_the_rate_along() -> None:
    routers = Routers(5, provisioned(1000))
    for turn in range(30):
        routers.load(turn % 5, 3000, turn * 2 * SECOND, (turn + 1) * 2 * SECOND)
    routers.at(0, routers.tidy)
    routers.run_until(MINUTE)
    assert 0.95 * 60_000 <= routers.consumed() <= 60_000 + 5


def test_saved_units_are_for_whoever_comes_at_once_and_without_a_refusal() -> None:
    """Five units for 300 seconds: 1,500 writes in one moment at one router are what the service lets through."""
    routers = Routers(3, provisioned(5), saved_seconds=1000)
    for number in range(1490):
        routers.at(number, lambda: routers.request(2, 1.0))
    routers.run_until(10 * SECOND)
    assert (len(routers.admitted), routers.refused) == (1490, 0)
    for number in range(1000):
        routers.at(10 * SECOND + number, lambda: routers.request(1, 1.0))
    routers.run_until(11 * SECOND)
    assert len(routers.admitted) <= 1500 + 11 * 5 + 3
    assert routers.refused > 900


def test_a_table_of_one_unit_lets_one_write_through_in_a_second() -> None:
    routers = Routers(3, provisioned(1))
    for router in range(3):
        routers.load(router, 20, 0, 5 * MINUTE)
    routers.run_until(5 * MINUTE)
    assert 0.95 * 300 <= routers.consumed() <= 300 + 3


def test_reads_that_cost_more_than_was_known_are_paid_back() -> None:
    """Each read is let through at half a unit and found to have cost a hundred."""
    routers = Routers(3, provisioned(100))
    for number in range(60_000):
        routers.at(number * 1000, lambda router=number % 3: routers.request(router, 0.5, 100.0))
    routers.run_until(MINUTE)
    assert 0.95 * 6000 <= routers.consumed() <= 6000 + 3 * 100


def test_asks_are_few_whatever_is_asked_of_the_routers() -> None:
    """A few a second and router, be the table throttled or far from it."""
    for units in (1000, 100_000):
        routers = Routers(3, provisioned(units))
        for router in range(3):
            routers.load(router, 2000, 0, 10 * SECOND)
        routers.run_until(10 * SECOND)
        assert routers.asks <= 3 * 10 * 8


def test_a_table_at_rest_costs_no_message() -> None:
    routers = Routers(3, provisioned(1000), saved_seconds=300)
    for router in range(3):
        routers.load(router, 100, 0, 10 * SECOND)
    routers.at(0, routers.tidy)
    routers.run_until(15 * SECOND)
    asks = routers.asks
    routers.run_until(10 * MINUTE)
    assert routers.asks == asks
    assert all(allowance.is_done(routers.now) for allowance in routers.allowances)
    assert len(routers.accountant) == 0


demands = st.lists(
    st.tuples(
        st.integers(0, 5),  # router
        st.sampled_from([0.5, 1, 3, 20, 100, 400]),  # requests a second
        st.integers(0, 18),  # begins, s
        st.integers(1, 12),  # lasts, s
        st.sampled_from([0.5, 1.0, 2.0, 10.0]),  # units each
    ),
    min_size=1,
    max_size=8,
)


@given(
    demand=demands,
    rate=st.sampled_from([1, 5, 40, 300]),
    burst_seconds=st.sampled_from([1, 10, 300]),
    saved_seconds=st.sampled_from([0, 3, 400]),
    latency_ms_max=st.sampled_from([1, 20, 150]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_no_time_sees_more_than_the_rate_and_what_was_saved(
    demand: list[tuple[int, float, int, int, float]],
    rate: int,
    burst_seconds: int,
    saved_seconds: int,
    latency_ms_max: int,
    seed: int,
) -> None:
    """In every stretch of time: rate x time + burst + the last request of each router."""
    limit = provisioned(rate, burst_seconds)
    routers = Routers(6, limit, saved_seconds=saved_seconds, latency=(500, latency_ms_max * 1000), seed=seed)
    for router, per_second, begin, lasts, units in demand:
        routers.load(router, per_second, begin * SECOND, (begin + lasts) * SECOND, units)
    routers.at(0, routers.tidy)
    routers.run_until(40 * SECOND)
    largest = max(units for *_, units in demand)
    # The largest surplus over any stretch, found in one pass: what was consumed beyond the rate, never below 0.
    surplus = worst = 0.0
    last = 0
    for when, cost in routers.admitted:
        surplus = max(0.0, surplus - rate * (when - last) / SECOND) + cost
        worst, last = max(worst, surplus), when
    assert worst <= limit.burst + 6 * largest + 1e-6


@given(
    weights=st.lists(st.sampled_from([0, 1, 2, 10]), min_size=1, max_size=6).filter(any),
    rate=st.sampled_from([5, 30, 100]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_nearly_all_of_the_rate_is_used_where_there_is_demand(weights: list[int], rate: int, seed: int) -> None:
    routers = Routers(len(weights), provisioned(rate), seed=seed)
    for router, weight in enumerate(weights):
        routers.load(router, 4 * rate * weight / sum(weights), 0, 40 * SECOND)
    routers.at(0, routers.tidy)
    routers.run_until(40 * SECOND)
    assert routers.consumed() >= 0.95 * rate * 40
