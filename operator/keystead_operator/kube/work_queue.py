"""The queue of clusters to reconcile: a key is in it once, with one worker at a time, and may be due later."""

import asyncio
import time
from typing import Final

from keystead_operator.kube.seen import Key

PAUSE_SECONDS: Final = 0.05
"""Between two rounds of one key: what changes in bursts is taken together."""
BACKOFF_SECONDS_FIRST: Final = 0.2
BACKOFF_SECONDS_MAX: Final = 30.0


class WorkQueue:
    """Keys, each with the time at which it is due."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._active: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key, after_seconds: float = 0.0) -> None:
        """Makes the key due; an earlier time wins. One that is being worked on comes again when that is over."""
        at = time.monotonic() + after_seconds
        if at < self._due.get(key, float("inf")):
            self._due[key] = at
            self._changed.set()

    async def get(self) -> Key:
        """The next key that is due, which is then active until `done` or `failed`."""
        while True:
            now = time.monotonic()
            waiting = [(at, key) for key, at in self._due.items() if key not in self._active]
            at, key = min(waiting, default=(now + 3600.0, None))
            if key is not None and at <= now:
                del self._due[key]
                self._active.add(key)
                return key
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), at - now)
            except TimeoutError:
                continue

    def done(self, key: Key, again_after_seconds: float | None) -> None:
        """The round is over; None: the key comes again only when something happens."""
        self._failures.pop(key, None)
        self._release(key)
        if again_after_seconds is not None:
            self.add(key, again_after_seconds)

    def failed(self, key: Key) -> float:
        """The round failed: the key comes again later, each time twice as late. Gives the seconds."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        wait = min(BACKOFF_SECONDS_FIRST * 2.0 ** min(count - 1, 16), BACKOFF_SECONDS_MAX)
        self._release(key)
        self._due[key] = time.monotonic() + wait
        return wait

    def _release(self, key: Key) -> None:
        self._active.discard(key)
        if key in self._due:
            self._due[key] = max(self._due[key], time.monotonic() + PAUSE_SECONDS)
        self._changed.set()
