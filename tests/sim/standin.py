"""A hot log without blocks: entries in write order, and how many of them are on stable storage.

It stands in for the real hot log where only the core is in question (exploration), and shows what the real one owes.
"""

from random import Random

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import AppendEntry, LogEntry, RecoveredReplica, SnipEntry
from keystead_core.log.record import Record


class StandInLog:
    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.synced = 0
        self.released: dict[PartitionId, Lsn] = {}

    def append(self, entries: list[LogEntry]) -> None:
        self.entries.extend(entries)

    def begin_sync(self) -> int:
        return len(self.entries)

    def end_sync(self, mark: int) -> None:
        self.synced = max(self.synced, mark)

    def crash(self, random: Random, power: bool) -> bool:
        """Loses a part of what was not synced, if the power went; returns whether anything was lost."""
        before = len(self.entries)
        if power and self.synced < before:
            del self.entries[random.randint(self.synced, before) :]
        self.synced = len(self.entries)  # Recovery syncs what it reads.
        return len(self.entries) < before

    def release(self, partition: PartitionId, lsn: Lsn) -> None:
        self.released[partition] = lsn

    def copy(self) -> "StandInLog":
        other = StandInLog()
        other.entries = self.entries[: self.synced]
        other.synced = self.synced
        other.released = dict(self.released)
        return other

    def recover(self) -> dict[PartitionId, RecoveredReplica]:
        found: dict[PartitionId, RecoveredReplica] = {}
        records: dict[PartitionId, dict[Lsn, Record]] = {}
        for entry in self.entries:
            replica = found.setdefault(entry.partition, RecoveredReplica(entry.partition, None, [], 0, 0))
            held = records.setdefault(entry.partition, {})
            if isinstance(entry, AppendEntry):
                replica.commit_lsn = max(replica.commit_lsn, entry.commit_lsn)
                held.update((r.lsn, r) for r in entry.records)
            elif isinstance(entry, SnipEntry):
                for lsn in [lsn for lsn in held if lsn >= entry.first_lsn]:
                    del held[lsn]
            else:
                if replica.state is not None and replica.state.replica != entry.state.replica:
                    held.clear()
                    replica.commit_lsn = 0
                replica.state = entry.state
        for partition, replica in found.items():
            held = records[partition]
            released = self.released.get(partition, 0)
            replica.records = _chained([held[lsn] for lsn in sorted(held) if lsn > released])
        return found


def _chained(records: list[Record]) -> list[Record]:
    """What follows the first record without a break; the rest counts for nothing."""
    kept: list[Record] = []
    for record in records:
        if kept and (record.lsn != kept[-1].lsn + 1 or record.prev_hash != kept[-1].hash):
            break
        kept.append(record)
    return kept
