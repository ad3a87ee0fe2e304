"""Group commit, without threads: which entries go into the next batch of the hot log, and whose sync it completes.

Contract: `add` what the core wants persisted; `next_batch` while no batch is under way; write it, sync, then tell the
hot log (`synced`) and, where `sequence` is not -1, the core.
"""

import msgspec

from keystead_core.log.entries import AppendEntry, LogEntry
from keystead_node.storage.hot_log import HotLog, HotLogFull, Write

ENTRY_BYTES = 256  # More than any entry takes beside its records.


class Batch(msgspec.Struct, frozen=True):
    """`writes` to issue before one sync; `number` is the hot log's last batch in it.

    `sequence`: the core's Persist that is complete once it is synced; -1: more of it waits, or nothing of it is here.
    `entries`: how many of the entries it holds.
    """

    writes: list[Write]
    number: int
    sequence: int
    entries: int


class GroupCommit:
    """Entries wait in arrival order; all that wait, as far as one batch takes, go under one sync."""

    def __init__(self, hot_log: HotLog) -> None:
        self._hot_log = hot_log
        self._entries: list[LogEntry] = []
        self._sequence = 0

    @property
    def waits(self) -> bool:
        return bool(self._entries)

    def add(self, sequence: int, entries: list[LogEntry]) -> None:
        self._entries += entries
        self._sequence = sequence

    def next_batch(self) -> Batch | None:
        """None where nothing waits. Raises HotLogFull, and everything waits on."""
        entries = self._entries
        if not entries:
            return None
        count = fitting(entries, self._hot_log.batch_bytes_max)
        writes = self._hot_log.append(entries[:count])
        self._entries = entries[count:]
        # While more waits than one batch takes, its last sequence is not complete yet.
        return Batch(writes, self._hot_log.last_batch, self._sequence if not self._entries else -1, count)

    def moving_batch(self) -> Batch | None:
        """The log is full: a batch that only moves on what is alive in its oldest segment. None where even that fails.

        Raises HotLogFull.
        """
        writes = self._hot_log.append([])
        return Batch(writes, self._hot_log.last_batch, -1, 0) if writes else None


def fitting(entries: list[LogEntry], bytes_max: int) -> int:
    """How many of the entries go into one batch: at least one, then as many as fit.

    A larger batch would need more room at once than a log that is only half full must have.
    """
    size = 0
    for count, entry in enumerate(entries):
        size += ENTRY_BYTES
        if isinstance(entry, AppendEntry):
            size += sum([len(record.raw) for record in entry.records])
        if size > bytes_max:
            return max(count, 1)
    return len(entries)


__all__ = ["Batch", "GroupCommit", "HotLogFull", "fitting"]
