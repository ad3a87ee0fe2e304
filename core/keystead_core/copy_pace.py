"""How fast physical copies may go, so that they let clients' traffic be. Pure.

    rest behind a chunk = the longer of: what leaves the others their share, what keeps to the rate

Copies take at most `share` of the time of what they go through (disk, network, the processes at both ends): t seconds
in which chunks were under way, one or several, are followed by t * (1 - share) / share in which none begins. Nobody has
to know how fast the machine is; and whatever is in a chunk's way, clients' traffic above all, makes copies rest longer.
A node that no client has asked anything for `QUIET_SECONDS` copies without rests.
"""

from typing import Final

import msgspec

REST_SECONDS_MAX: Final = 2.0
"""Behind a chunk that took very long: the copy has to get to its end all the same."""

QUIET_SECONDS: Final = 1.0
LOOKED_SECONDS_MAX: Final = 5.0
"""Longer than a rest and a chunk that is held up: where nobody looked for so long, no copy was under way."""
CHUNK_BYTES_MIN: Final = 64 * 1024
CHUNK_BYTES_MAX: Final = 512 * 1024
CHUNKS_PER_SECOND_MIN: Final = 8


class CopyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of all copies together that a node sends, and again of all that it takes in. `share`: of the time, above 0, at
    most 1, while clients use the node. `bytes_per_second`: 0 for no limit."""

    share: float = 0.5
    bytes_per_second: int = 0

    @property
    def chunk_bytes(self) -> int:
        """Small where the rate is low: a chunk that waits for its turn at the other end must not wait too long."""
        if not self.bytes_per_second:
            return CHUNK_BYTES_MAX
        return min(CHUNK_BYTES_MAX, max(CHUNK_BYTES_MIN, self.bytes_per_second // CHUNKS_PER_SECOND_MIN))


class CopyPace:
    """The rests between the chunks of a node, sent or taken in. Times are seconds of a clock that does not go back."""

    __slots__ = ("_counted", "_free_at", "_limits", "_looked_at", "_paid", "_used", "_used_at")

    def __init__(self, limits: CopyLimits) -> None:
        assert 0 < limits.share <= 1
        self._limits = limits
        self._counted = self._free_at = self._paid = 0.0
        self._used, self._used_at, self._looked_at = 0.0, -QUIET_SECONDS, -LOOKED_SECONDS_MAX

    def wait(self, now: float) -> float:
        """Seconds until the next chunk may begin."""
        return max(0.0, self._free_at - now)

    def note_use(self, used: float, now: float) -> None:
        """`used`: what clients have consumed of the node so far, in any unit. What came before the copies does not
        count: nobody can tell when."""
        if used != self._used and now - self._looked_at < LOOKED_SECONDS_MAX:
            self._used_at = now
        self._used, self._looked_at = used, now

    def note(self, size: int, began: float, now: float) -> None:
        """A chunk of `size` bytes was under way from `began` until `now`. Time shared with others counts once."""
        rate = self._limits.bytes_per_second
        share = self._limits.share if now - self._used_at < QUIET_SECONDS else 1.0
        busy = max(0.0, now - max(began, self._counted))
        self._counted = max(now, self._counted)
        rest = min(REST_SECONDS_MAX, busy * (1 - share) / share)
        if rate:
            self._paid = max(began, self._paid) + size / rate
        self._free_at = max(max(now, self._free_at) + rest, self._paid)
