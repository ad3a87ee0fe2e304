"""A file of lines that is written beside the event loop: `put` never waits, a thread writes.

Lines wait in memory, at most `waiting_bytes_max`; what comes while that is full is dropped and counted, for a reader or
a disk that is slow must not hold requests up. Once lines are written again, one of them says how many are missing. The
file is opened anew when another is at its path, or none (rotation). Nothing is synced: a crash of the process loses the
lines of the last `GATHER_SECONDS`, one of the machine more.
"""

import os
import threading
from collections.abc import Callable
from typing import Final

import structlog

from keystead_node.tls_files import FilesUnusable

STANDARD_OUTPUT: Final = "-"
GATHER_SECONDS: Final = 0.05
CLOSE_SECONDS_MAX: Final = 2.0
WAITING_BYTES_MAX: Final = 8 * 1024 * 1024
_STDOUT: Final = 1
log = structlog.get_logger("files")


class LineFile:
    """`path` STANDARD_OUTPUT: that. `missing`: makes the line that says how many were dropped.

    `lines` and `dropped` count what was written and what was not. Raises FilesUnusable if the file cannot be opened.
    """

    def __init__(self, path: str, missing: Callable[[int], bytes], waiting_bytes_max: int = WAITING_BYTES_MAX) -> None:
        self.lines = 0
        self.dropped = 0
        self._path = path
        self._missing = missing
        self._waiting_bytes_max = waiting_bytes_max
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._told_dropped = 0
        self._may_be_torn = False
        self._failed = ""
        self._due = threading.Event()
        self._closing = threading.Event()
        try:
            self._file = self._open()
        except OSError as error:
            raise FilesUnusable(f"{path} cannot be written: {error.strerror}") from error
        # A reader of standard output that has stopped reading must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="line-file", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Takes a line, with its end."""
        with self._lock:
            if self._waiting_bytes + len(line) > self._waiting_bytes_max:
                self.dropped += 1
                return
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            is_first = len(self._waiting) == 1
        if is_first:
            self._due.set()

    def close(self) -> None:
        """Writes what waits, for CLOSE_SECONDS_MAX at most."""
        self._closing.set()
        self._due.set()
        self._thread.join(CLOSE_SECONDS_MAX)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            self._due.wait()
            self._due.clear()
            self._closing.wait(GATHER_SECONDS)
            self._write_all()
        self._write_all()
        if self._path != STANDARD_OUTPUT:
            os.close(self._file)

    def _write_all(self) -> None:
        with self._lock:
            lines, self._waiting = self._waiting, []
            self._waiting_bytes = 0
            dropped = self.dropped
        if not lines:
            return
        if dropped > self._told_dropped:
            lines.append(self._missing(dropped - self._told_dropped))
        try:
            self._reopen_if_rotated()
            self._write((b"\n" if self._may_be_torn else b"") + b"".join(lines))
        except OSError as error:
            self._on_failure(error, len(lines) - (dropped > self._told_dropped))
            return
        self._told_dropped, self._failed, self._may_be_torn = dropped, "", False
        self.lines += len(lines)

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _on_failure(self, error: OSError, lines: int) -> None:
        """All lines of the attempt count as dropped, though some may be there: better told twice than not at all."""
        self._may_be_torn = True
        with self._lock:
            self.dropped += lines
        if self._failed != str(error):
            log.error("lines cannot be written and are dropped", path=self._path, error=str(error))
        self._failed = str(error)

    def _open(self) -> int:
        if self._path == STANDARD_OUTPUT:
            return _STDOUT
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _reopen_if_rotated(self) -> None:
        if self._path == STANDARD_OUTPUT:
            return
        held = os.fstat(self._file)
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino):
            opened = self._open()
            os.close(self._file)
            self._file = opened
            self._may_be_torn = False
