"""Secondary indexes in the catalog: made with their table or added to it, filled, changed, dropped.

    create with the table --> CREATING --the index's own partitions have masters--> ACTIVE
    add to a table        --> CREATING, filling --and each partition of the table is filled in--> ACTIVE --drop--> gone

A global index is a table of its own in the map, placed as its table is, under a name that no user's table can have. A
local index is nothing but its definition: it lies with the table's rows.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import xxhash

from keystead_core.catalog.commands import ReportFilled
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.results import INVALID, LIMIT_EXCEEDED, RESOURCE_IN_USE, RESOURCE_NOT_FOUND, Refused
from keystead_core.catalog.table_changes import IndexUnits
from keystead_core.cluster_map import IndexDefinition, IndexSpec, TableDefinition, TableOptions, index_table
from keystead_core.ids import PartitionId

GLOBAL_INDEXES_MAX: Final = 20
LOCAL_INDEXES_MAX: Final = 5
KEY_ATTRIBUTES_MAX: Final = 4
INCLUDED_IN_ALL_MAX: Final = 100
"""Attributes that the indexes of one table name in their projections, each counted as often as it is named."""
ONE_AT_A_TIME: Final = (
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
)


def check_indexes(table: str, specs: list[IndexSpec], range_key: bool) -> None:
    """Refuses what no table can be made with. The API has checked the rest in the service's words."""
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise Refused(INVALID, f"table {table} has two indexes of one name")
    if sum(spec.is_global for spec in specs) > GLOBAL_INDEXES_MAX:
        raise Refused(LIMIT_EXCEEDED, f"a table has at most {GLOBAL_INDEXES_MAX} global indexes")
    if sum(not spec.is_global for spec in specs) > LOCAL_INDEXES_MAX:
        raise Refused(LIMIT_EXCEEDED, f"a table has at most {LOCAL_INDEXES_MAX} local indexes")
    for spec in specs:
        _check(spec, range_key)


def _check(spec: IndexSpec, range_key: bool) -> None:
    sizes_fit = 1 <= len(spec.hash) <= KEY_ATTRIBUTES_MAX and len(spec.range) <= KEY_ATTRIBUTES_MAX
    types_fit = all(key.name and key.type in ("S", "N", "B") for key in [*spec.hash, *spec.range])
    projection_fits = spec.projection in ("ALL", "KEYS_ONLY", "INCLUDE")
    if not (spec.name and "/" not in spec.name and sizes_fit and types_fit and projection_fits):
        raise Refused(INVALID, f"index {spec.name!r} has no keys or no projection that an index can have")
    if not spec.is_global and not (range_key and len(spec.hash) == len(spec.range) == 1):
        raise Refused(INVALID, f"local index {spec.name} needs one range key, in a table that has one too")


def define(spec: IndexSpec, number: int, filling: list[PartitionId]) -> IndexDefinition:
    """The definition that a spec stands for; a local index is there at once."""
    fields = msgspec.structs.asdict(spec)
    status = "CREATING" if spec.is_global else "ACTIVE"
    return IndexDefinition(id=number, status=status, filling=filling, **fields)


def holder(table: TableDefinition, index: IndexDefinition) -> TableDefinition:
    """The table that holds a global index."""
    name = index_table(table.name, index.name)
    seed = f"{table.table_id} {index.id}".encode()
    return msgspec.structs.replace(
        table,
        name=name,
        table_id=f"{table.table_id}-{xxhash.xxh3_64_hexdigest(seed)}",
        hash_key=index.hash[0],
        range_key=index.range[0] if index.range else None,
        status="CREATING",
        deletion_protection=False,
        tags={},
        read_units=index.read_units,
        write_units=index.write_units,
        options=_options(index),
        indexes=[],
        index_version=0,
        next_index=1,
        index_of=table.name,
    )


def _options(index: IndexDefinition) -> TableOptions:
    return TableOptions(read_requests_max=index.read_requests_max, write_requests_max=index.write_requests_max)


def bring_units(contents: Contents, table: TableDefinition) -> None:
    """Gives the tables that hold the global indexes the billing mode of their table and the units of their index."""
    for index in table.indexes:
        held = contents.tables.get(index_table(table.name, index.name)) if index.is_global else None
        if held is None:
            continue
        after = msgspec.structs.replace(
            held,
            billing_mode=table.billing_mode,
            read_units=index.read_units,
            write_units=index.write_units,
            options=_options(index),
        )
        if after != held:
            contents.put_table(after)


def check_addition(table: TableDefinition, spec: IndexSpec) -> None:
    """Refuses an index that an existing table may not get now."""
    assert spec.is_global
    if table.index(spec.name) is not None:
        raise Refused(INVALID, f"Attempting to create an index which already exists: {spec.name}")
    if any(index.is_global and index.status != "ACTIVE" for index in table.indexes):
        raise Refused(LIMIT_EXCEEDED, ONE_AT_A_TIME)
    if sum(index.is_global for index in table.indexes) >= GLOBAL_INDEXES_MAX:
        raise Refused(
            LIMIT_EXCEEDED,
            f"One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of "
            f"{GLOBAL_INDEXES_MAX}",
        )
    _check(spec, table.range_key is not None)


def add(contents: Contents, table: TableDefinition, spec: IndexSpec) -> TableDefinition:
    """The table with one more index, which its partitions are to fill."""
    index = define(spec, table.next_index, list(contents.by_table[table.name]))
    return msgspec.structs.replace(
        table, indexes=[*table.indexes, index], next_index=index.id + 1, index_version=contents.version
    )


def drop(contents: Contents, table: TableDefinition, name: str) -> TableDefinition:
    """The table without the index, whose own table is removed."""
    contents.remove_table(index_table(table.name, name))
    kept = [index for index in table.indexes if index.name != name]
    return msgspec.structs.replace(table, indexes=kept, index_version=contents.version)


def check_known(table: TableDefinition, name: str) -> None:
    """Refuses the name of a global index that the table does not have."""
    index = table.index(name)
    if index is None or not index.is_global:
        raise Refused(RESOURCE_NOT_FOUND, "Requested resource not found")


def with_units(table: TableDefinition, units: IndexUnits) -> TableDefinition:
    """The table with other units of one index. Refuses what does not change anything, as the service does."""
    index = table.index(units.name)
    if index is None or not index.is_global:
        raise Refused(RESOURCE_NOT_FOUND, "Requested resource not found")
    if index.status != "ACTIVE":
        raise Refused(RESOURCE_IN_USE, f"Attempt to change a resource which is still in use: Index: {units.name}")
    fields = {name: value for name, value in msgspec.structs.asdict(units).items() if value is not None}
    changed = msgspec.structs.replace(index, **fields)
    if changed == index and units.read_units is not None:
        raise Refused(
            INVALID,
            f"The provisioned throughput for the index {units.name} will not change. The requested value equals the "
            f"current value. Current ReadCapacityUnits provisioned for the index: {index.read_units}. Requested "
            f"ReadCapacityUnits: {units.read_units}. Current WriteCapacityUnits provisioned for the index: "
            f"{index.write_units}. Requested WriteCapacityUnits: {units.write_units}. Refer to the Amazon DynamoDB "
            "Developer Guide for current limits and how to request higher limits.",
        )
    return _replaced(table, changed)


def report_filled(contents: Contents, command: ReportFilled) -> None:
    """A partition's older rows are in these indexes."""
    entry = contents.partitions.get(command.partition)
    table = contents.tables.get(entry.table) if entry is not None else None
    if table is None:
        return
    after = table
    for number in command.indexes:
        index = next((one for one in after.indexes if one.id == number), None)
        if index is not None and command.partition in index.filling:
            filling = [partition for partition in index.filling if partition != command.partition]
            after = _replaced(after, msgspec.structs.replace(index, filling=filling))
    if after != table:
        contents.put_table(after)
        activate(contents, table.name)


def being_filled(tables: Mapping[str, TableDefinition], table: TableDefinition) -> str:
    """The first of the table's global indexes, or the one that the table holds, that is not active yet; "" none."""
    owner = tables.get(table.index_of) if table.index_of else table
    if owner is None:
        return ""
    for index in owner.indexes:
        is_meant = index_table(owner.name, index.name) == table.name if table.index_of else index.is_global
        if is_meant and index.status != "ACTIVE":
            return index.name
    return ""


def inherit_filling(contents: Contents, name: str, left: PartitionId, right: PartitionId) -> None:
    """Of a split that nobody knew of when an index came: what the left half has yet to bring, the right one has too."""
    table = contents.tables.get(name)
    if table is None:
        return  # The catalog's own partition is in no table.
    after = table
    for index in table.indexes:
        if left in index.filling:
            after = _replaced(after, msgspec.structs.replace(index, filling=[*index.filling, right]))
    if after != table:
        contents.put_table(after)


def activate(contents: Contents, name: str) -> None:
    """Brings the status of a table and of its indexes on, where nothing is waited for any more. `name`: the table's or
    that of one that holds an index of it."""
    table = contents.tables.get(name)
    if table is not None and table.status == "CREATING" and not contents.waiting.get(name) and table.index_of:
        contents.put_table(msgspec.structs.replace(table, status="ACTIVE"))
    owner = contents.tables.get(table.index_of) if table is not None and table.index_of else table
    if owner is None:
        return
    after = owner
    for index in owner.indexes:
        if index.status == "CREATING" and not index.filling and _is_served(contents, owner, index):
            after = _replaced(after, msgspec.structs.replace(index, status="ACTIVE"))
    begun_with = all(index.status == "ACTIVE" or index.filling for index in after.indexes)
    if after.status == "CREATING" and not contents.waiting.get(after.name) and begun_with:
        after = msgspec.structs.replace(after, status="ACTIVE")
    if after != owner:
        contents.put_table(after)


def _is_served(contents: Contents, table: TableDefinition, index: IndexDefinition) -> bool:
    held = contents.tables.get(index_table(table.name, index.name))
    return held is not None and held.status == "ACTIVE"


def _replaced(table: TableDefinition, index: IndexDefinition) -> TableDefinition:
    return msgspec.structs.replace(table, indexes=[index if one.id == index.id else one for one in table.indexes])
