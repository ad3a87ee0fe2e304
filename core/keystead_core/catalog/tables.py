"""Tables: made with their partitions placed, changed, deleted.

    create --> CREATING --each partition has reported a master--> ACTIVE --delete--> gone

A deleted table is out of the map at once. Its partitions' ids stay known as deleted for ever (`ClusterMap.is_deleted`),
which is what lets nodes drop their replicas, those that were away included; so the name is free again at once.
"""

import msgspec
import xxhash

from keystead_core.catalog import indexes
from keystead_core.catalog.commands import ChangeTable, CreateTable, DeleteTable, TableSpec, UpdateTable
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.groups import found_group, placement_rule
from keystead_core.catalog.results import (
    DELETION_PROTECTED,
    IMMUTABLE,
    INSUFFICIENT_NODES,
    INSUFFICIENT_ZONES,
    INVALID,
    LIMIT_EXCEEDED,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
    CatalogReply,
    Refused,
)
from keystead_core.catalog.table_changes import changed, refuse_managed
from keystead_core.cluster_map import ClusterSettings, IndexSpec, TableDefinition, TableOptions, index_table
from keystead_core.ids import NodeId
from keystead_core.keyspace import split_ranges
from keystead_core.ledger import sites_of
from keystead_core.placement import InsufficientNodes, InsufficientZones, place

REPLICAS_MAX = 7


def create(contents: Contents, command: CreateTable) -> CatalogReply:
    """Makes a table and places its partitions."""
    name = command.table.name
    if name in contents.tables:
        raise Refused(RESOURCE_IN_USE, f"Table already exists: {name}")
    spec = with_defaults(command.table, contents.meta.settings)
    _check(spec)
    indexes.check_indexes(name, command.indexes, spec.range_key is not None)
    holders = sum(index.is_global for index in command.indexes)
    _check_limits(contents, spec, spec.partitions * (1 + holders))
    groups = _place(contents, spec, spec.partitions * (1 + holders))
    table_id = _table_id(command.seed, name)
    table = define(spec, command.options, table_id=table_id, created_at=command.at, status="CREATING")
    found = [indexes.define(index, number, []) for number, index in enumerate(command.indexes, 1)]
    if found:
        version = contents.version
        table = msgspec.structs.replace(table, indexes=found, next_index=len(found) + 1, index_version=version)
    _found(contents, table, groups[: spec.partitions])
    held = [index for index in found if index.is_global]
    for place_of, index in enumerate(held, 1):
        _found(
            contents,
            indexes.holder(table, index),
            groups[spec.partitions * place_of : spec.partitions * (place_of + 1)],
        )
    return CatalogReply(table=table)


def _found(contents: Contents, table: TableDefinition, groups: list[list[NodeId]]) -> None:
    """Puts a table and its partitions into the map."""
    contents.put_table(table)
    quorum = table.write_quorum or table.replicas // 2 + 1
    for span, members in zip(split_ranges(table.partitions), groups, strict=True):
        nodes = [contents.nodes[node] for node in members]
        found_group(contents, table.name, (span[0], span[1]), nodes, quorum, table.durable_zones)


def _place(contents: Contents, spec: TableSpec, count: int) -> list[list[NodeId]]:
    rule = placement_rule(contents)
    sites = sites_of(list(contents.nodes.values()), rule)
    try:
        return place(count, spec.replicas, spec.durable_zones, sites, contents.ledger, rule)
    except InsufficientNodes as error:
        raise Refused(INSUFFICIENT_NODES, f"table {spec.name} cannot be placed: {error}") from error
    except InsufficientZones as error:
        raise Refused(INSUFFICIENT_ZONES, f"table {spec.name} cannot be placed: {error}") from error


def with_defaults(spec: TableSpec, settings: ClusterSettings) -> TableSpec:
    """The spec with the cluster's defaults where it says 0."""
    return msgspec.structs.replace(
        spec,
        partitions=spec.partitions or settings.partitions,
        replicas=spec.replicas or settings.replicas,
        write_quorum=spec.write_quorum or (0 if spec.replicas else settings.write_quorum),
        durable_zones=spec.durable_zones or min(settings.durable_zones, spec.replicas or settings.replicas),
    )


def define(spec: TableSpec, options: TableOptions, *, table_id: str, created_at: float, status: str) -> TableDefinition:
    """The definition that a spec (with its defaults) and options stand for."""
    fields = msgspec.structs.asdict(spec)
    return TableDefinition(table_id=table_id, created_at=created_at, status=status, options=options, **fields)


def _check(spec: TableSpec) -> None:
    if not spec.name:
        raise Refused(INVALID, "a table needs a name")
    for key in (spec.hash_key, spec.range_key):
        if key is not None and (not key.name or key.type not in ("S", "N", "B")):
            raise Refused(
                INVALID, f"a key attribute needs a name and the type S, N or B, not {key.name!r}:{key.type!r}"
            )
    if spec.range_key is not None and spec.range_key.name == spec.hash_key.name:
        raise Refused(INVALID, f"the hash key and the range key of {spec.name} are both called {spec.hash_key.name}")
    if spec.partitions < 1:
        raise Refused(INVALID, f"a table has one partition or more, not {spec.partitions}")
    check_quorum(spec.replicas, spec.write_quorum, spec.durable_zones)


def check_quorum(replicas: int, write_quorum: int, durable_zones: int) -> None:
    """Refuses numbers that no group can have: it needs N/2 < W <= N (0: a majority) and 1 <= K <= N."""
    if not 1 <= replicas <= REPLICAS_MAX:
        raise Refused(INVALID, f"a partition has 1 to {REPLICAS_MAX} replicas, not {replicas}")
    if write_quorum and not replicas < 2 * write_quorum <= 2 * replicas:
        raise Refused(
            INVALID,
            f"a write quorum of {write_quorum} does not fit {replicas} replicas: "
            f"it must be {replicas // 2 + 1} to {replicas}, or 0 for a majority",
        )
    if not 1 <= durable_zones <= replicas:
        raise Refused(INVALID, f"{replicas} replicas cannot be in {durable_zones} zones")


def _check_limits(contents: Contents, spec: TableSpec, partitions: int) -> None:
    settings = contents.meta.settings
    if sum(not table.index_of for table in contents.tables.values()) >= settings.tables_max:
        raise Refused(LIMIT_EXCEEDED, f"the cluster has {len(contents.tables)} tables, the most that it may have")
    if spec.partitions > settings.partitions_per_table_max:
        raise Refused(
            LIMIT_EXCEEDED,
            f"a table may have {settings.partitions_per_table_max} partitions, {spec.name} asks for {spec.partitions}",
        )
    _check_room(contents, spec.name, partitions)


def _check_room(contents: Contents, name: str, partitions: int) -> None:
    settings = contents.meta.settings
    have = contents.partitions_to_be()
    if have + partitions > settings.partitions_max:
        raise Refused(
            LIMIT_EXCEEDED,
            f"the cluster may have {settings.partitions_max} partitions and has {have}: "
            f"{partitions} more for {name} are too many",
        )


def _table_id(seed: bytes, name: str) -> str:
    """A UUID of version 8 (made by a rule of our own) from the command's seed."""
    digits = xxhash.xxh3_128_hexdigest(seed + b"\x00" + name.encode())
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def update(contents: Contents, command: UpdateTable) -> CatalogReply:
    """Brings a table's definition to what is asked for. More or fewer replicas follow as the operator sets targets."""
    table = _known(contents, command.table.name)
    if table.managed_by and table.managed_by != command.manager:
        refuse_managed(table, "changed")
    if command.table.managed_by not in ("", command.manager):
        raise Refused(INVALID, f"{command.manager or 'the API'} cannot hand a table to {command.table.managed_by}")
    asked = command.table
    if not asked.partitions:
        asked = msgspec.structs.replace(asked, partitions=table.partitions)
    spec = with_defaults(asked, contents.meta.settings)
    _check(spec)
    if (spec.hash_key, spec.range_key) != (table.hash_key, table.range_key):
        raise Refused(IMMUTABLE, f"the keys of table {table.name} cannot be changed")
    if spec.partitions != table.partitions:
        raise Refused(
            IMMUTABLE,
            f"table {table.name} has {table.partitions} partitions; their number changes by splits, not by an update",
        )
    after = msgspec.structs.replace(table, **msgspec.structs.asdict(spec))
    if after == table:
        return CatalogReply(table=table)
    if (spec.replicas, spec.durable_zones) != (table.replicas, table.durable_zones):
        _place(contents, spec, 1)
    contents.put_table(after)
    _bring_rules(contents, after)
    for index in after.indexes:
        if index.is_global:
            _bring_rules(contents, _like(contents, after, index_table(after.name, index.name)))
    indexes.bring_units(contents, after)
    return CatalogReply(table=after)


def _like(contents: Contents, table: TableDefinition, name: str) -> TableDefinition:
    """The table that holds an index, replicated as the index's own table is."""
    held = msgspec.structs.replace(
        contents.tables[name],
        replicas=table.replicas,
        write_quorum=table.write_quorum,
        durable_zones=table.durable_zones,
        managed_by=table.managed_by,
        partitions_max=table.partitions_max,
    )
    contents.put_table(held)
    return held


def _bring_rules(contents: Contents, table: TableDefinition) -> None:
    quorum = table.write_quorum or table.replicas // 2 + 1
    for partition in contents.by_table[table.name]:
        entry = contents.partitions[partition]
        if (entry.write_quorum, entry.durable_zones) != (quorum, table.durable_zones):
            contents.put_partition(
                msgspec.structs.replace(entry, write_quorum=quorum, durable_zones=table.durable_zones)
            )


def change(contents: Contents, command: ChangeTable) -> CatalogReply:
    """Changes what the API, or the table's manager, asks to change; all of it, or nothing."""
    table = _known(contents, command.name)
    has_index_change = bool(command.new_index or command.old_index or command.change.index_units)
    if table.managed_by not in ("", command.manager) and has_index_change:
        refuse_managed(table, "changed")
    after = changed(table, command.change, command.at, command.manager)
    for units in command.change.index_units:
        after = indexes.with_units(after, units)
    if command.old_index:
        indexes.check_known(table, command.old_index)
        after = indexes.drop(contents, after, command.old_index)
    elif command.new_index is not None:
        after = _with_index(contents, after, command.new_index)
    if after != table:
        contents.put_table(after)
        indexes.bring_units(contents, after)
    return CatalogReply(table=after)


def _with_index(contents: Contents, table: TableDefinition, spec: IndexSpec) -> TableDefinition:
    """Places a global index that comes to an existing table."""
    indexes.check_addition(table, spec)
    if any(contents.partitions[p].split or contents.partitions[p].left for p in contents.by_table[table.name]):
        raise Refused(RESOURCE_IN_USE, f"a partition of table {table.name} is being split: try again when it is done")
    count = len(contents.by_table[table.name])
    _check_room(contents, index_table(table.name, spec.name), count)
    groups = _place(contents, as_spec(table), count)
    after = indexes.add(contents, table, spec)
    held = msgspec.structs.replace(indexes.holder(after, after.indexes[-1]), partitions=count)
    _found(contents, held, groups)
    return after


def as_spec(table: TableDefinition) -> TableSpec:
    """A table in the form in which one asks for it."""
    fields = msgspec.structs.asdict(table)
    return TableSpec(**{name: fields[name] for name in TableSpec.__struct_fields__})


def delete(contents: Contents, command: DeleteTable) -> CatalogReply:
    """Removes a table from the map."""
    table = _known(contents, command.name)
    if command.table_id not in ("", table.table_id):
        raise Refused(RESOURCE_NOT_FOUND, f"table {table.name} of id {command.table_id} is gone; there is another one")
    if table.managed_by and table.managed_by != command.manager:
        refuse_managed(table, "deleted")
    if table.deletion_protection:
        raise Refused(DELETION_PROTECTED, f"table {table.name} is protected from deletion; lift the protection first")
    for index in table.indexes:
        if index.is_global:
            contents.remove_table(index_table(table.name, index.name))
    contents.remove_table(table.name)
    return CatalogReply(table=msgspec.structs.replace(table, status="DELETING"))


def _known(contents: Contents, name: str) -> TableDefinition:
    table = contents.tables.get(name)
    if table is None or table.index_of:
        raise Refused(RESOURCE_NOT_FOUND, f"Requested resource not found: Table: {name} not found")
    return table
