"""Starts the operator as its image does, with what tests turn from outside. Its code is the production code.

KEYSTEAD_TEST_RESYNC_SECONDS   the period of its lists
KEYSTEAD_TEST_LEASE_SECONDS    how long its Lease lasts; the other times of the Lease in proportion
KEYSTEAD_TEST_WRITES           it is killed at its n-th write: to the API server (but for its own Lease) or to a node
KEYSTEAD_TEST_WRITE_IS_DONE    1: after the write was carried out, before the operator hears of it; 0: before it is sent
"""

import os
import signal
from typing import Any

import aiohttp

from keystead_operator.kube import lease, resync
from keystead_operator.main import main

WRITES = ("POST", "PUT", "PATCH", "DELETE")


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


def die_at_write(count: int, is_done: bool) -> None:
    """Kills this very process at a write, by the one way out that every client of the operator takes."""
    request = aiohttp.ClientSession._request
    left = count

    async def counted(session: aiohttp.ClientSession, method: str, url: Any, **more: Any) -> aiohttp.ClientResponse:
        nonlocal left
        if method not in WRITES or "/leases/keystead-operator" in str(url) or str(url).endswith("/leases"):
            return await request(session, method, url, **more)
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if left > 0:
            return await request(session, method, url, **more)
        if is_done:
            answer = await request(session, method, url, **more)
            print(f"killed after {method} {url}: {answer.status}", flush=True)
        else:
            print(f"killed before {method} {url}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process does not go on")

    aiohttp.ClientSession._request = counted  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    shorten_times()
    writes = os.environ.get("KEYSTEAD_TEST_WRITES")
    if writes:
        die_at_write(int(writes), os.environ.get("KEYSTEAD_TEST_WRITE_IS_DONE") == "1")
    main()
