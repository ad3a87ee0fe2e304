"""The catalog group's own lock: a counter that each taker raises by compare-and-set, under its name.

It is not held and does not expire; it authorises nothing. Embedded mode keeps it in a file under flock; in Kubernetes
it is an annotation of a Lease (lease_lock.py).
"""

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Protocol


class LockUnavailable(Exception):
    """The lock was not taken, as far as is known; the message says why."""


class CatalogLock(Protocol):
    async def take(self, at_least: int, taker: str) -> int:
        """Raises the counter above itself and `at_least`; its new value. Raises LockUnavailable."""
        ...


class FileLock:
    """For nodes that share a machine: the counter is fsynced before it counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def take(self, at_least: int, taker: str) -> int:
        try:
            return await asyncio.to_thread(self._raise, at_least, taker)
        except OSError as error:
            raise LockUnavailable(f"{self._path}: {error}") from error

    def _raise(self, at_least: int, taker: str) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            words = os.pread(descriptor, 4096, 0).split()
            counter = max(int(words[0]) if words and words[0].isdigit() else 0, at_least) + 1
            line = f"{counter} {taker}\n".encode().ljust(64)
            os.pwrite(descriptor, line, 0)
            os.fsync(descriptor)
            return counter
        finally:
            os.close(descriptor)
