"""What a volume must hold, as an own account of it: only entries whose sync completed are in it.

It is kept beside the storage that the core really uses, knows nothing of blocks, and judges both sides: what a node
tells others must be durable here first, and what recovery brings back must be what stands here.
"""

from keystead_core.ids import Epoch, Lsn
from keystead_core.log.entries import (
    EMPTY_LOG,
    AppendEntry,
    LogEntry,
    LogPoint,
    RecoveredReplica,
    ReplicaState,
    SnipEntry,
    StateEntry,
)
from keystead_core.log.record import Record


class DurableLog:
    """One replica's log and state on one volume. `end`: up to where the chain is unbroken."""

    __slots__ = ("base", "end", "end_hash", "records", "state")

    def __init__(self) -> None:
        self.base: LogPoint = EMPTY_LOG
        self.records: dict[Lsn, Record] = {}
        self.end: Lsn = 0
        self.end_hash = 0
        self.state: ReplicaState | None = None

    def copy(self) -> "DurableLog":
        other = DurableLog()
        other.base, other.end, other.end_hash, other.state = self.base, self.end, self.end_hash, self.state
        other.records = dict(self.records)
        return other

    def add(self, entry: LogEntry) -> None:
        if isinstance(entry, AppendEntry):
            for record in entry.records:
                if record.lsn <= self.end:
                    held = self.records.get(record.lsn)
                    if held is not None and held.hash == record.hash:
                        continue
                    self._cut(record.lsn)
                self.records[record.lsn] = record
            self._advance()
        elif isinstance(entry, SnipEntry):
            self._cut(entry.first_lsn)
            for lsn in [lsn for lsn in self.records if lsn >= entry.first_lsn]:
                del self.records[lsn]
        else:
            self._set_state(entry)

    def _set_state(self, entry: StateEntry) -> None:
        state = entry.state
        if state.dropped or (self.state is not None and state.replica != self.state.replica):
            self.records.clear()
            self.base, self.end, self.end_hash = EMPTY_LOG, 0, 0
        self.state = state
        base = state.base
        if base.lsn > self.base.lsn or (base.lsn == self.base.lsn and base.hash != self.base.hash):
            if base.lsn > self.end or self.hash_at(base.lsn) != base.hash:
                self.records = {lsn: r for lsn, r in self.records.items() if lsn > base.lsn}
                self.end, self.end_hash = base.lsn, base.hash
            self.base = base
            self._advance()

    def _cut(self, first_lsn: Lsn) -> None:
        if first_lsn <= self.end:
            self.end = first_lsn - 1
            self.end_hash = self.hash_at(self.end)

    def _advance(self) -> None:
        while (record := self.records.get(self.end + 1)) is not None and record.prev_hash == self.end_hash:
            self.end += 1
            self.end_hash = record.hash

    def hash_at(self, lsn: Lsn) -> int:
        """The hash of the record at `lsn`; 0 where there is none (or at LSN 0)."""
        if lsn == self.base.lsn:
            return self.base.hash
        record = self.records.get(lsn)
        return record.hash if record is not None else 0

    def epoch_at(self, lsn: Lsn) -> Epoch:
        if lsn == self.base.lsn:
            return self.base.epoch
        record = self.records.get(lsn)
        return record.epoch if record is not None else 0


def steps_of(entry: LogEntry) -> list[LogEntry]:
    """The entry in the smallest parts that a torn write may leave."""
    if isinstance(entry, AppendEntry):
        return [AppendEntry(entry.partition, entry.commit_lsn, [record]) for record in entry.records]
    return [entry]


def recovered_end(found: RecoveredReplica) -> tuple[Lsn, int]:
    """(LSN, hash) of the last record up to which the recovered log is unbroken."""
    point = found.state.base if found.state else EMPTY_LOG
    if found.cold_end.lsn > point.lsn:
        point = found.cold_end
    lsn, last_hash = point.lsn, point.hash
    for record in found.records:
        if record.lsn == lsn + 1 and record.prev_hash == last_hash:
            lsn, last_hash = record.lsn, record.hash
    return lsn, last_hash


def rebuilt(found: RecoveredReplica, before: DurableLog) -> DurableLog:
    """The account of a volume after a recovery: what was found is durable from now on (recovery syncs)."""
    log = DurableLog()
    log.state = found.state
    base = found.state.base if found.state else EMPTY_LOG
    log.base, log.end, log.end_hash = base, base.lsn, base.hash
    lowest = found.records[0].lsn if found.records else found.cold_end.lsn + 1
    log.records = {lsn: r for lsn, r in before.records.items() if base.lsn < lsn < max(lowest, found.cold_end.lsn + 1)}
    log.records.update((r.lsn, r) for r in found.records)
    log._advance()
    return log
