"""Capacity units, as the service counts them, and the ConsumedCapacity member of responses.

A write costs a unit for each begun KiB of the larger of the item before and after; a read costs a unit for each begun
4 KiB, half of that if eventually consistent.
"""

import math
from typing import Any, Final

_WRITE_UNIT_BYTES: Final = 1024
_READ_UNIT_BYTES: Final = 4096


def write_units(size: int) -> float:
    """`size`: the item's, in bytes; 0 if there is none."""
    return float(max(1, math.ceil(size / _WRITE_UNIT_BYTES)))


def read_units(size: int, consistent: bool) -> float:
    """`size`: of all that one read touched, in bytes."""
    units = max(1, math.ceil(size / _READ_UNIT_BYTES))
    return float(units) if consistent else units / 2


def consumed(table_name: str, units: float, wanted: str) -> dict[str, Any]:
    """`wanted`: TOTAL or INDEXES."""
    total: dict[str, Any] = {"TableName": table_name, "CapacityUnits": units}
    if wanted == "INDEXES":
        total["Table"] = {"CapacityUnits": units}
    return total
