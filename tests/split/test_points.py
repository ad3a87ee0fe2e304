"""Split points: where a partition is divided by its rows' weight or by its requests, and when it cannot be."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.keyspace import encode_number, encode_text, make_row_key
from keystead_core.split.points import (
    HOT_SHARE,
    SAMPLE_MIN,
    NoSplitPoint,
    at_collection,
    by_hash,
    by_traffic,
    by_weight,
)

WEIGHTS = st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.integers(1, 10_000)), min_size=2, max_size=60).map(
    lambda rows: sorted(dict(rows).items())
)


@given(WEIGHTS.filter(lambda rows: len(rows) > 1))
def test_by_weight_no_other_row_divides_better(rows: list[tuple[bytes, int]]) -> None:
    total = sum(weight for _, weight in rows)
    at = by_weight(rows, total)
    assert at in [key for key, _ in rows[1:]], "neither half is empty"

    def apart(key: bytes) -> int:
        before = sum(weight for other, weight in rows if other < key)
        return abs(total - 2 * before)

    assert apart(at) == min(apart(key) for key, _ in rows[1:])


@given(WEIGHTS.filter(lambda rows: len(rows) > 1))
def test_by_weight_no_half_has_more_than_half_and_the_heaviest_row(rows: list[tuple[bytes, int]]) -> None:
    total = sum(weight for _, weight in rows)
    before = sum(weight for key, weight in rows if key < by_weight(rows, total))
    heaviest = max(weight for _, weight in rows)
    assert max(before, total - before) <= total / 2 + heaviest


@pytest.mark.parametrize("rows", [[], [(b"a", 7)]])
def test_one_row_cannot_be_divided(rows: list[tuple[bytes, int]]) -> None:
    with pytest.raises(NoSplitPoint, match="one item or none"):
        by_weight(rows, 7)


@given(st.lists(st.binary(min_size=2, max_size=4), min_size=SAMPLE_MIN, max_size=300), st.randoms())
def test_by_traffic_both_halves_have_requests_or_there_is_a_reason(sample: list[bytes], order: random.Random) -> None:
    order.shuffle(sample)
    try:
        at = by_traffic(sample)
    except NoSplitPoint:
        return
    before = sum(key < at for key in sample)
    assert 0 < before < len(sample)
    assert at in sample


def spread(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(8) for _ in range(count)]


def test_even_traffic_is_halved() -> None:
    sample = spread(1000)
    assert sum(key < by_traffic(sample) for key in sample) == 500


def test_few_requests_say_nothing() -> None:
    with pytest.raises(NoSplitPoint, match="too few"):
        by_traffic(spread(SAMPLE_MIN - 1))


@pytest.mark.parametrize(("hot", "is_refused"), [(int(1000 * HOT_SHARE) + 1, True), (int(1000 * HOT_SHARE), False)])
def test_one_hot_item_is_no_reason_to_divide(hot: int, is_refused: bool) -> None:
    sample = spread(1000 - hot) + [b"\x80hot"] * hot
    random.Random(2).shuffle(sample)
    if is_refused:
        with pytest.raises(NoSplitPoint, match=r"one item has 50% of its requests: 80686f74"):
            by_traffic(sample)
    else:
        by_traffic(sample)


@pytest.mark.parametrize("backwards", [False, True])
def test_requests_that_go_through_the_keys_in_order_are_not_divided(backwards: bool) -> None:
    sample = sorted(spread(200), reverse=backwards)
    with pytest.raises(NoSplitPoint, match="go up"):
        by_traffic(sample)


def test_requests_that_go_round_are_divided() -> None:
    keys = sorted(spread(10))
    at = by_traffic(keys * 20)
    assert keys[0] < at


@pytest.mark.parametrize("kind", ["S", "N"])
def test_an_item_collection_is_not_divided(kind: str) -> None:
    part = encode_text("a\x00b") if kind == "S" else encode_number("-12.5")
    collection = make_row_key(part)
    for sort in ("", "x", "\x00\x01"):
        assert at_collection(make_row_key(part, encode_text(sort)), b"", kind) == collection
    with pytest.raises(NoSplitPoint, match="one item collection"):
        at_collection(make_row_key(part, encode_text("x")), collection, kind)


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_a_hash_alone_divides_no_item_collection(kind: str) -> None:
    """As of a partition that holds nothing, and of the cuts of a dial-up."""
    middle = by_hash(b"", None)
    assert at_collection(middle, b"", kind) == middle


def test_a_key_that_is_no_row_key_is_refused() -> None:
    with pytest.raises(NoSplitPoint, match="no row key"):
        at_collection(b"\x80" * 9, b"", "S")
