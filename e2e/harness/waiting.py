"""Waiting with a limit, and saying what was seen when it ran out."""

import time
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.25


class NotInTime(AssertionError):
    """Something did not come true within its limit."""


class NotYet(Exception):
    """Raised by a probe: not true yet, and this is what was seen."""


def wait_for(what: str, probe: Callable[[], Any], seconds: float, poll_seconds: float = POLL_SECONDS) -> float:
    """Seconds until `probe` gave something true. Raises NotInTime with what was seen last.

    A probe says what it saw by raising NotYet, or by what it returns.
    """
    start = time.monotonic()
    while True:
        try:
            seen = probe()
            if seen:
                return time.monotonic() - start
        except NotYet as problem:
            seen = problem
        if time.monotonic() - start > seconds:
            raise NotInTime(f"{what}: not within {seconds:.0f} s; seen last: {seen}")
        time.sleep(poll_seconds)
