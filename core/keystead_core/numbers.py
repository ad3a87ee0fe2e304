"""DynamoDB numbers: exact decimals of up to 38 significant digits, magnitude 1E-130 to 9.99..E+125.

A number travels as text. Its canonical text is what the service returns: plain decimal notation without an exponent,
without leading or trailing zeros, "0" for every zero.
"""

import re
from typing import Final, NamedTuple

DIGITS_MAX: Final = 38
EXPONENT_MIN: Final = -130
EXPONENT_MAX: Final = 125

_SYNTAX: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)([0-9]+))?")
_EXPONENT_DIGITS_MAX: Final = 9


class NumberError(ValueError):
    """The text is no number that can be stored; the message is the service's own."""


class Decimal38(NamedTuple):
    """`digits` (no zeros at either end) with the point behind the first one, times ten to the `exponent`.

    Zero is digits "" and exponent 0, never negative.
    """

    negative: bool
    digits: str
    exponent: int


ZERO: Final = Decimal38(False, "", 0)


def parse_number(text: str) -> Decimal38:
    """Reads the text of an N value. Raises NumberError with the service's message."""
    if not text:
        raise NumberError("The parameter cannot be converted to a numeric value")
    match = _SYNTAX.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise NumberError(f"The parameter cannot be converted to a numeric value: {text}")
    sign, whole, fraction, exponent_sign, exponent_digits = match.groups(default="")
    mantissa = whole + fraction
    significant = mantissa.lstrip("0")
    if not significant:
        return ZERO
    exponent = len(whole) - 1 - (len(mantissa) - len(significant))
    exponent_digits = exponent_digits.lstrip("0")
    if exponent_digits:
        # An exponent of ten digits is out of range whatever the mantissa is (a request has at most 16 MB).
        shift = int(exponent_digits[: _EXPONENT_DIGITS_MAX + 1])
        exponent += -shift if exponent_sign == "-" else shift
    if exponent > EXPONENT_MAX:
        raise NumberError("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if exponent < EXPONENT_MIN:
        raise NumberError("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    digits = significant.rstrip("0")
    if len(digits) > DIGITS_MAX:
        raise NumberError("Attempting to store more than 38 significant digits in a Number")
    return Decimal38(sign == "-", digits, exponent)


def format_number(number: Decimal38) -> str:
    """The canonical text."""
    negative, digits, exponent = number
    if not digits:
        return "0"
    if exponent < 0:
        text = "0." + "0" * (-exponent - 1) + digits
    elif exponent >= len(digits) - 1:
        text = digits + "0" * (exponent - len(digits) + 1)
    else:
        text = digits[: exponent + 1] + "." + digits[exponent + 1 :]
    return "-" + text if negative else text


def normalise_number(text: str) -> str:
    """The canonical text of the number that `text` says. Raises NumberError."""
    if len(text) <= DIGITS_MAX and text.isascii() and text.isdigit() and (text[0] != "0" or text == "0"):
        return text
    return format_number(parse_number(text))


def add_numbers(one: str, other: str) -> str:
    """The exact sum as canonical text. Raises NumberError: a sum of more than 38 digits is refused, not rounded."""
    return _sum(parse_number(one), parse_number(other))


def subtract_numbers(one: str, other: str) -> str:
    """The exact difference as canonical text. Raises NumberError as `add_numbers` does."""
    negative, digits, exponent = parse_number(other)
    return _sum(parse_number(one), Decimal38(not negative, digits, exponent))


def _sum(one: Decimal38, other: Decimal38) -> str:
    last = min(_last_exponent(one), _last_exponent(other))
    return normalise_number(f"{_scaled(one, last) + _scaled(other, last)}E{last}")


def _last_exponent(number: Decimal38) -> int:
    """The power of ten that the last digit counts."""
    return number.exponent - len(number.digits) + 1


def _scaled(number: Decimal38, last: int) -> int:
    """The number as a multiple of ten to the power `last`."""
    magnitude: int = int(number.digits or "0") * 10 ** (_last_exponent(number) - last)
    return -magnitude if number.negative else magnitude


def number_bytes(canonical: str) -> int:
    """What a number counts in an item's size: a byte, and one for each begun pair of digits left and right of the
    point (zeros at the ends of the number left out), and one if it is negative."""
    negative = canonical[0] == "-"
    whole, _, fraction = canonical.lstrip("-").partition(".")
    whole = whole.lstrip("0")
    if fraction:
        if not whole:
            fraction = fraction.lstrip("0")
    else:
        whole = whole.rstrip("0")
    return 1 + (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + negative
