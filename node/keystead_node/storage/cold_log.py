"""The cold log of one replica: gapless segments of committed records, the unit of catch-up and of archive.

A segment is sealed in this order: written and synced under a temporary name, read back and verified, renamed, the
directory synced. Only then may the hot log release its records. The name says what the segment holds, so that the end
of the log is known even where a segment's content is bad:

    <first LSN>-<last LSN>-<last epoch>-<last hash>.seg         (decimal, decimal, hexadecimal, hexadecimal)

What is sealed must be at or below the commit LSN; the caller answers for that. Pins hold segments back from trimming;
each has an owner and an age, and the oldest are broken where space is needed. The newest segment is never trimmed: it
names the end of the log. No clock, no thread; all I/O through SegmentStore.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Protocol

import msgspec

from keystead_core.ids import Lsn, Micros, PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.record import Record
from keystead_node.storage.cold_segment import ColdError, SegmentReader, check_chain, encode_segment, reader_of
from keystead_node.storage.cold_store import DirectoryStore

__all__ = ["ColdError", "ColdLog", "DirectoryStore", "Pin", "SegmentDamaged", "SegmentName", "SegmentStore"]

_NAME: Final = re.compile(r"(\d{20})-(\d{20})-([0-9a-f]{16})-([0-9a-f]{16})\.seg")


class SegmentStore(Protocol):
    """A directory of segments. Names are plain file names; errors of the disk are its own."""

    def names(self) -> list[str]: ...

    def size_bytes(self, name: str) -> int: ...

    def read(self, name: str, offset: int, length: int) -> bytes: ...

    def write_temporary(self, name: str, data: bytes) -> None:
        """Writes and syncs under a temporary name."""

    def read_temporary(self, name: str) -> bytes: ...

    def publish(self, name: str) -> None:
        """Gives the temporary file its name, atomically and durably; replaces what had it."""

    def delete(self, name: str) -> None: ...


class SegmentName(msgspec.Struct, frozen=True):
    """What a segment's file name tells."""

    first_lsn: Lsn
    end: LogPoint

    @property
    def file(self) -> str:
        return f"{self.first_lsn:020d}-{self.end.lsn:020d}-{self.end.epoch:016x}-{self.end.hash:016x}.seg"


class Pin(msgspec.Struct, frozen=True):
    """Somebody still needs the records from `lsn` on. `since`: when it was set."""

    owner: str
    lsn: Lsn
    since: Micros


class SegmentDamaged(ColdError):
    """A segment cannot be read; its records must come from a peer or a backup (`ColdLog.repair`)."""

    def __init__(self, name: SegmentName, cause: ColdError) -> None:
        super().__init__(f"cold segment {name.file}: {cause}")
        self.name = name


def parse_name(file: str) -> SegmentName | None:
    """None for any other file."""
    match = _NAME.fullmatch(file)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return SegmentName(first, LogPoint(int(match[3], 16), last, int(match[4], 16))) if 0 < first <= last else None


class ColdLog:
    """See the module. `missing` names ranges (first, last LSN) between segments that are not there: lost files.

    One thread at a time may change it; readers may run beside that.
    """

    def __init__(self, store: SegmentStore, partition: PartitionId) -> None:
        self.partition = partition
        self.missing: list[tuple[Lsn, Lsn]] = []
        self._store = store
        names = [name for name in map(parse_name, store.names()) if name is not None]
        self._segments = sorted(names, key=lambda name: name.first_lsn)
        for before, after in pairwise(self._segments):
            if after.first_lsn != before.end.lsn + 1:
                self.missing.append((before.end.lsn + 1, after.first_lsn - 1))
        self._pins: dict[str, Pin] = {}

    @property
    def segments(self) -> list[SegmentName]:
        return list(self._segments)

    @property
    def start_lsn(self) -> Lsn:
        """The first LSN from which on nothing is missing; 0 while empty."""
        if self.missing:
            return self.missing[-1][1] + 1
        return self._segments[0].first_lsn if self._segments else 0

    @property
    def end(self) -> LogPoint:
        """The last sealed record."""
        return self._segments[-1].end if self._segments else EMPTY_LOG

    def size_bytes(self) -> int:
        return sum(self.size_of(name) for name in self._segments)

    def size_of(self, name: SegmentName) -> int:
        return self._store.size_bytes(name.file)

    def seal(self, records: Sequence[Record]) -> SegmentName:
        """Adds committed records behind the end; durable and verified when this returns. Raises ColdError."""
        if not records or records[0].partition != self.partition:
            raise ColdError(f"nothing to seal for partition {self.partition}")
        if self._segments:
            if records[0].lsn != self.end.lsn + 1:
                raise ColdError(f"LSN {records[0].lsn} does not follow the cold log's end {self.end.lsn}")
            check_chain(records[:1], self.end.hash)
        name = self._write(records)
        self._segments = [*self._segments, name]
        return name

    def repair(self, records: Sequence[Record]) -> None:
        """Replaces a damaged segment by the same records from elsewhere. Raises ColdError if they are not the same."""
        if not records or self._name_of(records) not in self._segments:
            raise ColdError("these records make no segment of this log")
        self._write(records)

    def reset(self) -> None:
        """Forgets everything, newest first: the replica starts anew from a physical copy."""
        while self._segments:
            self._store.delete(self._segments[-1].file)
            self._segments = self._segments[:-1]
        self.missing = []

    def read_from(self, lsn: Lsn, bytes_max: int) -> list[Record]:
        """Records from `lsn` on, at least one and then at most `bytes_max`; none where `lsn` is not held.

        Raises SegmentDamaged.
        """
        found: list[Record] = []
        size = 0
        for name in self._segments:
            if name.end.lsn < lsn:
                continue
            if name.first_lsn > lsn or (found and size >= bytes_max):
                break
            part = self._read(name, lsn, bytes_max - size)
            if found and size + len(part[0].raw) > bytes_max:
                break
            found += part
            size += sum(len(record.raw) for record in part)
            lsn = found[-1].lsn + 1
        return found

    def verify(self, name: SegmentName) -> None:
        """Reads a whole segment. Raises SegmentDamaged."""
        try:
            self._reader(name).verify()
        except ColdError as error:
            raise SegmentDamaged(name, error) from error

    def pin(self, owner: str, lsn: Lsn, now: Micros) -> None:
        """Keeps the records from `lsn` on for `owner`; a later call moves its pin and keeps its age."""
        old = self._pins.get(owner)
        self._pins[owner] = Pin(owner, lsn, old.since if old else now)

    def unpin(self, owner: str) -> None:
        self._pins.pop(owner, None)

    def pins(self) -> list[Pin]:
        """The oldest first."""
        return sorted(self._pins.values(), key=lambda pin: (pin.since, pin.owner))

    def break_pins(self, before: Micros) -> list[Pin]:
        """Removes the pins set before a time; their owners must be told."""
        broken = [pin for pin in self.pins() if pin.since < before]
        for pin in broken:
            del self._pins[pin.owner]
        return broken

    def trim(self, upto_lsn: Lsn) -> list[SegmentName]:
        """Deletes segments that end at or below `upto_lsn`, but none that is pinned, nor the newest."""
        limit = min([upto_lsn, *(pin.lsn - 1 for pin in self._pins.values())])
        gone = []
        while len(self._segments) > 1 and self._segments[0].end.lsn <= limit:
            gone.append(self._segments[0])
            self._segments = self._segments[1:]
            self._store.delete(gone[-1].file)
        self.missing = [gap for gap in self.missing if gap[0] > self._segments[0].first_lsn]
        return gone

    def _name_of(self, records: Sequence[Record]) -> SegmentName:
        last = records[-1]
        return SegmentName(records[0].lsn, LogPoint(last.epoch, last.lsn, last.hash))

    def _write(self, records: Sequence[Record]) -> SegmentName:
        name = self._name_of(records)
        self._store.write_temporary(name.file, encode_segment(records))
        reader_of(self._store.read_temporary(name.file)).verify_holds(records)
        self._store.publish(name.file)
        return name

    def _reader(self, name: SegmentName) -> SegmentReader:
        size = self._store.size_bytes(name.file)
        reader = SegmentReader(lambda offset, length: self._store.read(name.file, offset, length), size)
        footer = reader.footer
        if (footer.partition, footer.first_lsn, footer.end) != (self.partition, name.first_lsn, name.end):
            raise ColdError("a segment is not what its name says")
        return reader

    def _read(self, name: SegmentName, lsn: Lsn, bytes_max: int) -> list[Record]:
        try:
            return self._reader(name).read_from(lsn, bytes_max)
        except ColdError as error:
            raise SegmentDamaged(name, error) from error
