"""Node processes as children of the supervisor: start, watch, stop."""

import asyncio
import ctypes
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Final

from keystead_operator.local.files import DataDir

NODE_COMMAND_VARIABLE: Final = "KEYSTEAD_NODE_COMMAND"
"""Environment variable with another command to start nodes with; `--config FILE` is appended."""
BACKOFF_SECONDS_FIRST: Final = 0.2
BACKOFF_SECONDS_MAX: Final = 10.0
SETTLED_SECONDS: Final = 10.0
STOP_SECONDS_MAX: Final = 10.0
LOG_BYTES_MAX: Final = 64 * 1024 * 1024
_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def node_command() -> list[str]:
    given = os.environ.get(NODE_COMMAND_VARIABLE)
    return shlex.split(given) if given else [sys.executable, "-m", "keystead_node.main"]


def _die_with_the_supervisor() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class NodeProcess:
    """The process of one place. Times are of the event loop's clock, in seconds."""

    def __init__(self, data: DataDir, name: str) -> None:
        self.name = name
        self.starts = 0
        self._data = data
        self._process: asyncio.subprocess.Process | None = None
        self._volume_descriptor = -1
        self._started_at = 0.0
        self._start_not_before = 0.0
        self._failures = 0
        self._exit_seen = True

    @property
    def pid(self) -> int:
        """0 while there is no process."""
        return self._process.pid if self._process is not None and self.running else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """Of the last process, once it has ended."""
        return None if self._process is None else self._process.returncode

    def start_in_seconds(self, now: float) -> float:
        """How long to wait before the next start; each quick death doubles it."""
        if not self.running and not self._exit_seen:
            self._exit_seen = True
            quick = now - self._started_at < SETTLED_SECONDS
            self._failures = self._failures + 1 if quick else 1
            delay = min(BACKOFF_SECONDS_FIRST * 2 ** (self._failures - 1), BACKOFF_SECONDS_MAX)
            self._start_not_before = now + delay
        return max(0.0, self._start_not_before - now)

    def volume_lost(self) -> bool:
        """Whether the directory with which the process started is no longer the one at its path."""
        if self._volume_descriptor < 0:
            return False
        held = os.fstat(self._volume_descriptor)
        try:
            found = os.stat(self._data.volume(self.name))
        except FileNotFoundError:
            return True
        return (held.st_dev, held.st_ino) != (found.st_dev, found.st_ino)

    async def start(self, now: float) -> None:
        """Starts the process over its volume, whose directory is made if there is none. Raises OSError."""
        if self.running:
            return
        self.release()
        volume = self._data.volume(self.name)
        volume.mkdir(parents=True, exist_ok=True)
        self._volume_descriptor = os.open(volume, os.O_RDONLY | os.O_DIRECTORY)
        log_path = self._data.node_log(self.name)
        _keep_log_small(log_path)
        with log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *node_command(),
                "--config",
                str(self._data.node_config(self.name)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_the_supervisor,
            )
        self.starts += 1
        self._started_at = now
        self._exit_seen = False
        self._data.node_pid(self.name).write_text(f"{self._process.pid}\n")

    async def stop(self) -> None:
        """Asks the process to end, and ends it if it does not. It hands its masterships over meanwhile."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def release(self) -> None:
        if self._volume_descriptor >= 0:
            os.close(self._volume_descriptor)
            self._volume_descriptor = -1

    def last_line(self) -> str:
        """What the process said last."""
        return last_line_of(self._data.node_log(self.name))


def last_line_of(path: Path) -> str:
    """The last line of a log that is not empty."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _keep_log_small(path: Path) -> None:
    try:
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
    except FileNotFoundError:
        return


def left_behind(data: DataDir, name: str) -> int:
    """The pid of a node process of this very directory that outlived its supervisor; 0 if there is none."""
    try:
        pid = int(data.node_pid(name).read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if os.fsencode(data.node_config(name)) in arguments else 0
