"""The way of a node's copies: a few chunks at a time, with the rests between that core/copy_pace.py asks for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keystead_core.copy_pace import CopyLimits, CopyPace

WIDTH = 4
"""Chunks under way at once: as many as hide how long one is on its way from process to process."""
HELD_SECONDS_MAX = 0.5
"""Behind a chunk that nobody answers the other copies go on."""

T = TypeVar("T")


class CopyLane:
    """Shared by all copies in one direction; who waits longest is next. `used`: what clients have consumed so far."""

    def __init__(self, limits: CopyLimits, used: Callable[[], float], width: int = WIDTH) -> None:
        self._used = used
        self._pace = CopyPace(limits)
        self._places = asyncio.Semaphore(width)
        self._gate = asyncio.Lock()

    async def carry(self, size: int, work: Callable[[], Awaitable[T]]) -> T:
        """Does what moves a chunk of `size` bytes, when it is its turn. Raises what the work raises."""
        loop = asyncio.get_running_loop()
        async with self._places:
            async with self._gate:
                while seconds := self._pace.wait(loop.time()):
                    await asyncio.sleep(seconds)
            began = loop.time()
            under_way = asyncio.ensure_future(work())
            try:
                await asyncio.wait((under_way,), timeout=HELD_SECONDS_MAX)
            except asyncio.CancelledError:
                under_way.cancel()
                raise
            self._pace.note_use(self._used(), loop.time())
            self._pace.note(size, began, loop.time())
        return await under_way
