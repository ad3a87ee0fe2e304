"""When a partition asks to be split by itself, as its master sees it. Pure.

    size      its rows weigh more than `bytes_max`
    traffic   for `after_seconds` on end it consumes nearly what one partition gives
    anomaly   for `after_seconds` on end it holds, or consumes in units or in time of its node's event loop,
              `anomaly_times` what the table's other partitions do on average, and not little

What was refused, or just done, is left alone for a while.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

BUSY_SHARE: Final = 0.8
"""Of what one partition gives: who consumes more for long will soon be throttled."""
LITTLE_SHARE: Final = 0.1
"""Of the weight at which size alone asks for a split: below it no partition is too large for its table."""
CALM_SHARE: Final = 0.2
"""Of what one partition gives: below it no partition is too busy for its table."""
CPU_SHARE: Final = 0.05
"""Of the one event loop of a node: below it no partition takes too much time for its table."""
REST_SECONDS: Final = 600.0
"""After a split was asked for."""


class SplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """0 switches a trigger off. `anomaly_times`: the mean of the others. Units are per second."""

    bytes_max: int = 10 << 30
    read_units: int = 3000
    write_units: int = 1000
    after_seconds: float = 60.0
    anomaly_times: float = 3.0


class PartitionLoad(msgspec.Struct, frozen=True):
    """What a master sees of one partition. Units are per second, over the time since the last look; `cpu` is the share
    of the node's event loop that it took in that time."""

    size_bytes: int
    read_units: float
    write_units: float
    cpu: float = 0.0


class Watch:
    """Of one partition that is mastered here, look by look. Times are seconds of any clock that does not go back."""

    __slots__ = ("_beyond_since", "_busy_since", "_rests_until")

    def __init__(self) -> None:
        self._busy_since: float | None = None
        self._beyond_since: float | None = None
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

    def is_suspect(self, load: PartitionLoad, rule: SplitRule, now: float) -> bool:
        """Whether the table's other partitions are worth asking for: none of one that rests or has little."""
        if now >= self._rests_until and rule.anomaly_times and (_is_large(load, rule) or _is_warm(load, rule)):
            return True
        self._beyond_since = None
        return False

    def anomaly(self, load: PartitionLoad, others: Sequence[PartitionLoad], rule: SplitRule, now: float) -> str:
        """size | load, in which this partition is far beyond the table's `others`, if a split is due for that by now,
        or ''. Said once, then not for a while. Asked of suspects alone, at each look."""
        found = beyond(load, others, rule)
        self._beyond_since = (self._beyond_since if self._beyond_since is not None else now) if found else None
        if self._beyond_since is None or now - self._beyond_since < rule.after_seconds:
            return ""
        self._rests_until = now + REST_SECONDS
        self._beyond_since = self._busy_since = None
        return found


def beyond(load: PartitionLoad, others: Sequence[PartitionLoad], rule: SplitRule) -> str:
    """size | load, or ''. Nothing is beyond nobody: a table of one partition has no anomaly."""
    if not others or not rule.anomaly_times:
        return ""
    if _is_large(load, rule) and load.size_bytes > rule.anomaly_times * _mean([one.size_bytes for one in others]):
        return "size"
    used, cpu = _mean([used_share(one, rule) for one in others]), _mean([one.cpu for one in others])
    is_beyond = used_share(load, rule) > max(CALM_SHARE, rule.anomaly_times * used)
    return "load" if is_beyond or load.cpu > max(CPU_SHARE, rule.anomaly_times * cpu) else ""


def is_busy(load: PartitionLoad, rule: SplitRule) -> bool:
    """Nearly all that one partition gives is used."""
    return used_share(load, rule) > BUSY_SHARE


def used_share(load: PartitionLoad, rule: SplitRule) -> float:
    """Reads and writes share a partition: what each takes of its units adds up."""
    reads = load.read_units / rule.read_units if rule.read_units else 0.0
    writes = load.write_units / rule.write_units if rule.write_units else 0.0
    return reads + writes


def _is_large(load: PartitionLoad, rule: SplitRule) -> bool:
    return bool(rule.bytes_max) and load.size_bytes > LITTLE_SHARE * rule.bytes_max


def _is_warm(load: PartitionLoad, rule: SplitRule) -> bool:
    return used_share(load, rule) > CALM_SHARE or load.cpu > CPU_SHARE


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures)
