"""Starts the operator as its image does, with what tests turn from outside. Its code is the production code.

KEYSTEAD_TEST_RESYNC_SECONDS   the period of its lists
KEYSTEAD_TEST_LEASE_SECONDS    how long its Lease lasts; the other times of the Lease in proportion
KEYSTEAD_TEST_DEATHS           after | before: it dies after each write that changes something, or before the one
                               that follows, and is started again as somebody else; the Lease has to run out each time
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from keystead_operator.kube import lease, resync
from keystead_operator.main import main
from tests.apiserver.control_plane import die_with_the_parent

WRITES = ("POST", "PUT", "PATCH", "DELETE")
DEATHS_MAX = 200


def shorten_times() -> None:
    period = os.environ.get("KEYSTEAD_TEST_RESYNC_SECONDS")
    if period:
        resync.PODS_SECONDS = resync.RESOURCES_SECONDS = float(period)  # type: ignore[misc]
    duration = os.environ.get("KEYSTEAD_TEST_LEASE_SECONDS")
    if duration:
        shorter = float(duration) / lease.DURATION_SECONDS
        lease.DURATION_SECONDS = int(duration)  # type: ignore[misc]
        for name in ("RENEW_SECONDS", "RETRY_SECONDS", "GIVE_UP_SECONDS"):
            setattr(lease, name, getattr(lease, name) * shorter)


class Changes:
    """Tells writes that change something from those that say again what is so. It remembers over deaths, in a file.

    At the API server: the object has another version than after the last write to it. At a node: the command is a new
    one. Taking office as operator counts once, since every operator does it, and the Lease of operators never.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._known = dict(line.split(" ", 1) for line in lines)

    def counts(self, method: str, url: str, body: Any, answer: bytes) -> bool:
        try:
            found = json.loads(answer)
        except ValueError:
            return False
        if "/apis/" in url or "/api/" in url:
            key, value = url.partition("?")[0], str(found.get("metadata", {}).get("resourceVersion", method))
        else:
            text = body if isinstance(body, bytes) else str(body).encode()
            is_office = b'"Fence"' in text
            key, value = "office" if is_office else f"{url}#{hashlib.sha256(text).hexdigest()[:16]}", "done"
            if not found.get("ok"):
                return False
        if self._known.get(key) == value:
            return False
        self._known[key] = value
        with self._path.open("a") as file:
            file.write(f"{key} {value}\n")
        return True


def die_at_a_change(changes: Changes, afterwards: bool) -> None:
    """Kills this very process at a write, by the one way out that every client of the operator takes."""
    request = aiohttp.ClientSession._request
    changed = False

    async def watched(session: aiohttp.ClientSession, method: str, url: Any, **more: Any) -> aiohttp.ClientResponse:
        nonlocal changed
        name = str(url)
        if method not in WRITES or "/leases/keystead-operator" in name or name.partition("?")[0].endswith("/leases"):
            return await request(session, method, url, **more)
        if changed:
            _die(f"before {method} {name}")
        answer = await request(session, method, url, **more)
        if answer.status < 400 and changes.counts(method, name, more.get("data"), await answer.read()):
            changed = True
            if afterwards:
                _die(f"after {method} {name}")
        return answer

    aiohttp.ClientSession._request = watched  # type: ignore[method-assign,assignment]


def _die(words: str) -> None:
    print(f"killed {words}", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def live_again_and_again(mode: str, changes_file: Path) -> int:
    """Each life is a process, forked from this one to spare it the imports. Gives the exit code of the last."""
    for _ in range(DEATHS_MAX):
        pid = os.fork()
        if pid == 0:
            die_with_the_parent()
            die_at_a_change(Changes(changes_file), mode == "after")
            main()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)
    print(f"it is not done after {DEATHS_MAX} deaths", flush=True)
    return 1


if __name__ == "__main__":
    shorten_times()
    deaths = os.environ.get("KEYSTEAD_TEST_DEATHS")
    if deaths:
        sys.exit(live_again_and_again(deaths, Path(os.environ["KEYSTEAD_TEST_CHANGES_FILE"])))
    main()
