"""Numbers are read exactly, normalised to the service's text, and refused in its words."""

import re
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.numbers import (
    NumberError,
    add_numbers,
    normalise_number,
    number_bytes,
    parse_number,
    subtract_numbers,
)

NUMBERS = st.builds(
    lambda digits, scale, negative: f"{'-' if negative else ''}{digits}e{scale - len(str(digits)) + 1}",
    st.integers(0, 10**38 - 1),
    st.integers(-130, 125),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0042.1200", "42.12"),
        ("-0", "0"),
        ("0e999999", "0"),
        ("1.5E2", "150"),
        ("1E125", "1" + "0" * 125),
        ("1e-130", "0." + "0" * 129 + "1"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1.10", "-1.1"),
        ("100", "100"),
        ("0" * 5000 + "1", "1"),
        ("1" + "0" * 100, "1" + "0" * 100),
    ],
)
def test_a_number_is_stored_in_canonical_text(text: str, canonical: str) -> None:
    assert normalise_number(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("abc", "The parameter cannot be converted to a numeric value: abc"),
        (" 1", "The parameter cannot be converted to a numeric value:  1"),
        (".", "The parameter cannot be converted to a numeric value: ."),
        ("1e", "The parameter cannot be converted to a numeric value: 1e"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("١", "The parameter cannot be converted to a numeric value: ١"),
        ("1" * 39, "Attempting to store more than 38 significant digits in a Number"),
        ("1E126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("-1E126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("1E-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        ("1e" + "9" * 5000, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ],
)
def test_a_bad_number_is_refused_in_the_services_words(text: str, message: str) -> None:
    with pytest.raises(NumberError) as refused:
        normalise_number(text)
    assert str(refused.value) == message


@given(NUMBERS)
def test_normalising_keeps_the_value_and_is_idempotent(text: str) -> None:
    canonical = normalise_number(text)
    assert Decimal(canonical) == Decimal(text)
    assert normalise_number(canonical) == canonical
    assert parse_number(canonical) == parse_number(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 1), ("1", 2), ("123456", 4), ("3.14159", 5), ("1E125", 2), ("-1", 3), ("0.001", 2), ("42.12", 3)],
)
def test_a_number_counts_its_pairs_of_digits(text: str, size: int) -> None:
    assert number_bytes(normalise_number(text)) == size


@given(NUMBERS, NUMBERS)
def test_sums_and_differences_are_exact_or_refused(one: str, other: str) -> None:
    with localcontext(Context(prec=400, Emax=1000, Emin=-1000)):
        for compute, exact in (
            (add_numbers, Decimal(one) + Decimal(other)),
            (subtract_numbers, Decimal(one) - Decimal(other)),
        ):
            try:
                expected = normalise_number(f"{exact:E}")
            except NumberError as error:
                with pytest.raises(NumberError, match=re.escape(str(error))):
                    compute(one, other)
            else:
                assert compute(one, other) == expected


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [
        ("0.1", "0.2", "0.3"),
        ("-5", "5", "0"),
        ("0", "0", "0"),
        ("9" * 38, "1", "1" + "0" * 38),
        ("1e125", "-1e125", "0"),
        ("1e-130", "-1e-130", "0"),
    ],
)
def test_sums_are_canonical(one: str, other: str, total: str) -> None:
    assert add_numbers(one, other) == total
