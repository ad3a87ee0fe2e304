"""A directory of cold segments on the real disk."""

import os
from pathlib import Path

from keystead_node.storage.disk import write_new_file
from keystead_node.storage.faults import FileIo, file_io


class DirectoryStore:
    """The SegmentStore of DATA/partitions/<id>/cold. Made on first use; left-overs of a crash are removed at opening.

    Raises DiskFull where a segment does not fit (nothing of it stays), DiskFailed where the disk fails.
    """

    def __init__(self, path: Path, io: FileIo | None = None, *, read_only: bool = False) -> None:
        self._path = path
        self._io = io or file_io()
        if not read_only and path.exists():
            for left_over in path.glob("*.tmp"):
                left_over.unlink()

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self._path))
        except FileNotFoundError:
            return []

    def size_bytes(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        path = self._path / name
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._io.read(fd, path, offset, length)
        finally:
            os.close(fd)

    def write_temporary(self, name: str, data: bytes) -> None:
        if not self._path.exists():
            self._path.mkdir(parents=True)
            self._io.sync_directory(self._path.parent.parent)
            self._io.sync_directory(self._path.parent)
        path = self._path / f"{name}.tmp"
        try:
            write_new_file(path, data, self._io)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def read_temporary(self, name: str) -> bytes:
        return self.read(f"{name}.tmp", 0, self.size_bytes(f"{name}.tmp"))

    def publish(self, name: str) -> None:
        os.replace(self._path / f"{name}.tmp", self._path / name)
        self._io.sync_directory(self._path)

    def delete(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)
