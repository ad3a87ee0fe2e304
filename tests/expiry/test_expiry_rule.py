"""Which rows are expired, judged by their bytes."""

from typing import Any

import pytest

from keystead_core.expiry import YEARS_BACK_SECONDS, ExpiryRule
from keystead_core.items import encode_row

NOW = 1_800_000_000


def row(**attributes: Any) -> bytes:
    return encode_row({"pk": {"S": "k"}, **attributes})[0]


def is_expired(value: bytes, attribute: str = "until") -> bool:
    return ExpiryRule(attribute).is_expired(value, NOW)


@pytest.mark.parametrize(
    ("time", "expired"),
    [
        (str(NOW), True),
        (str(NOW - 1), True),
        (str(NOW + 1), False),
        (f"{NOW}.9", True),
        (str(NOW - YEARS_BACK_SECONDS), True),
        (str(NOW - YEARS_BACK_SECONDS - 1), False),
        ("0", False),
        ("-5", False),
        ("1E125", False),
        ("1E-130", False),
        (str(NOW * 1000), False),
    ],
)
def test_an_item_expires_when_its_time_has_come_and_is_at_most_five_years_past(time: str, expired: bool) -> None:
    assert is_expired(row(until={"N": time})) is expired


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"until": {"S": str(NOW)}},
        {"until": {"NS": [str(NOW)]}},
        {"until": {"NULL": True}},
        {"until": {"M": {"until": {"N": str(NOW)}}}},
        {"other": {"N": str(NOW)}},
        {"other": {"M": {"until": {"N": str(NOW)}}}},
        {"other": {"S": f'"until":{{"N":"{NOW}"}}'}},
        {"other": {"M": {"until": {"N": str(NOW)}}}, "until": {"S": "never"}},
    ],
)
def test_only_a_number_in_that_very_attribute_counts(attributes: dict[str, Any]) -> None:
    assert not is_expired(row(**attributes))


def test_the_attribute_counts_also_beside_others_of_its_name_further_inside() -> None:
    assert is_expired(row(other={"M": {"until": {"N": str(NOW + 9)}}}, until={"N": str(NOW)}))


@pytest.mark.parametrize("attribute", ["grüße", 'a "quoted" name', "back\\slash", "line\nbreak"])
def test_an_attribute_may_have_any_name(attribute: str) -> None:
    assert is_expired(row(**{attribute: {"N": str(NOW)}}), attribute)


@pytest.mark.parametrize("value", [b"", b"\x02", b'\x01{"until":{"N":"18', b'\x02{"until":{"N":"1800000000"}}'])
def test_a_row_that_holds_no_item_stays(value: bytes) -> None:
    assert not is_expired(value)
