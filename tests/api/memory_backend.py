"""A Backend in memory: a sorted list of rows per table, with failures on demand."""

import bisect

import msgspec

from keystead_core.catalog.indexes import check_addition, check_indexes, with_units
from keystead_core.catalog.results import Refused
from keystead_core.catalog.table_changes import TableChange, changed
from keystead_core.cluster_map import IndexDefinition, IndexSpec, TableDefinition
from keystead_core.log.ops import Change
from keystead_core.row_changes import decide
from keystead_node.api.errors import ApiError, named_table_not_found, table_already_exists, table_error
from tests.api.memory_indexes import MemoryIndexes


def _as_created(index: IndexDefinition) -> str:
    return "CREATING" if index.is_global else "ACTIVE"


class MemoryBackend:
    """`failures`: raised, in turn, by the next reads and writes (None: that one succeeds). `rows_per_scan`: where a
    partition ends, as it were. `hidden`: tables that the local map does not know yet. `collection_bytes`: the size of
    every item collection."""

    def __init__(self) -> None:
        self.tables: dict[str, TableDefinition] = {}
        self.rows: dict[str, dict[bytes, bytes]] = {}
        self.failures: list[ApiError | None] = []
        self.rows_per_scan = 7
        self.hidden: set[str] = set()
        self.consistent_reads: list[bool] = []
        self.writes = 0
        self.indexes = MemoryIndexes(self.tables, self.rows)
        self.collection_bytes = 0

    def table(self, name: str) -> TableDefinition | None:
        return None if name in self.hidden else self.tables.get(name)

    async def resolve_table(self, name: str) -> TableDefinition | None:
        return self.tables.get(name)

    async def create_table(self, definition: TableDefinition, indexes: list[IndexSpec]) -> TableDefinition:
        if definition.name in self.tables:
            raise table_already_exists(definition.name)
        check_indexes(definition.name, indexes, definition.range_key is not None)
        msgspec.msgpack.encode((definition, indexes))  # what the catalog logs
        created = msgspec.structs.replace(definition, table_id="id-1", created_at=1_700_000_000.25, status="ACTIVE")
        created = self.indexes.create(created, indexes)
        self.tables[created.name] = created
        self.rows[created.name] = {}
        creating = [msgspec.structs.replace(index, status=_as_created(index)) for index in created.indexes]
        return msgspec.structs.replace(created, status="CREATING", indexes=creating)

    async def change_table(
        self, name: str, change: TableChange, new_index: IndexSpec | None = None, old_index: str = ""
    ) -> TableDefinition:
        if name not in self.tables:
            raise named_table_not_found(name)
        msgspec.msgpack.encode(change)  # what the catalog logs
        try:
            after = changed(self.tables[name], change, 1_700_000_100.5)
            for units in change.index_units:
                after = with_units(after, units)
            if new_index is not None:
                check_addition(after, new_index)
        except Refused as refusal:
            raise table_error(refusal.code, str(refusal)) from None
        if old_index:
            after = self.indexes.drop(after, old_index)
        if new_index is not None:
            after = self.indexes.add(after, new_index)
        self.tables[name] = after
        return after

    async def delete_table(self, name: str) -> TableDefinition:
        if name not in self.tables:
            raise named_table_not_found(name)
        self.indexes.drop_all(self.tables[name])
        del self.rows[name]
        return msgspec.structs.replace(self.tables.pop(name), status="DELETING")

    async def list_tables(self) -> list[str]:
        return [name for name, table in self.tables.items() if not table.index_of]

    async def write(self, table: TableDefinition, row_key: bytes, value: bytes | None, want_old: bool) -> bytes | None:
        self._fail()
        self.writes += 1
        old = self._write(table, row_key, value)
        return old if want_old else None

    async def write_rows(self, table: TableDefinition, changes: list[Change]) -> list[Exception | None]:
        outcomes: list[Exception | None] = []
        for row_key, value in changes:
            try:
                await self.write(table, row_key, value, False)
                outcomes.append(None)
            except Exception as error:
                outcomes.append(error)
        return outcomes

    async def change(self, table: TableDefinition, row_key: bytes, change: bytes) -> bytes:
        self._fail()
        decision = decide(change, self.rows[table.name].get(row_key))
        if decision.writes:
            self.writes += 1
            self._write(table, row_key, decision.value)
        return decision.answer

    def _write(self, table: TableDefinition, row_key: bytes, value: bytes | None) -> bytes | None:
        rows = self.rows[table.name]
        old = rows.pop(row_key, None)
        if value is not None:
            rows[row_key] = value
        self.indexes.on_write(self.tables[table.name], row_key, old, value)
        return old

    async def read(self, table: TableDefinition, row_key: bytes, consistent: bool) -> bytes | None:
        self._fail()
        self.consistent_reads.append(consistent)
        return self.rows[table.name].get(row_key)

    async def scan(
        self,
        table: TableDefinition,
        low: bytes,
        high: bytes | None,
        consistent: bool,
        max_rows: int,
        max_bytes: int,
        backwards: bool = False,
        index: int = 0,
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        self._fail()
        msgspec.msgpack.encode((low, high, max_rows, max_bytes))  # what goes to another node
        self.consistent_reads.append(consistent)
        rows = self.indexes.local[table.name, index] if index else self.rows[table.name]
        keys = sorted(rows)
        begin = bisect.bisect_left(keys, low)
        end = len(keys) if high is None else bisect.bisect_left(keys, high)
        page: list[tuple[bytes, bytes]] = []
        for key in reversed(keys[begin:end]) if backwards else keys[begin:end]:
            if len(page) >= min(max_rows, self.rows_per_scan) or sum(len(value) for _, value in page) >= max_bytes:
                return page, page[-1][0]
            page.append((key, rows[key]))
        return page, None

    async def table_sizes(self, name: str) -> tuple[int, int]:
        return len(self.rows[name]), sum(map(len, self.rows[name].values()))

    async def collection_size(self, table: TableDefinition, hash_part: bytes) -> int:
        return self.collection_bytes

    def _fail(self) -> None:
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure
