"""Group commit: what the core wants persisted, gathered while one fdatasync runs and written under the next.

Entries wait in arrival order; whenever the writer thread is free, all that wait become one batch of the hot log, one
set of writes and one fdatasync. So a batch grows with the load, and an idle node pays one sync for one write.
"""

import asyncio
import os
import threading
from collections.abc import Callable

import structlog

from keystead_core.ids import PartitionId
from keystead_core.log.entries import LogEntry
from keystead_node.group_commit import Batch, GroupCommit
from keystead_node.storage.disk import DiskFailed, FileDisk
from keystead_node.storage.hot_log import HotLog, HotLogFull

log = structlog.get_logger("log_writer")

FULL_PAUSE_SECONDS = 0.02


class LogWriter:
    """Owns the hot log. All callbacks come on the event loop; `on_full(partitions)` names what pins the log."""

    def __init__(
        self,
        hot_log: HotLog,
        disk: FileDisk,
        on_synced: Callable[[int], None],
        on_full: Callable[[list[PartitionId]], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._hot_log = hot_log
        self._disk = disk
        self._on_synced = on_synced
        self._on_full = on_full
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._group = GroupCommit(hot_log)
        self._busy = False
        self._failed = False
        self.batches = 0
        self.syncs_seconds = 0.0
        self._work: Batch | None = None
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def hot_log(self) -> HotLog:
        return self._hot_log

    def persist(self, sequence: int, entries: list[LogEntry]) -> None:
        self._group.add(sequence, entries)
        if not self._busy:
            self._busy = True
            # The turn of the loop may bring more: one batch for all of it.
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        if self._failed:
            self._busy = False
            return
        try:
            batch = self._group.next_batch()
        except HotLogFull:
            self._make_room()
            return
        if batch is None:
            self._busy = False
            return
        self._hand_over(batch)

    def _make_room(self) -> None:
        """The log is full: ask for sealing, and move on what is still alive in its oldest segment meanwhile."""
        self._on_full([partition for partition, _ in self._hot_log.space().pins])
        batch = self._group.moving_batch()
        if batch is not None:
            self._hand_over(batch)
        else:
            self._loop.call_later(FULL_PAUSE_SECONDS, self._begin)

    def _hand_over(self, batch: Batch) -> None:
        with self._wake:
            self._work = batch
            self._wake.notify()

    def _run(self) -> None:
        """The writer thread: takes one batch at a time."""
        while True:
            with self._wake:
                while self._work is None and not self._closing:
                    self._wake.wait()
                if self._work is None:
                    return
                batch, self._work = self._work, None
            try:
                self._disk.write_all(batch.writes)
                self._disk.sync()
            except (DiskFailed, OSError) as error:
                self._notify(self._fail, str(error))
                return
            self._notify(self._synced, batch)

    def _notify(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            os._exit(8 if call == self._fail else 0)  # The loop is gone: nobody is left to tell.

    def _synced(self, batch: Batch) -> None:
        self.batches += 1
        self._hot_log.synced(batch.number)
        self._busy = self._group.waits
        if self._busy:
            self._begin()
        if batch.sequence >= 0:
            self._on_synced(batch.sequence)

    def _fail(self, reason: str) -> None:
        """A failed fdatasync is a crash, never a retry."""
        self._failed = True
        self._on_failed(reason)

    def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout=5)
