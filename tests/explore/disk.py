"""What one volume holds: entries whose sync has completed, and the Persists that still wait for theirs.

A crash keeps all that is synced and any number of the waiting Persists, in order; the rest is lost. Rows are never
written here, so that a restart always rebuilds from the log alone.
"""

from __future__ import annotations

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import AppendEntry, LogEntry, RecoveredReplica, ReplicaState, SnipEntry
from keystead_core.log.record import Record


class Disk:
    """One partition's volume. `waiting`: (sequence, entries) of Persists that are not synced yet, oldest first."""

    __slots__ = ("commit_lsn", "records", "state", "waiting")

    def __init__(self) -> None:
        self.state: ReplicaState | None = None
        self.records: dict[Lsn, Record] = {}
        self.commit_lsn: Lsn = 0
        self.waiting: tuple[tuple[int, tuple[LogEntry, ...]], ...] = ()

    def copy(self) -> Disk:
        other = Disk()
        other.state, other.records, other.commit_lsn = self.state, dict(self.records), self.commit_lsn
        other.waiting = self.waiting
        return other

    def write(self, sequence: int, entries: list[LogEntry]) -> None:
        self.waiting = (*self.waiting, (sequence, tuple(entries)))

    def sync_first(self) -> int:
        """The oldest waiting Persist becomes durable; returns its sequence number."""
        (sequence, entries), *rest = self.waiting
        self.waiting = tuple(rest)
        for entry in entries:
            self._keep(entry)
        return sequence

    def crash(self, survivors: int) -> None:
        """Power fails: of what waits, the first `survivors` Persists are on the disk and the others are not."""
        for _ in range(survivors):
            self.sync_first()
        self.waiting = ()

    def _keep(self, entry: LogEntry) -> None:
        if isinstance(entry, AppendEntry):
            self.records.update((record.lsn, record) for record in entry.records)
            self.commit_lsn = max(self.commit_lsn, entry.commit_lsn)
        elif isinstance(entry, SnipEntry):
            self.records = {lsn: record for lsn, record in self.records.items() if lsn < entry.first_lsn}
        else:
            self.state = entry.state

    def recovered(self, partition: PartitionId) -> RecoveredReplica:
        records = [self.records[lsn] for lsn in sorted(self.records)]
        return RecoveredReplica(partition, self.state, records, self.commit_lsn, 0)

    def contiguous(self) -> tuple[tuple[int, int], ...]:
        """(epoch, hash) of the durable records from LSN 1 up to the first gap."""
        found = []
        last_hash = 0
        while (record := self.records.get(len(found) + 1)) is not None and record.prev_hash == last_hash:
            found.append((record.epoch, record.hash))
            last_hash = record.hash
        return tuple(found)
