"""Expiry in the background: the masters of this node look through the rows of tables that have a time to live.

    each period: for every partition mastered here, page by page, at so many rows a second
        of each page, delete what is expired, by a write that is judged as a conditional one is

What is expired is decided in core/expiry.py. A delete must not hit an item that was written anew since: it is judged
once more in the turn in which it is proposed, on the row's latest value, writes under way included (Shell.change).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from keystead_core.cluster_map import PartitionEntry, TableDefinition
from keystead_core.expiry import ExpiryRule
from keystead_core.keyspace import next_key
from keystead_core.row_changes import Decision
from keystead_node.errors import NotMaster, Overloaded, StaleRange, WriteOutcomeUnknown
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

_EXPIRED: Final = b"expired"
_STAYS: Final = b"stays"


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
            deletes = self._deletes_of_expired(entry, rule, page)
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

    def _deletes_of_expired(
        self, entry: PartitionEntry, rule: ExpiryRule, page: list[tuple[bytes, bytes]]
    ) -> list[Coroutine[Any, Any, bytes]]:
        now = int(self._clock())

        def judged(value: bytes | None) -> Decision:
            expired = value is not None and rule.is_expired(value, now)
            return Decision(expired, None, _EXPIRED if expired else _STAYS)

        return [self._shell.change(entry.id, row_key, judged) for row_key, value in page if rule.is_expired(value, now)]

    async def _settle(self, entry: PartitionEntry, deletes: list[Coroutine[Any, Any, bytes]]) -> bool:
        """Waits for the deletes; False: this is no time to go on with the partition."""
        outcomes = await asyncio.gather(*deletes, return_exceptions=True)
        self.items_expired += outcomes.count(_EXPIRED)
        for outcome in outcomes:
            if isinstance(outcome, NotMaster | StaleRange | Overloaded | WriteOutcomeUnknown):
                log.info("expiry of a partition rests until the next round", partition=entry.id, why=str(outcome))
                return False
            if isinstance(outcome, BaseException):
                raise outcome
        return True
