"""A Backend in memory: a sorted list of rows per table, with failures on demand."""

import bisect

import msgspec

from keystead_core.catalog.results import Refused
from keystead_core.catalog.table_changes import TableChange, changed
from keystead_core.cluster_map import TableDefinition
from keystead_core.row_changes import decide
from keystead_node.api.errors import ApiError, named_table_not_found, table_already_exists, table_error


class MemoryBackend:
    """`failures`: raised, in turn, by the next reads and writes (None: that one succeeds). `rows_per_scan`: where a
    partition ends, as it were. `hidden`: tables that the local map does not know yet."""

    def __init__(self) -> None:
        self.tables: dict[str, TableDefinition] = {}
        self.rows: dict[str, dict[bytes, bytes]] = {}
        self.failures: list[ApiError | None] = []
        self.rows_per_scan = 7
        self.hidden: set[str] = set()
        self.consistent_reads: list[bool] = []
        self.writes = 0

    def table(self, name: str) -> TableDefinition | None:
        return None if name in self.hidden else self.tables.get(name)

    async def resolve_table(self, name: str) -> TableDefinition | None:
        return self.tables.get(name)

    async def create_table(self, definition: TableDefinition) -> TableDefinition:
        if definition.name in self.tables:
            raise table_already_exists(definition.name)
        msgspec.msgpack.encode(definition)  # what the catalog logs
        created = msgspec.structs.replace(definition, table_id="id-1", created_at=1_700_000_000.25, status="ACTIVE")
        self.tables[created.name] = created
        self.rows[created.name] = {}
        return msgspec.structs.replace(created, status="CREATING")

    async def change_table(self, name: str, change: TableChange) -> TableDefinition:
        if name not in self.tables:
            raise named_table_not_found(name)
        msgspec.msgpack.encode(change)  # what the catalog logs
        try:
            self.tables[name] = changed(self.tables[name], change, 1_700_000_100.5)
        except Refused as refusal:
            raise table_error(refusal.code, str(refusal)) from None
        return self.tables[name]

    async def delete_table(self, name: str) -> TableDefinition:
        if name not in self.tables:
            raise named_table_not_found(name)
        del self.rows[name]
        return msgspec.structs.replace(self.tables.pop(name), status="DELETING")

    async def list_tables(self) -> list[str]:
        return list(self.tables)

    async def write(self, table: TableDefinition, row_key: bytes, value: bytes | None, want_old: bool) -> bytes | None:
        self._fail()
        self.writes += 1
        rows = self.rows[table.name]
        old = rows.pop(row_key, None) if value is None else rows.get(row_key)
        if value is not None:
            rows[row_key] = value
        return old if want_old else None

    async def change(self, table: TableDefinition, row_key: bytes, change: bytes) -> bytes:
        self._fail()
        rows = self.rows[table.name]
        decision = decide(change, rows.get(row_key))
        if decision.writes:
            self.writes += 1
            rows.pop(row_key, None)
            if decision.value is not None:
                rows[row_key] = decision.value
        return decision.answer

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
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        self._fail()
        msgspec.msgpack.encode((low, high, max_rows, max_bytes))  # what goes to another node
        self.consistent_reads.append(consistent)
        rows = self.rows[table.name]
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

    def _fail(self) -> None:
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure
