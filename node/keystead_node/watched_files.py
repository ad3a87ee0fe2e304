"""Files that others change while a node runs, as the kubelet changes those of a Secret: read again when they do.

What cannot be used is said once and left for the next look; the last good content serves meanwhile.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from keystead_node.tls_files import FilesUnusable

LOOK_SECONDS: Final = 2.0
log = structlog.get_logger("files")

_Look = list[tuple[str, int, int, int]]


class WatchedFiles:
    """`load` reads the directory's files and raises FilesUnusable; it is called at once, and after each change."""

    def __init__(self, directory: Path, what: str, load: Callable[[], None]) -> None:
        self._directory = directory
        self._what = what
        self._load = load
        self._seen = self._look()
        load()

    async def watch(self) -> None:
        """Until it is cancelled."""
        failed = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            seen = await asyncio.to_thread(self._look)
            if seen == self._seen:
                continue
            try:
                self._load()
            except FilesUnusable as error:
                if failed != str(error):
                    log.error(f"{self._what} not taken, the last ones stay", error=str(error))
                failed = str(error)
                continue
            self._seen, failed = seen, ""
            log.info(f"{self._what} read again", directory=str(self._directory))

    def _look(self) -> _Look:
        """What changes when a file does."""
        found = []
        try:
            for path in sorted(self._directory.iterdir()):
                if not path.name.startswith("."):
                    status = path.stat()
                    found.append((path.name, status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError as error:
            return [(str(error.strerror), 0, 0, 0)]
        return found
