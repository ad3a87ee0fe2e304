"""When a partition asks to be split by itself, as its master sees it. Pure.

    size      its rows weigh more than `bytes_max`
    traffic   for `after_seconds` on end it consumes nearly what one partition gives

What was refused, or just done, is left alone for a while.
"""

from typing import Final

import msgspec

BUSY_SHARE: Final = 0.8
"""Of what one partition gives: who consumes more for long will soon be throttled."""
REST_SECONDS: Final = 600.0
"""After a split was asked for."""


class SplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """0 switches a trigger off. Units are per second."""

    bytes_max: int = 10 << 30
    read_units: int = 3000
    write_units: int = 1000
    after_seconds: float = 60.0


class PartitionLoad(msgspec.Struct, frozen=True):
    """What a master sees of one partition. Units are per second, over the time since the last look."""

    size_bytes: int
    read_units: float
    write_units: float


class Watch:
    """Of one partition that is mastered here, look by look. Times are seconds of any clock that does not go back."""

    __slots__ = ("_busy_since", "_rests_until")

    def __init__(self) -> None:
        self._busy_since: float | None = None
        self._rests_until = 0.0

    def reason(self, load: PartitionLoad, rule: SplitRule, now: float) -> str:
        """size | traffic, if a split is due by now, or ''. Said once, then not for a while."""
        self._busy_since = (self._busy_since if self._busy_since is not None else now) if is_busy(load, rule) else None
        if now < self._rests_until:
            return ""
        found = ""
        if rule.bytes_max and load.size_bytes > rule.bytes_max:
            found = "size"
        elif self._busy_since is not None and now - self._busy_since >= rule.after_seconds:
            found = "traffic"
        if found:
            self._rests_until = now + REST_SECONDS
            self._busy_since = None
        return found


def is_busy(load: PartitionLoad, rule: SplitRule) -> bool:
    """Reads and writes share a partition: what each takes of its units adds up."""
    reads = load.read_units / rule.read_units if rule.read_units else 0.0
    writes = load.write_units / rule.write_units if rule.write_units else 0.0
    return reads + writes > BUSY_SHARE
