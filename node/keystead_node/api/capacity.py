"""Capacity units, as the service counts them, and the ConsumedCapacity member of responses.

A write costs a unit for each begun KiB of the larger of the item before and after; a read costs a unit for each begun
4 KiB, half of that if eventually consistent.
"""

import math
from typing import Any, Final

from keystead_core.items import row_size

_WRITE_UNIT_BYTES: Final = 1024
_READ_UNIT_BYTES: Final = 4096


def write_units(size: int) -> float:
    """`size`: the item's, in bytes; 0 if there is none."""
    return float(max(1, math.ceil(size / _WRITE_UNIT_BYTES)))


def read_units(size: int, consistent: bool) -> float:
    """`size`: of all that one read touched, in bytes."""
    units = max(1, math.ceil(size / _READ_UNIT_BYTES))
    return float(units) if consistent else units / 2


def row_write_units(value: bytes | None, at_least: float = 1.0) -> float:
    """What it costs to write, or to write over, the row value; None: there is none. Raises RowFormatError.

    `at_least`: what the write costs anyhow. An item is no larger than its JSON, so most rows need not be looked into.
    """
    if value is None or len(value) <= at_least * _WRITE_UNIT_BYTES:
        return at_least
    return max(at_least, write_units(row_size(value)))


def row_read_units(value: bytes | None, consistent: bool) -> float:
    """What it costs to read the row value. Raises RowFormatError."""
    if value is None or len(value) <= _READ_UNIT_BYTES:
        return read_units(0, consistent)
    return read_units(row_size(value), consistent)


def consumed(table_name: str, units: float, wanted: str) -> dict[str, Any]:
    """`wanted`: TOTAL or INDEXES."""
    total: dict[str, Any] = {"TableName": table_name, "CapacityUnits": units}
    if wanted == "INDEXES":
        total["Table"] = {"CapacityUnits": units}
    return total
