"""The node's clocks. Leases are judged by CLOCK_BOOTTIME, read anew each time: it runs on while a machine sleeps."""

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime_us() -> int:
    """Microseconds; never a cached loop time."""
    return time.clock_gettime_ns(_BOOTTIME) // 1000


def wall_us() -> int:
    """Microseconds since 1970, for the records' hybrid clock and for people."""
    return time.time_ns() // 1000
