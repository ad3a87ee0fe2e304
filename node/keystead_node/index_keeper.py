"""Sees to it that every partition keeps the indexes that the map gives its table.

The master proposes them as a record (TABLE_DEFINITION), which counts for all writes behind it. A table that was made
with indexes is not written before that record is applied; an index that is added later is brought the older rows by
its feeder (index_feeder.py), so nothing waits for it.
"""

import asyncio

import structlog

from keystead_core.cluster_map import MapDelta, PartitionEntry, TableDefinition
from keystead_core.ids import Epoch, PartitionId
from keystead_core.indexes.entries import PartitionIndexes, encode_indexes, indexes_of
from keystead_core.log.record import Kind
from keystead_node.errors import NotMaster, Overloaded, WriteOutcomeUnknown
from keystead_node.index_feeder import IndexFeeder
from keystead_node.map_keeper import MapKeeper
from keystead_node.rows import LocalRows
from keystead_node.shell import Shell

log = structlog.get_logger("indexes")

RETRY_SECONDS = 0.05


class IndexKeeper:
    """Of one node. It looks at a partition when its table changes, its rows open or its mastership comes here."""

    def __init__(self, shell: Shell, keeper: MapKeeper, rows: LocalRows, feeder: IndexFeeder) -> None:
        self._shell = shell
        self._keeper = keeper
        self._rows = rows
        self._feeder = feeder
        self._proposed: dict[PartitionId, tuple[Epoch, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on_map(self, delta: MapDelta | None) -> None:
        """The map has changed by `delta`; None: it is all new."""
        tables = self._keeper.map.tables
        names = None
        if delta is not None and not delta.whole:
            names = {table.name for table in delta.tables} | {entry.table for entry in delta.partitions}
        for name in tables if names is None else names:
            table = tables.get(name)
            if table is not None and table.index_version:
                self._look_at_table(table)

    def on_partition(self, partition: PartitionId) -> None:
        """Its rows are open, its indexes have changed, or it is mastered here."""
        entry = self._keeper.map.partitions.get(partition)
        table = self._keeper.map.tables.get(entry.table) if entry is not None else None
        if entry is not None and table is not None and table.index_version:
            self._look(table, entry)
        self._feeder.wake(partition)

    def _look_at_table(self, table: TableDefinition) -> None:
        index = self._keeper.routes.table(table.name)
        for entry in index.entries if index is not None else ():
            self._look(table, entry)
            self._feeder.wake(entry.id)

    def _look(self, table: TableDefinition, entry: PartitionEntry) -> None:
        partition = entry.id
        r = self._shell.core.replicas.get(partition)
        if r is None:
            self._rows.indexes_missing.discard(partition)
            return
        indexer = self._shell.stores.get(partition).indexer
        known = indexer.indexes if indexer is not None else None
        if known is None and any(partition not in index.filling for index in table.indexes):
            self._rows.indexes_missing.add(partition)
        else:
            self._rows.indexes_missing.discard(partition)
        is_behind = known is None or known.version < table.index_version
        if not is_behind or r.mastership is None or not r.mastership.serving:
            return
        if self._proposed.get(partition) != (r.epoch, table.index_version):
            self._proposed[partition] = (r.epoch, table.index_version)
            wanted = indexes_of(table, partition, known.filled if known is not None else ())
            task = asyncio.get_running_loop().create_task(self._propose(partition, wanted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _propose(self, partition: PartitionId, wanted: PartitionIndexes) -> None:
        try:
            await self._shell.propose(partition, Kind.TABLE_DEFINITION, encode_indexes(wanted))
        except (NotMaster, Overloaded, WriteOutcomeUnknown) as error:
            log.info("indexes are not set up yet", partition=partition, why=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        self._proposed.pop(partition, None)
        self.on_partition(partition)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
