"""Small files that are replaced whole: after a crash the old or the new content is there, never half of one."""

import os
from pathlib import Path


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
