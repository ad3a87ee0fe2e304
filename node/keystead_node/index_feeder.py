"""The sending end of global indexes: the master of a table's partition brings the changes of its rows into them.

    per partition mastered here, one task:
        changes kept beside the rows --in order, in batches--> the index's partitions, each to its own
        an index that is new: page by page the rows as they are, each page behind all changes up to it
        what all have taken: forgotten (CHANGES_READ)

What is due for whom follows from the partition's log alone, so a new master goes on where the index stands. A page of
rows is read as of an LSN, goes out behind the changes up to that LSN and before any later one: so an older value never
covers a newer one. A partition whose older rows are in an index says so in its log, then to the catalog.

The right half of a split brings what it keeps of the left one's history in that one's name, then its own
(core/indexes/feed.py). An entry goes to the partition that the map names; where that one has been divided, the range
that is named with each request tells.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from keystead_core.catalog.commands import ReportFilled
from keystead_core.cluster_map import PartitionEntry, TableDefinition, index_table
from keystead_core.ids import Lsn, PartitionId
from keystead_core.indexes.entries import Change, IndexRule, RowIndexer, encode_indexes, with_filled
from keystead_core.indexes.feed import Forebear, before, decode_row_changed, encode_changes_read, source_of
from keystead_core.items import decode_row
from keystead_core.keyspace import next_key
from keystead_core.log.record import Kind
from keystead_node.api.errors import ApiError
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.errors import NotMaster, Overloaded, StaleRange, WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.router import Router
from keystead_node.shell import Shell
from keystead_node.storage.row_store import RowStore
from keystead_node.transport import requests as rq

log = structlog.get_logger("indexes")

BATCH_CHANGES_MAX = 500
BATCH_BYTES_MAX = 1 << 20
PAGE_ROWS_MAX = 200
PAGE_BYTES_MAX = 256 * 1024
FORGET_SECONDS = 1.0
IDLE_SECONDS = 1.0
PAUSE_SECONDS_FIRST = 0.02
PAUSE_SECONDS_MAX = 1.0
REPORT_SECONDS = 5.0

Due = dict[PartitionId, tuple[PartitionEntry, list[tuple[Lsn, Change]]]]
"""Changes of index entries by the partition of the index that they belong to, in order, with its entry in the map by
which they were found to."""


class _NotNow(Exception):
    """A batch was not taken, or cannot be sent yet: later again."""


_LATER = (_NotNow, ApiError, NotMaster, StaleRange, Overloaded, WriteOutcomeUnknown, CatalogUnavailable)


class IndexFeeder:
    """Of one node. `lag_seconds`: how long the oldest change has waited, per partition that has any."""

    def __init__(self, shell: Shell, keeper: MapKeeper, router: Router, client: CatalogClient) -> None:
        self.shell = shell
        self.keeper = keeper
        self.router = router
        self.client = client
        self.lag_seconds: dict[PartitionId, float] = {}
        self.changes_fed = 0
        self._feeds: dict[PartitionId, _Feed] = {}

    def wake(self, partition: PartitionId) -> None:
        """There may be something to do for a partition."""
        feed = self._feeds.get(partition)
        if feed is not None:
            feed.wanted.set()
            return
        if self.is_due(partition):
            self._feeds[partition] = feed = _Feed(self, partition)
            feed.task.add_done_callback(lambda _: self._ended(partition))

    def is_due(self, partition: PartitionId) -> bool:
        """Whether a partition has global indexes and is mastered here."""
        store = self.shell.stores.opened(partition)
        if store is None or store.indexer is None or not store.indexer.global_rules:
            return False
        r = self.shell.core.replicas.get(partition)
        return r is not None and r.mastership is not None and r.mastership.serving

    def _ended(self, partition: PartitionId) -> None:
        self._feeds.pop(partition, None)
        self.lag_seconds.pop(partition, None)

    def close(self) -> None:
        for feed in list(self._feeds.values()):
            feed.task.cancel()


class _Feed:
    """One partition, as long as it is mastered here. `_taken`: up to where each partition of an index is with a source,
    as it last said; what is sent goes behind that, or is not taken. `_forebears`: of the partition."""

    def __init__(self, owner: IndexFeeder, partition: PartitionId) -> None:
        self.wanted = asyncio.Event()
        self._owner = owner
        self._shell = owner.shell
        self._partition = partition
        self._position: Lsn = 0
        self._forgotten: Lsn = 0
        self._forget_at = 0.0
        self._taken: dict[tuple[PartitionId, PartitionId], Lsn] = {}
        self._forebears: list[Forebear] = []
        self._fill_from: dict[int, bytes] = {}
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        pause = PAUSE_SECONDS_FIRST
        while self._owner.is_due(self._partition):
            self.wanted.clear()
            try:
                more = await self._round()
                pause = PAUSE_SECONDS_FIRST
            except _LATER as error:
                log.debug("an index has to wait", partition=self._partition, why=str(error))
                self._taken.clear()
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
                continue
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wanted.wait(), IDLE_SECONDS)

    async def _round(self) -> bool:
        """One batch of changes, one page of older rows; whether there is more."""
        store = self._shell.stores.get(self._partition)
        rows, indexer = store.rows, store.indexer
        if rows is None or indexer is None:
            raise _NotNow("the rows are not open")
        table = self._table(indexer)
        self._forebears = rows.forebears()
        more = await self._send_changes(rows, indexer, table, store.applied_lsn)
        await self._forget()
        filled = [rule.index.id for rule in indexer.global_rules if rule.index.id in indexer.indexes.filled]
        await self._report(rows, table, filled)
        for rule in indexer.unfilled[:1]:
            more = True
            if await self._send_page(rows, indexer, rule, table):
                await self._note_filled(indexer, rule)
        return more

    def _table(self, indexer: RowIndexer) -> TableDefinition:
        """The table as the map has it, not older than the indexes here. Raises _NotNow."""
        cluster_map = self._owner.keeper.map
        entry = cluster_map.partitions.get(self._partition)
        table = cluster_map.tables.get(entry.table) if entry is not None else None
        if table is None or table.index_version < indexer.indexes.version:
            raise _NotNow("the map does not have these indexes yet")
        return table

    # -- changes --------------------------------------------------------------------------------------------------

    async def _send_changes(self, rows: RowStore, indexer: RowIndexer, table: TableDefinition, upto: Lsn) -> bool:
        """One batch of what is kept up to an LSN, of one source; whether there is more of it."""
        found = rows.changes(self._position, upto, BATCH_CHANGES_MAX, BATCH_BYTES_MAX)
        if not found:
            self._owner.lag_seconds.pop(self._partition, None)
            return False
        due: Due = {}
        clock = 0
        forebear = source_of(found[0][0], self._forebears)
        if forebear is not None:
            found = [(lsn, encoded) for lsn, encoded in found if lsn <= forebear.upto]
        for lsn, encoded in found:
            changed = decode_row_changed(encoded)
            clock = clock or changed.clock
            for rule, change in indexer.global_changes(changed.row_key, changed.old, changed.new):
                self._add(due, table, rule, lsn, change)
        self._owner.lag_seconds[self._partition] = max(0.0, time.time() - clock / 1e6)
        last = found[-1][0]
        await self._send(due, self._partition if forebear is None else forebear.partition, last)
        self._position = last
        self._owner.changes_fed += len(found)
        return last < upto

    def _add(self, due: Due, table: TableDefinition, rule: IndexRule, lsn: Lsn, change: Change) -> None:
        if not any(index.id == rule.index.id for index in table.indexes):
            return  # the index is gone, and the partition will hear of it
        routes = self._owner.keeper.routes.table(index_table(table.name, rule.index.name))
        entry = routes.find(change[0]) if routes is not None else None
        if entry is None:
            raise _NotNow(f"index {rule.index.name} has no partition for an entry")
        due.setdefault(entry.id, (entry, []))[1].append((lsn, change))

    async def _send(self, due: Due, source: PartitionId, upto: Lsn) -> None:
        """To all partitions at once. Raises what the first that fails raises, after all have ended."""
        outcomes = await asyncio.gather(
            *(self._send_one(entry, source, changes, upto) for entry, changes in due.values()), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _send_one(
        self, entry: PartitionEntry, source: PartitionId, changes: list[tuple[Lsn, Change]], upto: Lsn
    ) -> None:
        taken = await self._taken_upto(entry, source)
        left = [change for lsn, change in changes if lsn > taken]
        if left:
            await self._bring(entry, source, taken, upto, left)
        else:
            self._taken[entry.id, source] = taken

    async def _taken_upto(self, entry: PartitionEntry, source: PartitionId) -> Lsn:
        """Up to where an index's partition is with a source. Before it hears of one for the first time, it has heard
        the forebears out: what they sent and comes late is not taken then."""
        taken = self._taken.get((entry.id, source))
        if taken is not None:
            return taken
        taken = await self._ask(entry, source, -1, 0, [])
        if not taken:
            # All of theirs that is its own has been sent before, in order: only that it was the last is to be said.
            for forebear in before(source, self._forebears):
                heard = await self._ask(entry, forebear.partition, -1, 0, [])
                if heard < forebear.upto:
                    await self._bring(entry, forebear.partition, heard, forebear.upto, [])
        return taken

    async def _bring(
        self, entry: PartitionEntry, source: PartitionId, after: Lsn, upto: Lsn, changes: list[Change]
    ) -> None:
        if await self._ask(entry, source, after, upto, changes) != upto:
            raise _NotNow("the index is not where it was thought to be")
        self._taken[entry.id, source] = upto

    async def _ask(
        self, entry: PartitionEntry, source: PartitionId, after: int, upto: Lsn, changes: list[Change]
    ) -> Lsn:
        request = rq.FeedIndex(entry.id, entry.generation, source, after, upto, changes, entry.low, entry.high)
        return (await self._owner.router.feed_index(entry, request)).applied_lsn

    async def _forget(self) -> None:
        """Lets go of the changes that all indexes have, now and then."""
        now = asyncio.get_running_loop().time()
        if self._position > self._forgotten and now >= self._forget_at:
            self._forget_at = now + FORGET_SECONDS
            await self._shell.propose(self._partition, Kind.CHANGES_READ, encode_changes_read(self._position))
            self._forgotten = self._position

    # -- older rows -----------------------------------------------------------------------------------------------

    async def _send_page(self, rows: RowStore, indexer: RowIndexer, rule: IndexRule, table: TableDefinition) -> bool:
        """One page of the rows as they are, behind all changes up to them; whether it was the last."""
        as_of = self._shell.stores.get(self._partition).applied_lsn
        if source_of(as_of, self._forebears) is not None:
            raise _NotNow("nothing of its own is in the rows yet")
        low = self._fill_from.get(rule.index.id, b"")
        span = self._shell.stores.ranges.get(self._partition)
        page, more = rows.scan(low, span[1] if span is not None else None, PAGE_ROWS_MAX, PAGE_BYTES_MAX)
        while await self._send_changes(rows, indexer, table, as_of):
            pass
        due: Due = {}
        for entry in _entries(rule, page):
            self._add(due, table, rule, as_of, entry)
        await self._send_behind(due, as_of)
        if more:
            self._fill_from[rule.index.id] = next_key(page[-1][0])
        return not more

    async def _send_behind(self, due: Due, as_of: Lsn) -> None:
        """Entries as of an LSN, to partitions that have taken no change behind it."""
        for entry, changes in due.values():
            taken = await self._taken_upto(entry, self._partition)
            if taken > as_of:
                raise _NotNow("another master has brought later changes")
            await self._bring(entry, self._partition, taken, as_of, [change for _, change in changes])

    async def _note_filled(self, indexer: RowIndexer, rule: IndexRule) -> None:
        body = encode_indexes(with_filled(indexer.indexes, rule.index.id))
        await self._shell.propose(self._partition, Kind.TABLE_DEFINITION, body)
        self._fill_from.pop(rule.index.id, None)

    async def _report(self, rows: RowStore, table: TableDefinition, filled: list[int]) -> None:
        """Tells the catalog, as long as it does not know: but first it hears of a split, whose right half may have rows
        that are not in the index."""
        unknown = [index.id for index in table.indexes if self._partition in index.filling and index.id in filled]
        partitions = self._owner.keeper.map.partitions
        if unknown and all(split.right in partitions for _, split in rows.splits()):
            await self._owner.client.run(ReportFilled(self._partition, unknown), seconds=REPORT_SECONDS)


def _entries(rule: IndexRule, page: list[tuple[bytes, bytes]]) -> Iterable[Change]:
    for row_key, value in page:
        entry = rule.entry(row_key, decode_row(value), value)
        if entry is not None:
            yield entry
