"""A container: a process in its own mount namespace, its probes, and programs that run beside it."""

import asyncio
import json
import os
import signal
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from tests.apiserver.control_plane import REPOSITORY
from tests.apiserver.rest import Object

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
PROGRAMS: Final = Path(sys.prefix) / "bin"
PYTHON_CACHE: Final = Path(tempfile.gettempdir()) / "keystead-tests-pycache"
POLL_SECONDS: Final = 0.2


class Mount(msgspec.Struct, frozen=True):
    source: str
    target: str
    read_only: bool = False


class Process:
    """One run of a container's program. `directory` is for its orders; its output is appended to `log_path`."""

    def __init__(
        self, name: str, directory: Path, log_path: Path, env: dict[str, str], mounts: list[Mount], read_only: bool
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._directory = directory
        self._env = env
        self._mounts = mounts
        self._read_only = read_only
        self._process: asyncio.subprocess.Process | None = None
        self._orders = 0

    async def start(self, argv: list[str], cwd: str) -> None:
        self._process = await self._launch(argv, cwd, join=0)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + n after signal n."""
        if self._process is None or self._process.returncode is None:
            return None
        code = self._process.returncode
        return 128 - code if code < 0 else code

    async def wait(self) -> None:
        assert self._process is not None
        await self._process.wait()

    def signal(self, number: int) -> None:
        """To the process and all that it started."""
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return

    async def run_beside(self, argv: list[str], seconds: float) -> int:
        """Runs a program inside the container; its exit code, 137 where it took longer and was killed."""
        process = await self._launch(argv, "/", join=self.pid)
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return 137
        return process.returncode or 0

    def last_words(self) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - 2048))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    async def _launch(self, argv: list[str], cwd: str, join: int) -> asyncio.subprocess.Process:
        self._orders += 1
        order: dict[str, Any] = {
            "argv": argv,
            "env": self._env,
            "cwd": cwd,
            "mounts": [msgspec.to_builtins(mount) for mount in self._mounts],
            "keep": kept_paths(),
            "read_only_root": self._read_only,
            "join": join,
            "user_namespace": os.getuid() != 0,
        }
        path = self._directory / f"order-{self.name}-{self._orders}.json"
        path.write_text(json.dumps(order))
        with self.log_path.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-IS",
                str(LAUNCHER),
                str(path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def kept_paths() -> list[str]:
    """What stands for the image: the interpreter, the installed package, its sources."""
    return sorted({sys.prefix, sys.base_prefix, str(REPOSITORY)})


async def probe(
    check: Object, address: str, ports: dict[str, int], process: Process, http: aiohttp.ClientSession
) -> str:
    """Why a probe failed; nothing if it did not."""
    seconds = float(check.get("timeoutSeconds", 1))
    try:
        match check:
            case {"httpGet": target}:
                return await _http_probe(target, address, ports, seconds, http)
            case {"tcpSocket": target}:
                opened = asyncio.open_connection(target.get("host") or address, _port(target["port"], ports))
                _, writer = await asyncio.wait_for(opened, seconds)
                writer.close()
                return ""
            case {"exec": {"command": argv}}:
                code = await process.run_beside(argv, seconds)
                return f"exit code {code}" if code else ""
            case _:
                return f"the test kubelet does not know {sorted(check)}"
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        return f"{type(problem).__name__}: {problem}"


async def _http_probe(
    target: Object, address: str, ports: dict[str, int], seconds: float, http: aiohttp.ClientSession
) -> str:
    scheme = target.get("scheme", "HTTP").lower()
    url = f"{scheme}://{target.get('host') or address}:{_port(target['port'], ports)}{target.get('path', '/')}"
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with http.get(url, timeout=timeout, ssl=_any_certificate, allow_redirects=False) as answer:
        return "" if 200 <= answer.status < 400 else f"HTTP probe failed with statuscode: {answer.status}"


def _port(port: int | str, ports: dict[str, int]) -> int:
    return ports[port] if isinstance(port, str) else port


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_any_certificate: Final = _unchecked()


class Backoff:
    """How long a container that ended waits for its next start: doubled each time, as long as it dies young."""

    FIRST_SECONDS: Final = 0.2
    MAX_SECONDS: Final = 5.0
    SETTLED_SECONDS: Final = 10.0

    def __init__(self) -> None:
        self._seconds = 0.0

    def after(self, started_at: float) -> float:
        """Seconds to wait, for a container that began at this monotonic time and has just ended."""
        if time.monotonic() - started_at > self.SETTLED_SECONDS:
            self._seconds = 0.0
        wait, self._seconds = self._seconds, min(self.MAX_SECONDS, max(self.FIRST_SECONDS, self._seconds * 2))
        return wait
