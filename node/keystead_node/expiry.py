"""Expiry in the background: the masters of this node look through the rows of tables that have a time to live.

    each period: for every partition mastered here, page by page, at so many rows a second
        of each page, delete what is expired, as an ordinary replicated write

What is expired is decided in core/expiry.py. A delete must not hit an item that was written anew since: rows are read
and the delete is proposed in one turn of the event loop, at the only place where the partition's writes are numbered,
and a row with a write under way is left for the next round. So the delete stands in the log right behind the very
state that was judged.
"""

import asyncio
from collections.abc import Callable

import structlog

from keystead_core.cluster_map import PartitionEntry, TableDefinition
from keystead_core.expiry import ExpiryRule
from keystead_core.keyspace import next_key
from keystead_node.errors import NotMaster, Overloaded, WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.storage.disk import DiskFailed
from keystead_node.storage.faults import DiskFull
from keystead_node.storage.row_store import RowStoreDamaged

log = structlog.get_logger("expiry")

PERIOD_SECONDS = 60
ROWS_PER_SECOND = 1000
PAGE_ROWS_MAX = 100
PAGE_BYTES_MAX = 256 * 1024


class Expiry:
    """`period_seconds`: rest between two rounds; 0: nothing expires at this node. `rows_per_second`: of rows looked at,
    and so of deletes too. `clock`: seconds since 1970."""

    def __init__(
        self, shell: Shell, keeper: MapKeeper, period_seconds: int, rows_per_second: int, clock: Callable[[], float]
    ) -> None:
        self._shell = shell
        self._keeper = keeper
        self._period_seconds = period_seconds
        self._rows_per_second = max(1, rows_per_second)
        self._clock = clock
        self.rows_seen = 0
        self.items_expired = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._period_seconds > 0:
            await asyncio.sleep(self._period_seconds)
            await self.sweep_all()

    async def sweep_all(self) -> None:
        """One round: every partition that is mastered here, of every table with a time to live."""
        for table in [one for one in self._keeper.map.tables.values() if one.options.expiry_attribute]:
            index = self._keeper.routes.table(table.name)
            for entry in index.entries if index is not None else ():
                try:
                    await self._sweep(table, entry)
                except (RowStoreDamaged, DiskFailed, DiskFull) as error:
                    log.error("rows cannot be looked through for expiry", partition=entry.id, error=str(error))

    async def _sweep(self, table: TableDefinition, entry: PartitionEntry) -> None:
        """Looks through one partition, as long as it is mastered here and its table still wants that."""
        rule = ExpiryRule(table.options.expiry_attribute)
        low: bytes | None = entry.low
        while low is not None and self._is_wanted(table) and self._is_served(entry):
            rows = self._shell.stores.get(entry.id).rows
            if rows is None:
                return
            page, more = rows.scan(low, entry.high, min(PAGE_ROWS_MAX, self._rows_per_second), PAGE_BYTES_MAX)
            deletes = self._delete_expired(entry, rule, page)
            low = next_key(page[-1][0]) if more else None
            self.rows_seen += len(page)
            if not await self._settle(entry, deletes):
                return
            await asyncio.sleep(len(page) / self._rows_per_second)

    def _is_wanted(self, table: TableDefinition) -> bool:
        now = self._keeper.map.tables.get(table.name)
        return (
            now is not None
            and now.table_id == table.table_id
            and now.options.expiry_attribute == table.options.expiry_attribute
        )

    def _is_served(self, entry: PartitionEntry) -> bool:
        r = self._shell.core.replicas.get(entry.id)
        return r is not None and r.mastership is not None and r.mastership.serving

    def _delete_expired(
        self, entry: PartitionEntry, rule: ExpiryRule, page: list[tuple[bytes, bytes]]
    ) -> "list[asyncio.Future[bytes | None]]":
        """Proposes the deletes. Not a coroutine: the page was read in this very turn of the loop."""
        now = int(self._clock())
        return [
            self._shell.write(entry.id, row_key, None, False)
            for row_key, value in page
            if rule.is_expired(value, now) and not self._shell.is_being_written(entry.id, row_key)
        ]

    async def _settle(self, entry: PartitionEntry, deletes: "list[asyncio.Future[bytes | None]]") -> bool:
        """Waits for the deletes; False: this is no time to go on with the partition."""
        outcomes = await asyncio.gather(*deletes, return_exceptions=True)
        self.items_expired += sum(outcome is None for outcome in outcomes)
        for outcome in outcomes:
            if isinstance(outcome, NotMaster | Overloaded | WriteOutcomeUnknown):
                log.info("expiry of a partition rests until the next round", partition=entry.id, why=str(outcome))
                return False
            if isinstance(outcome, BaseException):
                raise outcome
        return True
