"""Quantities are compared by what they stand for, not by how they are written."""

import pytest

from keystead_operator.spec.quantity import quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [("1Gi", "1024Mi"), ("1G", "1000M"), ("1.5", "1500m"), ("2e3", "2k"), ("1E", "1000P"), ("100", "100000m")],
)
def test_one_amount_written_in_two_ways_is_equal(one: str, other: str) -> None:
    assert quantity(one) == quantity(other)


def test_more_is_more() -> None:
    assert quantity("10Gi") < quantity("11Gi") < quantity("12G") < quantity("1Ti")


@pytest.mark.parametrize("text", ["", "Gi", "1Q", "1 Gi", "mi", "1ki"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)
