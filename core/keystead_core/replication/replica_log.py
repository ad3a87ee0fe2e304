"""A replica's log as the core sees it: the records behind `base`, what of them is durable, and the memberships and
splits in it. Splits stay known when their records are trimmed: rows may be behind.

Records at or below `base` are in the cold log or in the rows; all of them are committed. `ahead` holds records that
arrived above a gap: they are on the way to the disk, but count for nothing until the gap is filled.
"""

from collections import deque

from keystead_core.ids import Epoch, Lsn
from keystead_core.log.entries import LogPoint
from keystead_core.log.record import Kind, Record
from keystead_core.replication.membership import Membership, decode_membership
from keystead_core.split.record import Split, decode_split

AHEAD_RECORDS_MAX = 4096


class ReplicaLog:
    __slots__ = (
        "_unsynced",
        "ahead",
        "base",
        "bytes",
        "durable_lsn",
        "last_clock",
        "last_epoch",
        "last_hash",
        "last_lsn",
        "memberships",
        "records",
        "splits",
    )

    def __init__(self, base: LogPoint, base_membership: Membership | None) -> None:
        self.base = base
        self.records: list[Record] = []
        self.ahead: dict[Lsn, tuple[Record, int, Epoch]] = {}
        self.memberships: list[tuple[Lsn, Membership]] = [(base.lsn, base_membership)] if base_membership else []
        self.splits: list[tuple[Lsn, Split]] = []
        self.durable_lsn: Lsn = base.lsn
        self._unsynced: deque[tuple[int, Lsn]] = deque()  # (persist sequence, last LSN that it covers)
        self.bytes = 0
        self._set_last()

    def _set_last(self) -> None:
        if self.records:
            last = self.records[-1]
            self.last_epoch, self.last_lsn, self.last_hash = last.epoch, last.lsn, last.hash
            self.last_clock = last.clock
        else:
            self.last_epoch, self.last_lsn, self.last_hash = self.base.epoch, self.base.lsn, self.base.hash
            self.last_clock = 0

    @property
    def last(self) -> LogPoint:
        return LogPoint(self.last_epoch, self.last_lsn, self.last_hash)

    @property
    def membership(self) -> Membership | None:
        """The latest membership in the log, committed or not: the one that counts."""
        return self.memberships[-1][1] if self.memberships else None

    def membership_at(self, lsn: Lsn) -> Membership | None:
        """The latest membership at or below `lsn`."""
        return next((m for at, m in reversed(self.memberships) if at <= lsn), None)

    def record_at(self, lsn: Lsn) -> Record | None:
        index = lsn - self.base.lsn - 1
        return self.records[index] if 0 <= index < len(self.records) else None

    def point_at(self, lsn: Lsn) -> LogPoint | None:
        """The point at `lsn`; None where the log does not reach or no longer starts that early."""
        if lsn == self.base.lsn:
            return self.base
        record = self.record_at(lsn)
        return LogPoint(record.epoch, record.lsn, record.hash) if record else None

    def range(self, first_lsn: Lsn, last_lsn: Lsn) -> list[Record]:
        assert first_lsn > self.base.lsn, (first_lsn, self.base)
        return self.records[first_lsn - self.base.lsn - 1 : last_lsn - self.base.lsn]

    def chunk(self, first_lsn: Lsn, bytes_max: int) -> list[Record]:
        """Records from `first_lsn` on, at least one where there is one, about `bytes_max` in all."""
        start = first_lsn - self.base.lsn - 1
        assert start >= 0, (first_lsn, self.base)
        total = 0
        for index in range(start, len(self.records)):
            total += len(self.records[index].raw)
            if total > bytes_max:
                return self.records[start : max(index, start + 1)]
        return self.records[start:]

    def append(self, records: list[Record], sequence: int) -> None:
        """Adds records that chain to the last; they are durable once `sequence` is synced."""
        assert records[0].lsn == self.last_lsn + 1 and records[0].prev_hash == self.last_hash, (records[0], self.last)
        self.records.extend(records)
        for record in records:
            self.bytes += len(record.raw)
            if record.kind == Kind.MEMBERSHIP:
                self.memberships.append((record.lsn, decode_membership(record.body)))
            elif record.kind == Kind.SPLIT:
                self.splits.append((record.lsn, decode_split(record.body)))
        last = records[-1]
        self.last_epoch, self.last_lsn, self.last_hash = last.epoch, last.lsn, last.hash
        self.last_clock = last.clock
        self._unsynced.append((sequence, last.lsn))

    def keep_ahead(self, records: list[Record], sequence: int, under: Epoch) -> list[Record]:
        """Keeps records that stand above a gap; returns those that were new and have room.

        `under`: the epoch of the master that sent them; 0 where they were on the disk already.
        """
        new = [r for r in records if r.lsn > self.last_lsn and r.lsn not in self.ahead]
        new = new[: max(0, AHEAD_RECORDS_MAX - len(self.ahead))]
        for record in new:
            self.ahead[record.lsn] = (record, sequence, under)
        return new

    def absorb_ahead(self, epoch: Epoch) -> Lsn:
        """Moves what now follows the last record into the log; what does not chain there is forgotten.

        Returns the last LSN up to which the log is what the master of `epoch` sent: a record that was here before may
        chain to the filled gap, and yet be a branch that this master does not have.
        """
        sent_lsn = self.last_lsn
        while self.ahead and (found := self.ahead.pop(self.last_lsn + 1, None)):
            record, sequence, under = found
            if record.prev_hash != self.last_hash or record.epoch < self.last_epoch:
                self.ahead.clear()
                break
            self.append([record], sequence)
            if under == epoch and sent_lsn == record.lsn - 1:
                sent_lsn = record.lsn
        return sent_lsn

    def snip(self, first_lsn: Lsn) -> None:
        """Kills everything from `first_lsn` on."""
        assert first_lsn > self.base.lsn, (first_lsn, self.base)
        for record in self.records[first_lsn - self.base.lsn - 1 :]:
            self.bytes -= len(record.raw)
        del self.records[first_lsn - self.base.lsn - 1 :]
        while self.memberships and self.memberships[-1][0] >= first_lsn:
            self.memberships.pop()
        while self.splits and self.splits[-1][0] >= first_lsn:
            self.splits.pop()
        while self._unsynced and self._unsynced[-1][1] >= first_lsn:
            sequence, _ = self._unsynced.pop()
            covered = self._unsynced[-1][1] if self._unsynced else self.durable_lsn
            if covered < first_lsn - 1:
                self._unsynced.append((sequence, first_lsn - 1))
                break
        self.durable_lsn = min(self.durable_lsn, first_lsn - 1)
        self.ahead.clear()
        self._set_last()

    def on_synced(self, sequence: int) -> bool:
        """Everything up to `sequence` is durable; did the durable LSN rise?"""
        before = self.durable_lsn
        while self._unsynced and self._unsynced[0][0] <= sequence:
            self.durable_lsn = self._unsynced.popleft()[1]
        return self.durable_lsn > before

    def trim(self, upto_lsn: Lsn) -> None:
        """Forgets records at or below `upto_lsn`, which others keep; the log's base moves there."""
        point = self.point_at(upto_lsn)
        assert point is not None and upto_lsn <= self.durable_lsn, (upto_lsn, self.base, self.last)
        gone = upto_lsn - self.base.lsn
        self.bytes -= sum(len(r.raw) for r in self.records[:gone])
        del self.records[:gone]
        self.base = point
        while len(self.memberships) > 1 and self.memberships[1][0] <= upto_lsn:
            self.memberships.pop(0)

    def restart_at(self, base: LogPoint, membership: Membership | None) -> None:
        """The log is replaced: it holds nothing but its base."""
        self.__init__(base, membership)  # type: ignore[misc]

    def epoch_at(self, lsn: Lsn) -> Epoch:
        point = self.point_at(lsn)
        return point.epoch if point else 0
