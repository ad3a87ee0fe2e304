"""Virtual time: a heap of calls. Calls due at the same time run in the order in which they were made."""

import heapq
from collections.abc import Callable
from typing import Any

from tests.sim.violation import Violation

EVENTS_MAX = 300_000


class Timeline:
    """`now`: virtual microseconds since the start. `current`: the number of the running event, the cause of what it
    schedules. `executed`: how many events ran."""

    __slots__ = ("_heap", "_next", "cause", "current", "executed", "now")

    def __init__(self) -> None:
        self.now = 0
        self.current = 0
        self.cause = 0
        self.executed = 0
        self._next = 1
        self._heap: list[tuple[int, int, int, Callable[..., Any], tuple[Any, ...]]] = []

    def after(self, delay: int, call: Callable[..., Any], *args: Any) -> None:
        self.at(self.now + delay, call, *args)

    def at(self, time: int, call: Callable[..., Any], *args: Any) -> None:
        number = self._next
        self._next = number + 1
        heapq.heappush(self._heap, (max(time, self.now), number, self.current, call, args))

    def run(self, until: int) -> None:
        """Runs everything that is due before `until`; then it is `until`."""
        heap = self._heap
        while heap and heap[0][0] < until:
            self.run_one()
        self.now = until

    def run_one(self) -> None:
        self.now, self.current, self.cause, call, args = heapq.heappop(self._heap)
        self.executed += 1
        call(*args)
        if self.executed > EVENTS_MAX:
            raise Violation("the run never ends", f"{self.executed} events by {self.now} us")
