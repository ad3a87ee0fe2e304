"""A Backend that holds requests to the units of their table, over one that does them.

What a write of a new value costs is known before, and is spent before; what a read costs, and what a write costs on
account of the item before it, only afterwards: the least that it can be is spent before, and the rest then, on credit.
What was surely not done is given back.

A table without limits costs its requests a look into a dictionary and a sum. What those consume is estimated from the
stored JSON; nothing is decoded for it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import IndexSpec, TableDefinition, index_table
from keystead_core.items import row_size
from keystead_core.log.ops import Change
from keystead_core.row_changes import DONE, decode_outcome, with_sizes
from keystead_node.api.backend import Backend
from keystead_node.api.capacity import read_units, row_read_units, row_write_units, write_units
from keystead_node.api.errors import ApiError, OutcomeUnknown, failure_of
from keystead_node.api.index_capacity import index_write_units
from keystead_node.api.pages import ROW_BYTES, TURN_BYTES
from keystead_node.metering import Meter, Metering
from keystead_node.table_use import KindUse, TableUse, TableUses

Rows = list[tuple[bytes, bytes]]


class MeteredBackend:
    """`inner` finds and changes rows; it is not asked for what is refused."""

    def __init__(self, inner: Backend, metering: Metering, uses: TableUses) -> None:
        self._inner = inner
        self._metering = metering
        self._uses = uses

    # -- what costs no units --------------------------------------------------------------------------------------

    def table(self, name: str) -> TableDefinition | None:
        return self._inner.table(name)

    async def resolve_table(self, name: str) -> TableDefinition | None:
        return await self._inner.resolve_table(name)

    async def create_table(self, definition: TableDefinition, indexes: list[IndexSpec]) -> TableDefinition:
        return await self._inner.create_table(definition, indexes)

    async def change_table(
        self, name: str, change: TableChange, new_index: IndexSpec | None = None, old_index: str = ""
    ) -> TableDefinition:
        return await self._inner.change_table(name, change, new_index, old_index)

    async def delete_table(self, name: str) -> TableDefinition:
        return await self._inner.delete_table(name)

    async def list_tables(self) -> list[str]:
        return await self._inner.list_tables()

    async def table_sizes(self, name: str) -> tuple[int, int]:
        return await self._inner.table_sizes(name)

    async def collection_size(self, table: TableDefinition, hash_part: bytes) -> int:
        return await self._inner.collection_size(table, hash_part)

    # -- writes ---------------------------------------------------------------------------------------------------

    def write(
        self, table: TableDefinition, row_key: bytes, value: bytes | None, want_old: bool
    ) -> Coroutine[Any, Any, bytes | None]:
        use = self._uses.of(table)
        if use.writes.limits.are_none:
            use.writes.consumed += write_units(0 if value is None else len(value))
            return self._inner.write(table, row_key, value, want_old)
        return self._metered_write(use, table, row_key, value, want_old)

    async def write_rows(self, table: TableDefinition, changes: list[Change]) -> list[Exception | None]:
        """Where there are limits each row is admitted, or refused, by itself."""
        use = self._uses.of(table)
        if use.writes.limits.are_none:
            use.writes.consumed += sum([write_units(0 if value is None else len(value)) for _, value in changes])
            return await self._inner.write_rows(table, changes)
        outcomes = await asyncio.gather(
            *(self._metered_write(use, table, row_key, value, False) for row_key, value in changes),
            return_exceptions=True,
        )
        return [failure_of(outcome) for outcome in outcomes]

    async def _metered_write(
        self, use: TableUse, table: TableDefinition, row_key: bytes, value: bytes | None, want_old: bool
    ) -> bytes | None:
        units = row_write_units(value)
        meters = await self._admit(use, use.writes, row_key, units)
        indexes: dict[str, TableUse] = {}
        try:
            await self._admit_to_indexes(table, indexes)
            old = await self._inner.write(table, row_key, value, True)
        except ApiError as error:
            self._give_back(use.writes, meters, units, error, indexes)
            raise
        self._charge(use.writes, meters, row_write_units(old, at_least=units) - units)
        if indexes:
            self._charge_indexes(indexes, index_write_units(table, row_key, old, value))
        return old if want_old else None

    def change(self, table: TableDefinition, row_key: bytes, change: bytes) -> Coroutine[Any, Any, bytes]:
        use = self._uses.of(table)
        if use.writes.limits.are_none:
            use.writes.consumed += 1.0
            return self._inner.change(table, row_key, change)
        return self._metered_change(use, table, row_key, change)

    async def _metered_change(self, use: TableUse, table: TableDefinition, row_key: bytes, change: bytes) -> bytes:
        """A change whose condition does not hold costs what the item is large, as with the service."""
        meters = await self._admit(use, use.writes, row_key, 1.0)
        indexes: dict[str, TableUse] = {}
        try:
            await self._admit_to_indexes(table, indexes)
            answer = await self._inner.change(table, row_key, with_sizes(change, rows=bool(indexes)))
        except ApiError as error:
            self._give_back(use.writes, meters, 1.0, error, indexes)
            raise
        outcome = decode_outcome(answer)
        self._charge(use.writes, meters, write_units(max(outcome.old_size, outcome.new_size)) - 1.0)
        if indexes:
            done = outcome.status == DONE
            units = index_write_units(table, row_key, outcome.old_row, outcome.new_row) if done else {}
            self._charge_indexes(indexes, units)
        return answer

    # -- writes of global indexes ---------------------------------------------------------------------------------

    async def _admit_to_indexes(self, table: TableDefinition, admitted: dict[str, TableUse]) -> None:
        """Spends a unit of each global index that the write may use up, and notes it by name. A write waits for all of
        them, or is refused, as the service does it: else an index could only fall behind. Raises CapacityExceeded."""
        for index in table.indexes:
            holder = self._inner.table(index_table(table.name, index.name)) if index.is_global else None
            if holder is None:
                continue
            use = self._uses.of(holder)
            if use.writes.whole is None:
                continue
            await self._spend_one(use, use.writes.whole)
            admitted[index.name] = use

    async def _spend_one(self, use: TableUse, meter: Meter) -> None:
        """A unit in advance of what the write will have cost the index. Raises CapacityExceeded."""
        if meter.allowance.tokens > meter.allowance.low:
            self._charge(use.writes, (meter,), 1.0)
            return
        cause = await self._metering.admit((meter,), 1.0)
        if cause is not None:
            use.writes.throttled += 1.0
            if self._metering.settings.is_enforced:
                raise use.exceeded(use.writes, cause)
        use.writes.consumed += 1.0

    def _charge_indexes(self, uses: dict[str, TableUse], units: dict[str, float]) -> None:
        """What the write has cost each index, beyond the unit that was spent; nothing where `units` lacks it."""
        for name, use in uses.items():
            if use.writes.whole is not None:
                self._charge(use.writes, (use.writes.whole,), units.get(name, 0.0) - 1.0)

    # -- reads ----------------------------------------------------------------------------------------------------

    async def read(self, table: TableDefinition, row_key: bytes, consistent: bool) -> bytes | None:
        use = self._uses.of(table)
        if use.reads.limits.are_none:
            value = await self._inner.read(table, row_key, consistent)
            use.reads.consumed += read_units(0 if value is None else len(value), consistent)
            return value
        least = read_units(0, consistent)
        meters = await self._admit(use, use.reads, row_key, least)
        try:
            value = await self._inner.read(table, row_key, consistent)
        except ApiError as error:
            self._give_back(use.reads, meters, least, error)
            raise
        self._charge(use.reads, meters, row_read_units(value, consistent) - least)
        return value

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
    ) -> tuple[Rows, bytes | None]:
        """A scan over several partitions counts as one of that which it begins in."""
        use = self._uses.of(table)
        if use.reads.limits.are_none:
            found = await self._inner.scan(table, low, high, consistent, max_rows, max_bytes, backwards, index)
            use.reads.consumed += read_units(sum(len(value) for _, value in found[0]), consistent)
            return found
        least = read_units(0, consistent)
        meters = await self._admit(use, use.reads, low, least)
        try:
            found = await self._inner.scan(table, low, high, consistent, max_rows, max_bytes, backwards, index)
        except ApiError as error:
            self._give_back(use.reads, meters, least, error)
            raise
        self._charge(use.reads, meters, read_units(await _size_of(found[0]), consistent) - least)
        return found

    # -- units ----------------------------------------------------------------------------------------------------

    async def _admit(self, use: TableUse, kind_use: KindUse, row_key: bytes, units: float) -> tuple[Meter, ...]:
        """Spends the units; returns where what the request costs beyond is to be spent. Raises CapacityExceeded."""
        meters = self._uses.meters(kind_use, use.table, row_key)
        for meter in meters:
            if meter.allowance.tokens <= meter.allowance.low:
                break
        else:
            self._charge(kind_use, meters, units)
            return meters
        cause = await self._metering.admit(meters, units)
        if cause is not None:
            kind_use.throttled += units
            if self._metering.settings.is_enforced:
                raise use.exceeded(kind_use, cause)
            meters = ()  # Only observed: were it enforced, nothing would have been spent.
        kind_use.consumed += units
        return meters

    def _give_back(
        self,
        kind_use: KindUse,
        meters: tuple[Meter, ...],
        units: float,
        error: ApiError,
        indexes: dict[str, TableUse] | None = None,
    ) -> None:
        """What the request spent, unless it may have been done."""
        if not isinstance(error, OutcomeUnknown):
            self._charge(kind_use, meters, -units)
            self._charge_indexes(indexes or {}, {})

    def _charge(self, kind_use: KindUse, meters: tuple[Meter, ...], units: float) -> None:
        """What is owed is told to the accountant soon: other nodes hand out of the same."""
        kind_use.consumed += units
        for meter in meters:
            meter.allowance.spend(units)
            if meter.allowance.tokens < 0:
                self._metering.refill((meter,), self._metering.clock())


async def _size_of(rows: Rows) -> int:
    """The sizes of all items. What is under a unit as it is stored need not be looked into."""
    stored = sum(len(value) for _, value in rows)
    if stored <= TURN_BYTES // 16:
        return stored
    size = turn = 0
    for _, value in rows:
        size += row_size(value)
        turn += len(value) + ROW_BYTES
        if turn >= TURN_BYTES:
            turn = 0
            await asyncio.sleep(0)
    return size
