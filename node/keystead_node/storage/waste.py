"""Directories nobody needs any more: gone from their place at once, deleted in a thread of its own, with rests.

The file system takes some 0.3 ms to let go of a megabyte, and holds up the syncs of others meanwhile: on the event loop
ten gigabytes of rows would cost more than a lease.
"""

import queue
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

WASTE: Final = "waste"
REST_SECONDS_MAX: Final = 1.0


class Waste:
    """Keeps DATA/waste/. What is in it when a node starts is deleted too."""

    def __init__(self, data: Path) -> None:
        self._directory = data / WASTE
        self._directory.mkdir(parents=True, exist_ok=True)
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._is_closed = threading.Event()
        for left in self._directory.iterdir():
            self._queue.put(left)
        self._thread = threading.Thread(target=self._run, name="waste", daemon=True)
        self._thread.start()

    def throw(self, directory: Path) -> None:
        """Takes a directory away, if there is one; whoever looks at its place finds it free."""
        if not directory.exists():
            return
        try:
            place = Path(tempfile.mkdtemp(dir=self._directory))
            directory.rename(place / directory.name)
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)  # A full disk has no room for a name: it goes here and now.
        else:
            self._queue.put(place)

    def close(self) -> None:
        """What is left is deleted at the next start."""
        self._is_closed.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (place := self._queue.get()) is not None and not self._is_closed.is_set():
            for path in [one for one in place.rglob("*") if one.is_file()]:
                began = time.monotonic()
                with suppress(OSError):
                    path.unlink()
                if self._is_closed.wait(min(REST_SECONDS_MAX, time.monotonic() - began)):
                    return
            shutil.rmtree(place, ignore_errors=True)
