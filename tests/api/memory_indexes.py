"""Secondary indexes of the backend in memory: each write brings them along at once."""

import msgspec

from keystead_core.catalog.indexes import define, holder
from keystead_core.cluster_map import IndexSpec, TableDefinition, index_table
from keystead_core.ids import PartitionId
from keystead_core.indexes.entries import RowIndexer, indexes_of

Rows = dict[bytes, bytes]
_PARTITION = PartitionId(1)


class MemoryIndexes:
    """`tables`, `rows`: the backend's; what holds a global index is in them too. `local`: entries of local indexes, by
    table and the index's id. `slow`: a new index of an existing table stays CREATING until it is finished."""

    def __init__(self, tables: dict[str, TableDefinition], rows: dict[str, Rows]) -> None:
        self.local: dict[tuple[str, int], Rows] = {}
        self.slow = False
        self._tables = tables
        self._rows = rows

    def create(self, table: TableDefinition, specs: list[IndexSpec]) -> TableDefinition:
        """The new table with its indexes."""
        indexes = [define(spec, number, []) for number, spec in enumerate(specs, 1)]
        for index in indexes:
            table = self._add(table, index.name, [*table.indexes, msgspec.structs.replace(index, status="ACTIVE")])
        return table

    def add(self, table: TableDefinition, spec: IndexSpec) -> TableDefinition:
        filling = [_PARTITION] if self.slow else []
        index = define(spec, table.next_index, filling)
        if not self.slow:
            index = msgspec.structs.replace(index, status="ACTIVE")
        table = self._add(table, spec.name, [*table.indexes, index])
        for row_key, value in list(self._rows[table.name].items()):
            self.on_write(table, row_key, None, value)
        return table

    def _add(self, table: TableDefinition, name: str, indexes: list[object]) -> TableDefinition:
        table = msgspec.structs.replace(table, indexes=indexes, next_index=table.next_index + 1)
        index = table.index(name)
        assert index is not None
        if index.is_global:
            held = msgspec.structs.replace(holder(table, index), status="ACTIVE")
            self._tables[held.name] = held
            self._rows[held.name] = {}
        else:
            self.local[table.name, index.id] = {}
        return table

    def finish(self, name: str) -> None:
        """The older rows are in all indexes now."""
        table = self._tables[name]
        done = [msgspec.structs.replace(index, status="ACTIVE", filling=[]) for index in table.indexes]
        self._tables[name] = msgspec.structs.replace(table, indexes=done)

    def drop(self, table: TableDefinition, name: str) -> TableDefinition:
        self._forget(table, name)
        return msgspec.structs.replace(table, indexes=[index for index in table.indexes if index.name != name])

    def drop_all(self, table: TableDefinition) -> None:
        for index in table.indexes:
            if index.is_global:
                self._forget(table, index.name)

    def _forget(self, table: TableDefinition, name: str) -> None:
        held = index_table(table.name, name)
        del self._tables[held], self._rows[held]

    def on_write(self, table: TableDefinition, row_key: bytes, old: bytes | None, new: bytes | None) -> None:
        """`table` as the catalog has it."""
        if not table.indexes:
            return
        indexer = RowIndexer(indexes_of(table, _PARTITION))
        for number, (key, value) in indexer.local_changes(row_key, old, new).entries:
            _put(self.local[table.name, number], key, value)
        for rule, (key, value) in indexer.global_changes(row_key, old, new):
            _put(self._rows[index_table(table.name, rule.index.name)], key, value)


def _put(rows: Rows, key: bytes, value: bytes | None) -> None:
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value
