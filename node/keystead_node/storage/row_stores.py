"""The row stores of a node: opened at first use, under one budget of memory, files and threads."""

import resource
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import rocksdict
import structlog

from keystead_core.ids import PartitionId
from keystead_node.storage.row_store import RowBudget, RowStore, RowStoreDamaged

log = structlog.get_logger("row_stores")

ROW_DIRECTORY: Final = "rows"


class RowStores:
    """The databases of a node, opened at first use, with one cache, one write-buffer budget and one thread pool."""

    def __init__(self, data: Path, budget: RowBudget | None = None) -> None:
        self._partitions = data / "partitions"
        self.budget = budget or RowBudget()
        self._cache = rocksdict.Cache(self.budget.cache_bytes)
        self._write_buffers = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
            self.budget.write_buffers_bytes, False, self._cache
        )
        self._max_open_files = files_per_database(self.budget.max_databases)
        self._open: dict[PartitionId, RowStore] = {}
        self._lock = threading.Lock()

    def path_of(self, partition: PartitionId) -> Path:
        return self._partitions / str(partition) / ROW_DIRECTORY

    def get_open(self, partition: PartitionId) -> RowStore | None:
        """The store if it is open; never blocks."""
        return self._open.get(partition)

    def open(self, partition: PartitionId) -> RowStore:
        """Opens the store, or makes an empty one. Blocks about 10 ms. Raises RowStoreDamaged, DiskFull, DiskFailed."""
        with self._lock:
            return self._open_locked(partition)

    def open_or_rebuild(self, partition: PartitionId, is_wanted: Callable[[], bool]) -> RowStore | None:
        """As `open`, but what is damaged is made anew, empty; None where nobody wants it any more by then.

        Whoever withdraws the wish and then calls `close` or `drop` finds no such open in its middle, and none comes
        behind it. Raises DiskFull, DiskFailed.
        """
        with self._lock:
            if not is_wanted():
                return None
            try:
                return self._open_locked(partition)
            except RowStoreDamaged as error:
                log.error("rows are damaged: rebuilding them", partition=partition, error=str(error))
                shutil.rmtree(self.path_of(partition), ignore_errors=True)
                return self._open_locked(partition)

    def _open_locked(self, partition: PartitionId) -> RowStore:
        store = self._open.get(partition)
        if store is None:
            path = self.path_of(partition)
            path.mkdir(parents=True, exist_ok=True)
            store = self._open[partition] = RowStore(path, self._options())
        return store

    def open_at(self, path: Path) -> RowStore:
        """A store that is not yet a partition's, with the same budgets; the caller closes it. Raises as `open`."""
        return RowStore(path, self._options())

    def opened(self) -> dict[PartitionId, RowStore]:
        return dict(self._open)

    def close(self, partition: PartitionId) -> None:
        with self._lock:
            store = self._open.pop(partition, None)
        if store is not None:
            store.close()

    def close_all(self) -> None:
        for partition in list(self._open):
            self.close(partition)

    def flush_lagging(self, count_max: int) -> int:
        """Flushes databases that lag by bytes or by age, the oldest first, at most so many. For a thread."""
        now = time.monotonic()
        lagging = [store for store in self.opened().values() if store.is_lagging(now, self.budget)]
        lagging.sort(key=lambda store: store.lagging_since)
        for store in lagging[:count_max]:
            store.flush()
        return min(len(lagging), count_max)

    def install(self, partition: PartitionId, copy: Path) -> None:
        """Replaces the store by a verified physical copy, which is moved; a crash in between leaves no store."""
        self.drop(partition)
        path = self.path_of(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        copy.rename(path)

    def drop(self, partition: PartitionId) -> None:
        """Deletes the rows. Only when the replica is dropped or gets a copy."""
        self.close(partition)
        shutil.rmtree(self.path_of(partition), ignore_errors=True)

    def _options(self) -> Any:
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_manager(self._write_buffers)
        options.set_write_buffer_size(self.budget.write_buffer_bytes)
        options.set_arena_block_size(self.budget.arena_block_bytes)
        options.set_max_open_files(self._max_open_files)
        options.set_max_background_jobs(self.budget.background_jobs)
        options.set_keep_log_file_num(1)
        options.set_max_log_file_size(1 << 20)
        options.set_max_manifest_file_size(1 << 20)
        options.set_stats_dump_period_sec(0)
        options.set_stats_persist_period_sec(0)
        options.set_skip_stats_update_on_db_open(True)
        options.set_paranoid_checks(True)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        table = rocksdict.BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_block_size(16 << 10)
        table.set_bloom_filter(10, False)
        table.set_cache_index_and_filter_blocks(True)
        options.set_block_based_table_factory(table)
        return options


def files_per_database(max_databases: int) -> int:
    """A database's share of half of the process's limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, soft // 2 // max_databases)
