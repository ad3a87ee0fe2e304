"""Small files that are replaced whole: after a crash the old or the new content is there, never half of one."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Any, Final

SYNC_FILE_RANGE_WAIT_BEFORE: Final = 1
SYNC_FILE_RANGE_WRITE: Final = 2
_libc: Any = ctypes.CDLL(None, use_errno=True)


def write_durably(path: Path, data: bytes) -> None:
    """Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """What was renamed in it stays so. Raises OSError."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_out(descriptor: int) -> None:
    """Has the disk begin with what was written to a file, and waits for what it had begun with before.

    Nothing is durable by it: that takes an fsync, which finds little left then. Unlike one, it makes the syncs of other
    files wait for no journal of the file system. Raises OSError.
    """
    if not hasattr(_libc, "sync_file_range"):
        os.fdatasync(descriptor)
        return
    flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE
    if _libc.sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), flags):
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            os.fdatasync(descriptor)
        else:
            raise OSError(number, os.strerror(number))
