"""The rows of one replica: a RocksDB database, without a WAL of its own, because the partition's log is one.

What is where in it, row_layout.py says.

Each `apply` writes rows and `applied_lsn` in one WriteBatch of the one column family, so that a crash at any moment
leaves the rows exactly as of the LSN that is found with them: less than was applied, never a mixture.
`durable_applied` is a lower bound of what a crash leaves; the log must keep what is above it.

Opening takes about 10 ms: call `RowStores.open` (row_stores.py) from a thread. `write` and checkpoints hold the GIL, so
batches are kept small; `flush` gives it up and belongs into a thread.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import rocksdict

from keystead_core.ids import Lsn, PartitionId
from keystead_core.indexes.entries import decode_indexes
from keystead_core.indexes.feed import Forebear
from keystead_core.log.entries import LogPoint
from keystead_core.split.record import Split, decode_split
from keystead_node.storage.faults import DiskFailed, DiskFull
from keystead_node.storage.row_layout import (
    APPLIED,
    CHANGE,
    CHANGE_KEY,
    COLLECTIONS,
    FEED,
    FOREBEARS,
    INDEX,
    INDEXES,
    LSN,
    META,
    RANGE,
    ROW,
    SPLIT,
    Beside,
    RowRange,
    SplitHere,
)


class RowStoreDamaged(Exception):
    """RocksDB found its files damaged: the rows must come anew, from the log or from another replica."""


class RowBudget(msgspec.Struct, frozen=True):
    """What all databases of a node share, the write buffer of each, and how far one may lag before it is flushed."""

    cache_bytes: int = 128 << 20
    write_buffers_bytes: int = 64 << 20
    write_buffer_bytes: int = 8 << 20
    arena_block_bytes: int = 64 << 10
    lag_bytes: int = 8 << 20
    lag_seconds: float = 10.0
    background_jobs: int = 2
    max_databases: int = 1024


class RowStore:
    """One open database. For one thread at a time, but `get`, `scan` and `flush`, which may run beside others."""

    def __init__(self, path: Path, options: Any, engine: Any = rocksdict) -> None:
        """`engine`: the library that keeps the database; the simulator hands in one of its own."""
        self.path = path
        self._engine = engine
        try:
            self._db: Any = engine.Rdict(str(path), options)
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(path, error) from error
        write: Any = engine.WriteOptions()  # its stub takes the property for a method
        write.disable_wal = True
        self._db.set_write_options(write)
        self._applied = self._read_applied()
        self._durable_applied = self._applied
        self._unflushed_bytes = 0
        self.lagging_since = 0.0

    @property
    def applied_lsn(self) -> Lsn:
        """The last LSN whose effect is in the rows."""
        return self._applied

    @property
    def durable_applied(self) -> Lsn:
        """The rows survive a crash at least up to this LSN."""
        return self._durable_applied

    @property
    def unflushed_bytes(self) -> int:
        """Bytes applied since the last flush that was asked for."""
        return self._unflushed_bytes

    def apply(
        self, changes: Sequence[tuple[bytes, bytes | None]], applied_lsn: Lsn, beside: Beside | None = None
    ) -> None:
        """Puts rows, deletes those whose value is None, and raises `applied_lsn`, all or nothing.

        Raises DiskFailed or DiskFull.
        """
        assert applied_lsn >= self._applied, f"applied_lsn would fall from {self._applied} to {applied_lsn}"
        batch = self._engine.WriteBatch(raw_mode=True)
        size = 0
        for key, value in changes:
            if value is None:
                batch.delete(ROW + key)
                size += len(key)
            else:
                batch.put(ROW + key, value)
                size += len(key) + len(value)
        if beside is not None:
            size += self._write_beside(batch, beside)
        batch.put(APPLIED, LSN.pack(applied_lsn))
        if not self._unflushed_bytes:
            self.lagging_since = time.monotonic()
        self._write(batch)
        self._applied = applied_lsn
        self._unflushed_bytes += size + len(APPLIED)

    def _write_beside(self, batch: Any, beside: Beside) -> int:
        """Adds to a batch; returns the bytes."""
        size = 0
        for number, (lsn, changed) in enumerate(beside.changes):
            batch.put(CHANGE + CHANGE_KEY.pack(lsn, number), changed)
            size += len(changed)
        if beside.read_upto:
            batch.delete_range(CHANGE, CHANGE + CHANGE_KEY.pack(beside.read_upto + 1, 0))
        for index, key, value in beside.entries:
            if value is None:
                batch.delete(_space(index) + key)
            else:
                batch.put(_space(index) + key, value)
                size += len(value)
        for collection, stored in beside.collections.items():
            if stored > 0:
                batch.put(_space(COLLECTIONS) + collection, LSN.pack(stored))
            else:
                batch.delete(_space(COLLECTIONS) + collection)
        if beside.indexes is not None:
            batch.put(META + INDEXES, beside.indexes)
        for source, lsn in beside.fed.items():
            batch.put(META + FEED + LSN.pack(source), LSN.pack(lsn))
        for here in beside.splits:
            split = decode_split(here.body)
            batch.put(META + SPLIT + LSN.pack(split.right), msgspec.msgpack.encode(here))
            batch.put(META + RANGE, msgspec.msgpack.encode((split.low, split.at)))
        return size

    def row_range(self) -> RowRange | None:
        """The range of the rows that count, where a split has narrowed it; what is beside it belongs to others."""
        value = self.get_meta(RANGE)
        return None if value is None else msgspec.msgpack.decode(value, type=RowRange)

    def splits(self) -> list[tuple[LogPoint, Split]]:
        """The splits whose right halves are still here, in order of the right halves' ids."""
        found = []
        for key, value in self._range(META, SPLIT, None):
            if not key.startswith(SPLIT):
                break
            here = msgspec.msgpack.decode(value, type=SplitHere)
            found.append((here.point, decode_split(here.body)))
        return found

    def forebears(self) -> list[Forebear]:
        """Whose log the partition's own goes on from, the oldest first."""
        value = self.get_meta(FOREBEARS)
        return [] if value is None else msgspec.msgpack.decode(value, type=list[Forebear])

    def become_right(self, point: LogPoint, split: Split) -> None:
        """Makes of a copy of the left group's rows, of any time behind the split, those of the right half as of it.

        Nothing of the right half is written by the left group behind the split, so they are the same at any time; what
        goes on beside them was noted with the split. Flushed when it returns. Raises DiskFailed or DiskFull.
        """
        noted = self.get_meta(SPLIT + LSN.pack(split.right))
        here = None if noted is None else msgspec.msgpack.decode(noted, type=SplitHere)
        self._become(point, (split.at, split.high), here)

    def become_heir(self, old: PartitionId, point: LogPoint, span: RowRange) -> None:
        """Makes of a copy of all that a group's log came to, up to `point`, the rows of another in its place. Flushed
        when it returns. Raises DiskFailed or DiskFull."""
        here = SplitHere(point, b"", old, self.indexes(), self.fed(), self.forebears())
        self._become(point, span, here)

    def _become(self, point: LogPoint, span: RowRange, here: SplitHere | None) -> None:
        low, high = span
        batch = self._engine.WriteBatch(raw_mode=True)
        for space in self._spaces():
            self._delete(batch, space, b"", low)
            if high is not None:
                self._delete(batch, space, high, None)
        if here is not None:
            self._begin_beside(batch, point.lsn, here)
        batch.delete_range(META + SPLIT, _next(META + SPLIT))
        batch.put(META + RANGE, msgspec.msgpack.encode((low, high)))
        batch.put(APPLIED, LSN.pack(point.lsn))
        self._write(batch)
        self._applied = self._durable_applied = point.lsn
        self.flush()

    @staticmethod
    def _begin_beside(batch: Any, lsn: Lsn, here: SplitHere) -> None:
        """What is beside the rows as of the split. Changes kept up to there stay, those of the other half among them:
        they are a history that goes out as one."""
        batch.delete_range(CHANGE + CHANGE_KEY.pack(lsn + 1, 0), _next(CHANGE))
        if not here.left:
            return
        batch.put(META + FOREBEARS, msgspec.msgpack.encode([*here.forebears, Forebear(here.left, lsn)]))
        if here.indexes is not None:
            batch.put(META + INDEXES, here.indexes)
        else:
            batch.delete(META + INDEXES)
        batch.delete_range(META + FEED, _next(META + FEED))
        for source, upto in here.fed.items():
            batch.put(META + FEED + LSN.pack(source), LSN.pack(upto))

    def let_go(self, split: Split) -> None:
        """The right half has its rows: they go from here. In a crash they may come back, and go again."""
        batch = self._engine.WriteBatch(raw_mode=True)
        for space in self._spaces():
            self._delete(batch, space, split.at, split.high)
        batch.delete(META + SPLIT + LSN.pack(split.right))
        self._write(batch)

    def compact(self, low: bytes, high: bytes | None) -> None:
        """Gives the space of rows in [low, high) back that were deleted. For a thread. Raises DiskFailed, DiskFull."""
        try:
            for space in self._spaces():
                self._db.compact_range(space + low, _next(space) if high is None else space + high)
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error

    def _spaces(self) -> list[bytes]:
        """The key spaces whose keys begin as row keys do."""
        indexes = self.indexes()
        local = [index.id for index in decode_indexes(indexes).indexes if not index.is_global] if indexes else []
        return [ROW, *[_space(index) for index in [*local, *([COLLECTIONS] if local else [])]]]

    @staticmethod
    def _delete(batch: Any, space: bytes, low: bytes, high: bytes | None) -> None:
        batch.delete_range(space + low, _next(space) if high is None else space + high)

    def indexes(self) -> bytes | None:
        """The indexes as last applied, encoded; None: there never were any."""
        return self.get_meta(INDEXES)

    def collection_bytes(self, collection: bytes) -> int:
        """Stored bytes of the items of one partition key and of their entries, where there are local indexes."""
        value = self._get(_space(COLLECTIONS) + collection)
        return int(LSN.unpack(value)[0]) if value is not None else 0

    def fed_upto(self, source: PartitionId) -> Lsn:
        """Up to where the changes of another partition are in the rows; 0: none are."""
        value = self.get_meta(FEED + LSN.pack(source))
        return int(LSN.unpack(value)[0]) if value is not None else 0

    def fed(self) -> dict[PartitionId, Lsn]:
        """The same of all partitions whose changes are in the rows."""
        found = self._range(META, FEED, _next(FEED))
        return {PartitionId(LSN.unpack(key[len(FEED) :])[0]): LSN.unpack(value)[0] for key, value in found}

    def changes(self, after: Lsn, upto: Lsn, count_max: int, bytes_max: int) -> list[tuple[Lsn, bytes]]:
        """Changes kept for global indexes, LSN and encoding, of (after, upto]; all those of an LSN, or none."""
        found: list[tuple[Lsn, bytes]] = []
        size = 0
        low, high = CHANGE_KEY.pack(after + 1, 0), CHANGE_KEY.pack(upto + 1, 0)
        for key, value in self._range(CHANGE, low, high):
            lsn = CHANGE_KEY.unpack(key)[0]
            if found and lsn != found[-1][0] and (len(found) >= count_max or size >= bytes_max):
                break
            found.append((lsn, value))
            size += len(value)
        return found

    def clear(self, low: bytes, high: bytes | None, applied_lsn: Lsn) -> None:
        """Deletes all rows in [low, high) in the same way."""
        assert applied_lsn >= self._applied
        batch = self._engine.WriteBatch(raw_mode=True)
        batch.delete_range(ROW + low, _next(ROW) if high is None else ROW + high)
        batch.put(APPLIED, LSN.pack(applied_lsn))
        self._write(batch)
        self._applied = applied_lsn

    def get(self, key: bytes) -> bytes | None:
        return self._get(ROW + key)

    def _get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """One value for each key, None where there is no row."""
        try:
            values: list[bytes | None] = self._db.get([ROW + key for key in keys])
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error
        return values

    def scan(
        self, low: bytes, high: bytes | None, max_rows: int, max_bytes: int, backwards: bool = False, index: int = 0
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Rows in [low, high) in key order, the last first if `backwards`, and whether there are more.

        At least one, then until `max_rows` or until keys and values reach `max_bytes`. `index`: entries of the local
        index of that id in the place of rows.
        """
        rows: list[tuple[bytes, bytes]] = []
        size = 0
        space = _space(index)
        for key, value in self._range_back(space, low, high) if backwards else self._range(space, low, high):
            if rows and (size >= max_bytes or len(rows) >= max_rows):
                return rows, True
            rows.append((key, value))
            size += len(key) + len(value)
        return rows, False

    def weights(self, low: bytes, high: bytes | None) -> Iterator[tuple[bytes, int]]:
        """Each row key in [low, high) with the bytes of its row, in key order."""
        return ((key, len(key) + len(value)) for key, value in self._range(ROW, low, high))

    def scan_all(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row, in key order."""
        return self._range(ROW, b"", None)

    def _range(self, space: bytes, low: bytes, high: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """What is in [low, high) of a key space."""
        options = self._engine.ReadOptions()
        options.set_iterate_upper_bound(_next(space) if high is None else space + high)
        size = len(space)
        try:
            for key, value in self._db.items(from_key=space + low, read_opt=options):
                yield key[size:], value
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error

    def _range_back(self, space: bytes, low: bytes, high: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        # rocksdict takes a lower bound for an upper one, so the end is looked for here.
        begin, end = space + low, _next(space) if high is None else space + high
        size = len(space)
        try:
            for key, value in self._db.items(backwards=True, from_key=end):
                if key < begin:
                    return
                if key < end:
                    yield key[size:], value
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error

    def get_meta(self, name: bytes) -> bytes | None:
        value: bytes | None = self._db.get(META + name)
        return value

    def put_meta(self, name: bytes, value: bytes) -> None:
        """Keeps a fact about the store itself; durable with the next flush."""
        assert META + name != APPLIED
        batch = self._engine.WriteBatch(raw_mode=True)
        batch.put(META + name, value)
        self._write(batch)

    def flush(self) -> Lsn:
        """Makes what is applied durable and returns up to where. Call it in a thread."""
        applied, size, now = self._applied, self._unflushed_bytes, time.monotonic()
        try:
            self._db.flush(wait=True)
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error
        self._durable_applied = max(self._durable_applied, applied)
        self._unflushed_bytes -= size
        self.lagging_since = now
        return applied

    def checkpoint(self, path: Path) -> Lsn:
        """Makes a physical copy (hard links) in `path`, which must not exist; returns the LSN applied in it."""
        applied = self.flush()
        try:
            rocksdict.Checkpoint(self._db).create_checkpoint(str(path))
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(path, error) from error
        return applied

    def is_lagging(self, now: float, budget: RowBudget) -> bool:
        """Whether what is applied should be made durable soon, so that the log can let go of it."""
        if self._durable_applied >= self._applied:
            return False
        return self._unflushed_bytes >= budget.lag_bytes or now - self.lagging_since >= budget.lag_seconds

    def approximate_rows(self) -> int:
        return int(self._db.property_int_value("rocksdb.estimate-num-keys") or 0)

    def approximate_bytes(self) -> int:
        """Of the live rows, memtables included."""
        files = self._db.property_int_value("rocksdb.estimate-live-data-size") or 0
        memory = self._db.property_int_value("rocksdb.cur-size-all-mem-tables") or 0
        return int(files) + int(memory)

    def close(self) -> None:
        """Flushes and closes."""
        try:
            self._db.close()
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error

    def _write(self, batch: Any) -> None:
        try:
            self._db.write(batch)
        except Exception as error:  # rocksdict raises nothing narrower
            raise failure_of(self.path, error) from error

    def _read_applied(self) -> Lsn:
        value = self._db.get(APPLIED)
        return int(LSN.unpack(value)[0]) if value is not None else 0


def _space(index: int) -> bytes:
    """What the keys of rows, or of a local index's entries, begin with."""
    return ROW if index == 0 else INDEX + bytes((index,))


def _next(space: bytes) -> bytes:
    """What is behind all keys of a key space."""
    return space[:-1] + bytes((space[-1] + 1,))


def failure_of(path: Path, error: Exception) -> DiskFailed | DiskFull | RowStoreDamaged:
    """The typed error for what rocksdict raised."""
    text = str(error)
    if "No space left" in text or "quota" in text:
        return DiskFull(f"row store {path}: {text}")
    if "Corruption" in text or "does not exist" in text:
        return RowStoreDamaged(f"row store {path}: {text}")
    return DiskFailed(f"row store {path}: {text}")
