"""Capacity units of tables with indexes, as the service counts them.

A write costs each index what becomes of the item's entry in it: nothing where that stays as it was, a write of the
larger of the entry before and after where it changes, and two writes, one for each, where its key does. A read of an
index costs the index, and the table for what is fetched from it.
"""

from collections.abc import Mapping
from typing import Any

from keystead_core.cluster_map import TableDefinition
from keystead_core.indexes.entries import Entry, IndexRule
from keystead_core.items import decode_row, row_size
from keystead_node.api.capacity import consumed, write_units


def consumed_with_indexes(
    table: TableDefinition, units: float, index_units: Mapping[str, float], wanted: str
) -> dict[str, Any]:
    """`units`: the table's; `index_units`: of each index that took part. `wanted`: TOTAL or INDEXES."""
    total = consumed(table.name, units, wanted)
    if not index_units:
        return total
    total["CapacityUnits"] = units + sum(index_units.values())
    if wanted == "INDEXES":
        for member, is_global in (("LocalSecondaryIndexes", False), ("GlobalSecondaryIndexes", True)):
            found = {
                index.name: {"CapacityUnits": index_units[index.name]}
                for index in table.indexes
                if index.is_global == is_global and index.name in index_units
            }
            if found:
                total[member] = found
    return total


def index_write_units(table: TableDefinition, row_key: bytes, old: bytes | None, new: bytes | None) -> dict[str, float]:
    """What the change of a row costs each index that it changes. `old`, `new`: row values; None: there is no row."""
    if not table.indexes:
        return {}
    before = None if old is None else (decode_row(old), old)
    after = None if new is None else (decode_row(new), new)
    found = {}
    for index in table.indexes:
        rule = IndexRule(index, table.hash_key, table.range_key)
        units = _units(
            None if before is None else rule.entry(row_key, *before),
            None if after is None else rule.entry(row_key, *after),
        )
        if units:
            found[index.name] = units
    return found


def _units(before: Entry | None, after: Entry | None) -> float:
    if before == after:
        return 0.0
    old = None if before is None else write_units(row_size(before[1]))
    new = None if after is None else write_units(row_size(after[1]))
    if old is None or new is None:
        return old or new or 0.0
    assert before is not None and after is not None
    return max(old, new) if before[0] == after[0] else old + new
