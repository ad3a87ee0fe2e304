"""How fast physical copies may go, so that they let clients' traffic be. Pure.

    rest behind a chunk = the longer of: what leaves the others their share, what keeps to the rate

Copies take at most `share` of the time of what they go through (disk, network, the processes at both ends): a chunk
that was under way for t seconds is followed by t * (1 - share) / share without any. Nobody has to know how fast the
machine is; and whatever is in a chunk's way, clients' traffic above all, makes copies rest longer.
"""

from typing import Final

import msgspec

REST_SECONDS_MAX: Final = 2.0
"""Behind a chunk that took very long: the copy has to get to its end all the same."""


class CopyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of all copies together that a node sends, and again of all that it takes in. `share`: of the time, above 0, at
    most 1. `bytes_per_second`: 0 for no limit."""

    share: float = 0.5
    bytes_per_second: int = 0


class CopyPace:
    """The rests between the chunks of a node, sent or taken in. Times are seconds of a clock that does not go back."""

    __slots__ = ("_free_at", "_limits")

    def __init__(self, limits: CopyLimits) -> None:
        assert 0 < limits.share <= 1
        self._limits = limits
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next chunk may begin."""
        return max(0.0, self._free_at - now)

    def note(self, size: int, began: float, now: float) -> None:
        """A chunk of `size` bytes was under way from `began` until `now`."""
        rate, share = self._limits.bytes_per_second, self._limits.share
        rest = min(REST_SECONDS_MAX, max(0.0, now - began) * (1 - share) / share)
        self._free_at = max(now + rest, began + size / rate if rate else 0.0)
