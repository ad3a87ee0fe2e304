"""Which rows are expired: those whose item says so in the attribute that its table names.

An item expires when the time in that attribute (a number, seconds since 1970) has come, unless that was more than five
years ago: such a number is taken for a mistake, as the service takes it.
"""

from typing import Final

import msgspec

from keystead_core.items import RowFormatError, row_json

YEARS_BACK_SECONDS: Final = 5 * 365 * 24 * 3600

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder(dict[str, msgspec.Raw | str | None]).decode


class ExpiryRule:
    """Judges the rows of one table. Most rows of most tables do not expire: those cost a search, not a decoding."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        self._mark = msgspec.json.encode(attribute) + b':{"N":"'

    def is_expired(self, value: bytes, now_seconds: int) -> bool:
        """Whether the item of this row value has expired; a row that holds no item has not."""
        if self._mark not in value:
            return False
        at = self._time_of(value)
        return at is not None and now_seconds - YEARS_BACK_SECONDS <= at <= now_seconds

    def _time_of(self, value: bytes) -> int | None:
        """The time in whole seconds; None if the item has none: the mark may be inside another attribute."""
        try:
            content = _decode_members(row_json(value)).get(self.attribute)
            number = _decode_value(content).get("N") if content is not None else None
            return int(str(number).partition(".")[0]) if number is not None else None
        except (RowFormatError, msgspec.MsgspecError, ValueError):
            return None
