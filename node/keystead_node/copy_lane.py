"""The way of a node's copies: one chunk after the other, with the rests between that core/copy_pace.py asks for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keystead_core.copy_pace import CopyLimits, CopyPace

HELD_SECONDS_MAX = 0.5
"""Behind a chunk that nobody answers the other copies go on."""

T = TypeVar("T")


class CopyLane:
    """Shared by all copies in one direction; who waits longest is next."""

    def __init__(self, limits: CopyLimits) -> None:
        self._pace = CopyPace(limits)
        self._turn = asyncio.Lock()

    async def carry(self, size: int, work: Callable[[], Awaitable[T]]) -> T:
        """Does what moves a chunk of `size` bytes, when it is its turn. Raises what the work raises."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(self._pace.wait(loop.time()))
            began = loop.time()
            under_way = asyncio.ensure_future(work())
            try:
                await asyncio.wait((under_way,), timeout=HELD_SECONDS_MAX)
            except asyncio.CancelledError:
                under_way.cancel()
                raise
            self._pace.note(size, began, loop.time())
        return await under_way
