"""The library under the real RowStore, in memory: as much of rocksdict as the row store uses.

A batch is all or nothing. What is written can be read at once and is durable with a flush, which also happens by itself
at any time, as RocksDB does; a crash leaves the state as of some flush, never a mixture.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

FLUSHED_BY_ITSELF = 0.1
_NO_VALUE = object()


class Files:
    """The files of one database: `flushed` is what a crash leaves. Goes to Rdict in the place of its options."""

    __slots__ = ("flushed", "live", "random")

    def __init__(self, random: Random, content: dict[bytes, bytes] | None = None) -> None:
        self.random = random
        self.live: dict[bytes, bytes] = content or {}
        self.flushed = dict(self.live)

    def crash(self) -> None:
        self.live = dict(self.flushed)

    def copy(self) -> "Files":
        return Files(self.random, dict(self.flushed))


class WriteOptions:
    disable_wal = False


class ReadOptions:
    end: bytes | None = None

    def set_iterate_upper_bound(self, key: bytes) -> None:
        self.end = key


class WriteBatch:
    def __init__(self, raw_mode: bool) -> None:
        self.changes: list[tuple[bytes, bytes | None]] = []
        self.gone: list[tuple[bytes, bytes]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.changes.append((key, value))

    def delete(self, key: bytes) -> None:
        self.changes.append((key, None))

    def delete_range(self, low: bytes, high: bytes) -> None:
        """Before everything else of the batch: so the row store uses it."""
        self.gone.append((low, high))


class Rdict:
    def __init__(self, path: str, files: Files) -> None:
        self._files = files

    def set_write_options(self, options: WriteOptions) -> None:
        assert options.disable_wal

    def get(self, key: bytes) -> bytes | None:
        return self._files.live.get(key)

    def items(self, from_key: bytes, read_opt: Any = None) -> Iterator[tuple[bytes, bytes]]:
        end = read_opt.end if read_opt is not None else None
        found = sorted((key, value) for key, value in self._files.live.items() if key >= from_key)
        return iter(found if end is None else [(key, value) for key, value in found if key < end])

    def write(self, batch: WriteBatch) -> None:
        live = self._files.live
        for low, high in batch.gone:
            for key in [key for key in live if low <= key < high]:
                del live[key]
        for key, value in batch.changes:
            if value is None:
                live.pop(key, None)
            else:
                live[key] = value
        if self._files.random.random() < FLUSHED_BY_ITSELF:
            self.flush()

    def flush(self, wait: bool = True) -> None:
        self._files.flushed = dict(self._files.live)
