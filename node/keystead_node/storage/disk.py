"""A node's volume: its identity and lock, the preallocated file under the hot log, and how much space is left.

    DATA/lock              an exclusive flock for as long as a process uses the volume
    DATA/identity          JSON {format, cluster, node_id, boot}; replaced whole, `boot` rises durably at each start
    DATA/hot.log           the hot log
    DATA/partitions/<id>/  rows/ and cold/ of each replica
    DATA/renounced-<boot>/ what an identity left behind that was given up

An empty volume gets a new node id. So does one whose hot log is gone or was never formed: promises and records are
lost with it, and under its old id the node would vote as if they had never been. What is left is set aside.
A FileDisk is written by one thread; reads may come from any.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from keystead_core.ids import NodeId, PartitionId
from keystead_node.storage.block import BLOCK_BYTES
from keystead_node.storage.faults import DiskFailed, DiskFull, FileIo, file_io

DATA_FORMAT: Final = 1
HOT_LOG: Final = "hot.log"
IDENTITY: Final = "identity"
RESERVE_1_BYTES: Final = 64 * 1024 * 1024
RESERVE_2_BYTES: Final = 16 * 1024 * 1024
RESERVE_SHARE_MAX: Final = 20

__all__ = [
    "DiskFailed",
    "DiskFull",
    "FileDisk",
    "Identity",
    "Volume",
    "VolumeError",
    "VolumeInUse",
    "VolumeNotWritable",
    "VolumeTooNew",
    "WrongCluster",
]


class VolumeError(Exception):
    """The volume cannot be used; nothing on it was touched."""


class VolumeInUse(VolumeError):
    """Another process uses this volume."""


class VolumeNotWritable(VolumeError):
    """The volume cannot be written: no permission, a read-only file system, no space for what must be there."""


class VolumeTooNew(VolumeError):
    """The volume was written by a newer version of the program."""


class WrongCluster(VolumeError):
    """The volume belongs to another cluster."""


class Identity(msgspec.Struct):
    """`node_id`: 16 hex digits, minted on an empty volume. `boot`: of the present start."""

    format: int
    cluster: str
    node_id: NodeId
    boot: int


def _mint() -> NodeId:
    return NodeId(os.urandom(8).hex())


class Volume:
    """A volume that this process holds alone. `was_empty`: its node id is new."""

    def __init__(self, directory: Path, identity: Identity, lock: int, was_empty: bool, io: FileIo) -> None:
        self.directory = directory
        self.identity = identity
        self.was_empty = was_empty
        self._lock = lock
        self._io = io

    @classmethod
    def open(cls, directory: Path, cluster: str, mint: Callable[[], NodeId] = _mint) -> "Volume":
        """Takes the volume and raises its boot number durably. Raises a VolumeError, or DiskFailed."""
        io = file_io()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VolumeNotWritable(f"{directory} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls._open_locked(directory, cluster, lock, mint, io)
        except BlockingIOError as error:
            os.close(lock)
            raise VolumeInUse(f"{directory} is in use by another process") from error
        except (OSError, DiskFull) as error:
            os.close(lock)
            raise VolumeNotWritable(f"{directory} cannot be written: {error}") from error
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _open_locked(cls, directory: Path, cluster: str, lock: int, mint: Callable[[], NodeId], io: FileIo) -> "Volume":
        old = read_identity(directory)
        if old is not None and old.cluster != cluster:
            raise WrongCluster(f"{directory} belongs to cluster {old.cluster}, not to {cluster}")
        if old is not None and not _has_log(directory):
            _set_aside(directory, old.boot)
            old = None
        identity = Identity(DATA_FORMAT, cluster, old.node_id if old else mint(), old.boot + 1 if old else 1)
        replace_file(directory / IDENTITY, msgspec.json.encode(identity), io)
        return cls(directory, identity, lock, old is None, io)

    @property
    def node_id(self) -> NodeId:
        return self.identity.node_id

    @property
    def boot(self) -> int:
        return self.identity.boot

    def space_level(self) -> int:
        """0: enough; 1: below reserve 1; 2: below reserve 2. Reserves are at most 1/20 of the file system."""
        total, free = self._io.space_bytes(self.directory)
        if free < min(RESERVE_2_BYTES, total // RESERVE_SHARE_MAX // 4):
            return 2
        return 0 if self.room_bytes() else 1

    def room_bytes(self) -> int:
        """What the file system has left above reserve 1."""
        total, free = self._io.space_bytes(self.directory)
        return max(0, free - min(RESERVE_1_BYTES, total // RESERVE_SHARE_MAX))

    def renounce(self) -> None:
        """Sets everything aside under renounced-<boot>/: the next start finds an empty volume."""
        _set_aside(self.directory, self.identity.boot)
        self._io.sync_directory(self.directory)

    def close(self) -> None:
        """Gives the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class _Format(msgspec.Struct):
    format: int


def read_identity(directory: Path) -> Identity | None:
    """The identity on a volume, None if there is none. Raises VolumeTooNew or DiskFailed."""
    path = directory / IDENTITY
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        form = msgspec.json.decode(data, type=_Format).format
        if form > DATA_FORMAT:
            raise VolumeTooNew(
                f"{directory} has data of format {form}; this program knows {DATA_FORMAT}: use a newer one"
            )
        return msgspec.json.decode(data, type=Identity)
    except msgspec.MsgspecError as error:
        raise DiskFailed(f"{path} cannot be read: {error}") from error


def partitions_of(directory: Path) -> list[PartitionId]:
    """The partitions that have a directory on a volume."""
    try:
        entries = list((directory / "partitions").iterdir())
    except FileNotFoundError:
        return []
    return sorted(PartitionId(int(entry.name)) for entry in entries if entry.name.isdigit())


def replace_file(path: Path, data: bytes, io: FileIo) -> None:
    """Replaces a small file: after a crash the old or the new content is there. Raises DiskFull or DiskFailed."""
    temporary = path.with_name(path.name + ".new")
    write_new_file(temporary, data, io)
    os.replace(temporary, path)
    io.sync_directory(path.parent)


def write_new_file(path: Path, data: bytes, io: FileIo) -> None:
    """Writes and syncs a file that nobody reads yet; its name is not durable before the directory is synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        io.write(descriptor, path, 0, data)
        io.sync(descriptor, path)
    finally:
        os.close(descriptor)


def _has_log(directory: Path) -> bool:
    """A hot log whose both superblocks are zero was never formed: the first start died before."""
    path = directory / HOT_LOG
    if not path.exists():
        return False
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size // BLOCK_BYTES * BLOCK_BYTES
        first = file.read(BLOCK_BYTES)
        file.seek(max(0, size - BLOCK_BYTES))
        return any(first) or any(file.read(BLOCK_BYTES))


def _set_aside(directory: Path, boot: int) -> None:
    target = directory / f"renounced-{boot}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for entry in sorted(directory.iterdir()):
        if entry.name != "lock" and not entry.name.startswith("renounced-"):
            entry.rename(target / entry.name)


class FileDisk:
    """A preallocated file as a Disk (block.py). `write_all` and `sync` are for the one writer thread."""

    def __init__(self, path: Path, descriptor: int, io: FileIo) -> None:
        self.path = path
        self.size_bytes = os.fstat(descriptor).st_size // BLOCK_BYTES * BLOCK_BYTES
        self._descriptor = descriptor
        self._io = io

    @classmethod
    def open(cls, path: Path, size_bytes: int) -> "FileDisk":
        """Opens the file, or makes it of that size. Raises VolumeNotWritable (also for want of space)."""
        is_new = not path.exists()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if is_new:
                os.posix_fallocate(descriptor, 0, size_bytes // BLOCK_BYTES * BLOCK_BYTES)
                os.fsync(descriptor)
        except OSError as error:
            if is_new:
                path.unlink(missing_ok=True)
            raise VolumeNotWritable(f"{path}: {error.strerror}") from error
        io = file_io()
        if is_new:
            io.sync_directory(path.parent)
        return cls(path, descriptor, io)

    @classmethod
    def open_read_only(cls, path: Path) -> "FileDisk":
        """For looking into the log of a running or stopped node. Raises FileNotFoundError."""
        return cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC), FileIo())

    def read(self, offset: int, length: int) -> bytes:
        return self._io.read(self._descriptor, self.path, offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Raises DiskFailed, also where the file system has no room: the file is preallocated, so it must have."""
        assert offset >= 0 and offset + len(data) <= self.size_bytes, "write outside the hot log"
        try:
            self._io.write(self._descriptor, self.path, offset, data)
        except DiskFull as error:
            raise DiskFailed(f"the preallocated hot log has no room: {error}") from error

    def write_all(self, writes: Sequence[tuple[int, bytes]]) -> None:
        for offset, data in writes:
            self.write(offset, data)

    def sync(self) -> None:
        """fdatasync. Raises DiskFailed, which is final."""
        self._io.sync(self._descriptor, self.path)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
