"""A node's volume: who owns it, its hot-log file with real writes and syncs, and how much space is left.

DATA/identity   JSON {format, cluster, node_id, boot}: replaced whole; `boot` rises durably at each start
DATA/lock       an exclusive flock for as long as a process uses the volume
"""

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from keystead_node.durable_file import write_durably
from keystead_node.storage.block import BLOCK_BYTES

DATA_FORMAT: Final = 1
RESERVE_1_BYTES: Final = 64 * 1024 * 1024
RESERVE_2_BYTES: Final = 16 * 1024 * 1024
RESERVE_SHARE_MAX: Final = 20


class VolumeInUse(Exception):
    """Another process uses this volume."""


class VolumeNotWritable(Exception):
    """The volume cannot be written."""


class VolumeTooNew(Exception):
    """The volume was written by a newer version of the program."""


class WrongCluster(Exception):
    """The volume belongs to another cluster."""


class DiskFailed(Exception):
    """A write or fdatasync failed: the process must stop at once and must not try again."""


class Identity(msgspec.Struct):
    """`node_id`: 16 hex digits, minted on an empty volume. `boot`: of the present start."""

    format: int
    cluster: str
    node_id: str
    boot: int


class Volume:
    """A volume that this process holds alone."""

    def __init__(self, directory: Path, identity: Identity, lock: int, was_empty: bool) -> None:
        self.directory = directory
        self.identity = identity
        self.was_empty = was_empty
        self._lock = lock

    @classmethod
    def open(cls, directory: Path, cluster: str) -> "Volume":
        """Takes the volume and raises its boot number. Raises the errors of this module."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VolumeNotWritable(f"{directory} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise VolumeInUse(f"{directory} is in use by another process") from error
        try:
            return cls._open_locked(directory, cluster, lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _open_locked(cls, directory: Path, cluster: str, lock: int) -> "Volume":
        path = directory / "identity"
        was_empty = not path.exists()
        if was_empty:
            identity = Identity(DATA_FORMAT, cluster, os.urandom(8).hex(), 0)
        else:
            identity = _read_identity(path)
        if identity.format > DATA_FORMAT:
            raise VolumeTooNew(
                f"{directory} has data of format {identity.format}; this program knows {DATA_FORMAT}: use a newer one"
            )
        if identity.cluster != cluster:
            raise WrongCluster(f"{directory} belongs to cluster {identity.cluster}, not to {cluster}")
        identity.boot += 1
        try:
            write_durably(path, msgspec.json.encode(identity))
        except OSError as error:
            raise VolumeNotWritable(f"{directory} cannot be written: {error.strerror}") from error
        return cls(directory, identity, lock, was_empty)

    def space_level(self) -> int:
        """0: enough; 1: below reserve 1; 2: below reserve 2. Reserves are at most 1/20 of the file system."""
        usage = shutil.disk_usage(self.directory)
        if usage.free < min(RESERVE_2_BYTES, usage.total // RESERVE_SHARE_MAX // 4):
            return 2
        return 1 if usage.free < min(RESERVE_1_BYTES, usage.total // RESERVE_SHARE_MAX) else 0

    def renounce(self) -> None:
        """Sets everything aside under renounced-<boot>/: the next start finds an empty volume."""
        target = self.directory / f"renounced-{self.identity.boot}"
        target.mkdir()
        for entry in list(self.directory.iterdir()):
            if entry.name != "lock" and not entry.name.startswith("renounced-"):
                entry.rename(target / entry.name)

    def close(self) -> None:
        os.close(self._lock)


def _read_identity(path: Path) -> Identity:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except msgspec.MsgspecError as error:
        raise DiskFailed(f"{path} cannot be read: {error}") from error


class FileDisk:
    """A preallocated file as a Disk (block.py). `write_all` and `sync` are for the one writer thread."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = size_bytes

    @classmethod
    def open(cls, path: Path, size_bytes: int) -> "FileDisk":
        """Opens the file, or makes it of that size. Raises VolumeNotWritable (also for want of space)."""
        try:
            is_new = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if is_new:
                os.posix_fallocate(descriptor, 0, size_bytes // BLOCK_BYTES * BLOCK_BYTES)
                os.fsync(descriptor)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise VolumeNotWritable(f"{path}: {error.strerror}") from error
        return cls(descriptor, os.fstat(descriptor).st_size)

    def read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise DiskFailed(f"reading the hot log failed: {error.strerror}") from error

    def write(self, offset: int, data: bytes) -> None:
        try:
            while data:
                written = os.pwrite(self._descriptor, data, offset)
                offset, data = offset + written, data[written:]
        except OSError as error:
            raise DiskFailed(f"writing the hot log failed: {errno.errorcode.get(error.errno or 0)}") from error

    def write_all(self, writes: list[tuple[int, bytes]]) -> None:
        for offset, data in writes:
            self.write(offset, data)

    def sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise DiskFailed(f"fdatasync of the hot log failed: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._descriptor)
