"""File I/O of the storage shell, and the layer of it that tests use to make a real node's disk fail.

When the environment variable KEYSTEAD_DISK_FAULTS names a JSON file, every operation looks at that file first (it may
appear, change and vanish while the node runs). Its members, all optional:

    {"fail_fsync": true, "eio_read": true, "eio_write": true, "enospc": true, "slow_ms": 20, "path": "hot.log"}

`path` limits the faults to files whose path contains it. Without the variable nothing is looked at.
"""

import errno
import os
import time
from pathlib import Path
from typing import Final

import msgspec

ENVIRONMENT: Final = "KEYSTEAD_DISK_FAULTS"


class DiskFailed(Exception):
    """The disk returned EIO or could not sync. What is on it is not known any more: the process must stop at once."""


class DiskFull(Exception):
    """The file system has no room for this; nothing of it is durable."""


class Faults(msgspec.Struct, frozen=True):
    """Which operations fail."""

    fail_fsync: bool = False
    eio_read: bool = False
    eio_write: bool = False
    enospc: bool = False
    slow_ms: float = 0
    path: str = ""


class FileIo:
    """Reads, writes and syncs files; the only errors are DiskFailed and DiskFull (and FileNotFoundError at opening)."""

    def read(self, fd: int, path: Path, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises DiskFailed where the file ends before."""
        parts = []
        while length > 0:
            try:
                part = os.pread(fd, length, offset)
            except OSError as error:
                raise failure("read", path, error) from error
            if not part:
                raise DiskFailed(f"{path} ends at byte {offset}")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, fd: int, path: Path, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                done = os.pwrite(fd, view, offset)
            except OSError as error:
                raise failure("write", path, error) from error
            view = view[done:]
            offset += done

    def sync(self, fd: int, path: Path) -> None:
        """fdatasync. Its failure is final: the kernel may have dropped the pages, so a second try proves nothing."""
        try:
            os.fdatasync(fd)
        except OSError as error:
            raise DiskFailed(f"fdatasync of {path} failed: {error}") from error

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        except OSError as error:
            raise DiskFailed(f"fsync of directory {path} failed: {error}") from error
        finally:
            os.close(fd)

    def space_bytes(self, path: Path) -> tuple[int, int]:
        """(size of the file system, what is left of it for us)."""
        stat = os.statvfs(path)
        return stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize


class FaultyIo(FileIo):
    """FileIo with the faults that a file asks for."""

    def __init__(self, faults_path: Path) -> None:
        self._faults_path = faults_path
        self._seen: tuple[int, int] = (0, 0)
        self._faults = Faults()

    def _due(self, path: Path) -> Faults:
        try:
            stat = self._faults_path.stat()
        except FileNotFoundError:
            self._seen, self._faults = (0, 0), Faults()
            return self._faults
        if (stat.st_mtime_ns, stat.st_size) != self._seen:
            try:
                self._faults = msgspec.json.decode(self._faults_path.read_bytes(), type=Faults)
            except (msgspec.MsgspecError, FileNotFoundError):
                return Faults()
            self._seen = (stat.st_mtime_ns, stat.st_size)
        if self._faults.path not in str(path):
            return Faults()
        if self._faults.slow_ms:
            time.sleep(self._faults.slow_ms / 1000)
        return self._faults

    def read(self, fd: int, path: Path, offset: int, length: int) -> bytes:
        if self._due(path).eio_read:
            raise failure("read", path, OSError(errno.EIO, os.strerror(errno.EIO)))
        return super().read(fd, path, offset, length)

    def write(self, fd: int, path: Path, offset: int, data: bytes) -> None:
        faults = self._due(path)
        if faults.eio_write:
            raise failure("write", path, OSError(errno.EIO, os.strerror(errno.EIO)))
        if faults.enospc and path.name != "hot.log":
            raise failure("write", path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        super().write(fd, path, offset, data)

    def sync(self, fd: int, path: Path) -> None:
        if self._due(path).fail_fsync:
            raise DiskFailed(f"fdatasync of {path} failed: injected")
        super().sync(fd, path)

    def sync_directory(self, path: Path) -> None:
        if self._due(path).fail_fsync:
            raise DiskFailed(f"fsync of directory {path} failed: injected")
        super().sync_directory(path)

    def space_bytes(self, path: Path) -> tuple[int, int]:
        total, free = super().space_bytes(path)
        return total, 0 if self._due(path).enospc else free


def failure(what: str, path: Path, error: OSError) -> DiskFailed | DiskFull:
    """The typed error for an OSError of a data file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{what} of {path}: {error.strerror}")
    return DiskFailed(f"{what} of {path} failed: {error}")


def file_io() -> FileIo:
    """The process's file I/O: with faults only where the environment asks for them."""
    faults_path = os.environ.get(ENVIRONMENT)
    return FaultyIo(Path(faults_path)) if faults_path else FileIo()
