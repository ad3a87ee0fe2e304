"""What a node keeps of each partition beside the hot log: the rows and the cold log, under DATA/partitions/<id>/.

Databases open lazily: a replica acks, votes and serves its log before its rows are open. What is committed meanwhile
waits here and is applied in order once they are. The catalog's partition has a state machine in front of its rows.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import structlog

from keystead_core.ids import Lsn, PartitionId
from keystead_core.indexes.entries import RowIndexer, decode_indexes
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.ops import decode_changes
from keystead_core.log.record import HEADER_BYTES, Kind, Record
from keystead_core.split.record import Split
from keystead_node.beside_rows import BESIDE_KINDS, BesideRows
from keystead_node.durable_file import sync_directory, write_durably
from keystead_node.errors import NotMaster
from keystead_node.storage.cold_log import ColdError, ColdLog, DirectoryStore, SegmentStore
from keystead_node.storage.faults import file_io
from keystead_node.storage.row_layout import RowRange
from keystead_node.storage.row_store import RowStore
from keystead_node.storage.row_stores import RowStores
from keystead_node.storage.waste import Waste

log = structlog.get_logger("partition_store")

COLD_BYTES_PER_READ = 4 * 1024 * 1024
COLD_BYTES_MAX = 64 * 1024 * 1024
BASE_FILE = "rows.base"  # An LSN up to which the rows are durable without any log: of a copy, or at the last trim.
Change = tuple[bytes, bytes | None]


class Interpreter(Protocol):
    """Turns a committed record that is no row change into row changes (the catalog's state machine)."""

    def begin(self, rows: RowStore) -> None:
        """The rows are open: rebuild the state from them."""
        ...

    def apply(self, record: Record) -> tuple[Sequence[Change], bytes | None]:
        """The row changes, and the answer for whoever proposed the record here."""
        ...

    def applied(self) -> None:
        """A batch is in the rows."""
        ...


class PartitionStore:
    """One partition's rows and cold log. Rows are touched on the event loop only; seal and read_cold in threads."""

    def __init__(self, owner: "PartitionStores", partition: PartitionId, directory: Path) -> None:
        self._owner = owner
        self._partition = partition
        self.directory = directory
        self.cold = ColdLog(owner.segments(partition), partition)
        self.interpreter: Interpreter | None = None
        self.indexer: RowIndexer | None = None
        """Of the rows as applied; None as long as they are not open, and where there never was an index."""
        self._rows: RowStore | None = None
        self._opening: asyncio.Future[None] | None = None
        self._queue: deque[tuple[list[Record], Any]] = deque()
        self._owed_lsn: Lsn = 0
        self._is_lost = self._is_closed = False
        self.applied_lsn: Lsn = 0
        self.released_lsn: Lsn = 0
        """The log's base, as far as it is durable: what is above it may be all that a restart learns the members by."""

    # -- rows -----------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> RowStore | None:
        return self._rows

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    @property
    def has_waiting(self) -> bool:
        """Is there something to apply once the rows are open, or a state to be made from them?"""
        return bool(self._queue) or self.interpreter is not None

    async def open(self) -> RowStore:
        """The rows, opened in a thread the first time, with everything applied that waited for it or is owed.

        Raises NotMaster where the log does not lead there, since the replica waits for a copy; and where the rows were
        dropped or replaced meanwhile.
        """
        while self._rows is None:
            if self._is_lost or self._is_closed:
                raise NotMaster("the rows here are lost or have been replaced")
            if self._opening is None:
                self._opening = asyncio.ensure_future(self._open())
            await asyncio.shield(self._opening)
        return self._rows

    async def _open(self) -> None:
        row_stores, partition = self._owner.row_stores, self._partition
        try:
            # Damaged rows are made anew from the log, as far back as it reaches.
            rows = await self._owner.in_thread(row_stores.open_or_rebuild, partition, lambda: not self._is_closed)
        finally:
            self._opening = None
        if rows is not None and not self._is_closed:
            self.begin(rows)
            self.apply_waiting()

    def begin(self, rows: RowStore) -> None:
        """The rows are open."""
        self.applied_lsn = rows.applied_lsn
        if self.interpreter is not None:
            self.interpreter.begin(rows)
        self._rows = rows
        self._note_range(rows.row_range())
        if rows.splits():
            self._owner.on_split(self._partition)
        known = rows.indexes()
        if known is not None:
            self.indexer = RowIndexer(decode_indexes(known))
        self._owner.on_indexes(self._partition)

    def _note_range(self, found: RowRange | None) -> None:
        if found is not None:
            self._owner.ranges[self._partition] = found

    def apply_waiting(self) -> None:
        """Applies what the rows lack since the last stop, and what came before they were open."""
        self._reach(self._owed_lsn)
        while self._queue and self._rows is not None:
            records, waiting = self._queue.popleft()
            self._apply(records, waiting)

    def owe(self, lsn: Lsn) -> None:
        """The rows are to hold all up to `lsn`, from the cold log, before anybody sees them: at once, or once open."""
        self._owed_lsn = lsn
        if self._rows is not None:
            self._reach(lsn)

    def apply(self, records: list[Record], waiting: Any) -> None:
        """Applies committed records in order; PartitionStores.on_applied is called when the rows hold them."""
        if self._rows is None:
            self._queue.append((records, waiting))
            if self._owner.eager or waiting or self.interpreter is not None:
                self._owner.open_soon(self)
            return
        self._apply(records, waiting)

    def _apply(self, records: list[Record], waiting: Any) -> None:
        first, last = records[0].lsn, records[-1].lsn
        if not self._reach(first - 1):
            return
        if first <= self.applied_lsn:
            records = [record for record in records if record.lsn > self.applied_lsn]
        if records:
            self._write(records, waiting)
        self._owner.on_applied(self._partition, last)

    def _reach(self, lsn: Lsn) -> bool:
        """Whether the rows hold everything up to `lsn`. Where the cold log does not lead there, they are lost."""
        try:
            self._apply_from_cold(lsn)
        except ColdError as error:
            self._queue.clear()
            self._is_lost = True
            self._owner.lose(self._partition, str(error))
            return False
        return True

    def _apply_from_cold(self, upto_lsn: Lsn) -> None:
        """The rows are older than the hot log's start: what is between is in the cold log."""
        while self.applied_lsn < upto_lsn:
            # The record that the rows end with may be trimmed already: only what follows is asked for.
            found = self.cold.read_from(self.applied_lsn + 1, COLD_BYTES_PER_READ)
            records = [record for record in found if record.lsn <= upto_lsn]
            if not records:
                raise ColdError(f"rows end at {self.applied_lsn}, and the cold log does not go on from there")
            self._write(records, None)

    def _write(self, records: list[Record], waiting: Any) -> None:
        assert self._rows is not None
        changes: list[Change] = []
        beside = BesideRows(self._rows, self.indexer)
        answers = dict(waiting) if waiting and (self.interpreter or any(w.wants_old for _, w in waiting)) else {}
        for record in records:
            waiter = answers.get(record.lsn)
            if record.kind == Kind.DATA:
                if waiter is not None and waiter.wants_old:
                    waiter.result = self._before(changes, waiter.row_key)
                found = decode_changes(record.raw, HEADER_BYTES)
                if beside.indexer is not None:
                    beside.on_changes(record, found)
                changes += found
            elif record.kind == Kind.CATALOG and self.interpreter is not None:
                more, answer = self.interpreter.apply(record)
                changes += more
                if waiter is not None:
                    waiter.result = answer
            elif record.kind in BESIDE_KINDS:
                changes += beside.on_record(record, changes)
        last = records[-1].lsn
        self._rows.apply(changes, last, beside.found)
        self.applied_lsn = last
        if self.interpreter is not None:
            self.interpreter.applied()
        if beside.found is not None:
            self._applied_beside(beside)

    def _applied_beside(self, beside: BesideRows) -> None:
        assert beside.found is not None
        self.indexer = beside.indexer
        if beside.found.indexes is not None:
            self._owner.on_indexes(self._partition)
        if beside.found.changes:
            self._owner.on_changes(self._partition)
        if beside.found.splits:
            assert self._rows is not None
            self._note_range(self._rows.row_range())
            self._owner.on_split(self._partition)

    def _before(self, changes: list[Change], row_key: bytes) -> bytes | None:
        for key, value in reversed(changes):
            if key == row_key:
                return value
        assert self._rows is not None
        return self._rows.get(row_key)

    # -- cold log (called in threads) -----------------------------------------------------------------------------

    def seal(self, records: list[Record], keep_lsn: Lsn = 0) -> LogPoint:
        """Writes a segment; returns the cold log's new end. What is over its budget goes, but nothing from `keep_lsn`
        on (0: nothing is kept so). Raises ColdError, DiskFull, DiskFailed."""
        if self.cold.end.lsn and records[0].lsn <= self.cold.end.lsn:
            records = [record for record in records if record.lsn > self.cold.end.lsn]
        if records:
            self.cold.seal(records)
            self._trim(keep_lsn)
        return self.cold.end

    def _trim(self, keep_lsn: Lsn) -> None:
        """Keeps the cold log within its budget. What rows and state do not durably hold stays, and all of a log-only
        one."""
        rows = self._rows
        excess = self.cold.size_bytes() - self._owner.cold_bytes_max
        if rows is None or excess <= 0:
            return
        durable_lsn = rows.durable_applied
        upto_lsn = 0
        for name in self.cold.segments[:-1]:
            needed = name.end.lsn > min(durable_lsn, self.released_lsn) or (keep_lsn and name.end.lsn >= keep_lsn)
            if excess <= 0 or needed:
                break
            excess -= self.cold.size_of(name)
            upto_lsn = name.end.lsn
        if upto_lsn:
            # First the word that the rows need nothing below, then the segments go.
            self._owner.note_floor(self._partition, durable_lsn)
            self.cold.trim(upto_lsn)

    def read_cold(self, after_lsn: Lsn, bytes_max: int) -> tuple[LogPoint, bytes]:
        """(the point behind which they start, records end to end); nothing where the cold log does not reach."""
        before = self.cold.read_from(after_lsn, 1) if after_lsn else []
        if after_lsn and not before:
            return EMPTY_LOG, b""
        records = self.cold.read_from(after_lsn + 1, bytes_max)
        prev = LogPoint(before[0].epoch, before[0].lsn, before[0].hash) if before else EMPTY_LOG
        return prev, b"".join([record.raw for record in records])

    def close(self) -> None:
        """For good. Rows that are being opened are waited for and closed: nothing of theirs may come behind this."""
        self._is_closed = True
        self._owner.row_stores.close(self._partition)
        self._rows = self.indexer = None


class PartitionStores:
    """All partitions' stores of a node. `eager`: open databases as soon as they have something to apply."""

    def __init__(self, data_dir: Path, row_stores: RowStores) -> None:
        self.data_dir = data_dir
        self.row_stores = row_stores
        self.waste = Waste(data_dir)
        self.on_applied: Callable[[PartitionId, Lsn], None] = lambda partition, lsn: None
        self.on_indexes: Callable[[PartitionId], None] = lambda partition: None
        """The indexes of a partition are known, or have changed."""
        self.on_changes: Callable[[PartitionId], None] = lambda partition: None
        """There are more changes for a partition's global indexes."""
        self.on_split: Callable[[PartitionId], None] = lambda partition: None
        """A split is in a partition's rows, or was when they were opened."""
        self.ranges: dict[PartitionId, RowRange] = {}
        """Of the partitions with open rows whose range a split has narrowed."""
        self.on_rows_lost: Callable[[PartitionId], None] = lambda partition: None
        self.interpreters: dict[PartitionId, Interpreter] = {}
        self.eager = False
        self.cold_bytes_max = COLD_BYTES_MAX
        self._stores: dict[PartitionId, PartitionStore] = {}
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="store")
        self._tasks: set[asyncio.Future[Any]] = set()

    def directory(self, partition: PartitionId) -> Path:
        return self.data_dir / "partitions" / str(partition)

    def get(self, partition: PartitionId) -> PartitionStore:
        store = self._stores.get(partition)
        if store is None:
            directory = self.directory(partition)
            (directory / "cold").mkdir(parents=True, exist_ok=True)
            store = self._stores[partition] = PartitionStore(self, partition, directory)
            store.interpreter = self.interpreters.get(partition)
        return store

    def is_in_range(self, partition: PartitionId, row_key: bytes) -> bool:
        """Whether no split in the rows has given the key to another partition."""
        found = self.ranges.get(partition)
        return found is None or (found[0] <= row_key and (found[1] is None or row_key < found[1]))

    def opened(self, partition: PartitionId) -> PartitionStore | None:
        """The store, if there is one whose rows are open."""
        store = self._stores.get(partition)
        return store if store is not None and store.rows is not None else None

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def open_soon(self, store: PartitionStore) -> None:
        task = asyncio.ensure_future(self._open_unless_lost(store))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def open_all(self) -> None:
        """Opens what has something to apply, one after the other, in the background of a start."""
        self.eager = True
        for store in list(self._stores.values()):
            if store.rows is None and store.has_waiting:
                await self._open_unless_lost(store)

    @staticmethod
    async def _open_unless_lost(store: PartitionStore) -> None:
        with suppress(NotMaster):  # Its loss has been told.
            await store.open()

    def segments(self, partition: PartitionId) -> SegmentStore:
        """Where the partition's cold log is kept."""
        return DirectoryStore(self.directory(partition) / "cold", file_io())

    def note_floor(self, partition: PartitionId, lsn: Lsn) -> None:
        """Notes durably that the rows hold everything up to `lsn` whatever the logs say."""
        write_durably(self.directory(partition) / BASE_FILE, str(lsn).encode())

    def lose(self, partition: PartitionId, reason: str) -> None:
        """The rows cannot be brought up to the log: away with them, and tell the core."""
        log.error("the log does not reach back to the rows", partition=partition, error=reason)
        self.drop(partition)
        self.on_rows_lost(partition)

    def drop(self, partition: PartitionId) -> None:
        """The replica is gone and its tombstone durable: delete its rows and cold log."""
        store = self._stores.pop(partition, None)
        if store is not None:
            store.close()
        self.ranges.pop(partition, None)
        self.waste.throw(self.directory(partition))

    def replace_rows(self, partition: PartitionId, staged: Path, base: LogPoint) -> None:
        """Puts a staged checkpoint in the place of the rows, drops the cold log, and notes what the rows hold."""
        store = self._stores.pop(partition, None)
        if store is not None:
            store.close()
        directory = self.directory(partition)
        self.waste.throw(directory)
        directory.mkdir(parents=True)
        self.ranges.pop(partition, None)
        staged.rename(directory / "rows")
        self.note_floor(partition, base.lsn)
        sync_directory(directory.parent)

    def make_right(self, staged: Path, point: LogPoint, split: Split) -> None:
        """In a thread: makes of a checkpoint of the left group's rows those of the right half, durably."""
        self._make(staged, lambda rows: rows.become_right(point, split))

    def make_heir(self, staged: Path, old: PartitionId, point: LogPoint, span: RowRange) -> None:
        """In a thread: makes of a checkpoint of one group's rows those of another that goes on for it, durably."""
        self._make(staged, lambda rows: rows.become_heir(old, point, span))

    def _make(self, staged: Path, become: Callable[[RowStore], None]) -> None:
        rows = self.row_stores.open_at(staged)
        try:
            become(rows)
        finally:
            rows.close()

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        self.waste.close()
