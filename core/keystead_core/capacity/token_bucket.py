"""A token bucket: `rate` units flow in each second, and at most `burst` units are saved.

What is consumed is known only afterwards where a read is concerned, so a bucket may owe: it then takes as long as the
rate needs to pay that back. It never owes more than what DEBT_SECONDS_MAX pay back; what is beyond is forgiven, so that
no mistake, and no rate that was lowered, closes a table for longer.
"""

from typing import Final

from keystead_core.ids import SECOND, Micros

DEBT_SECONDS_MAX: Final = 300.0


class TokenBucket:
    """`tokens`: what may be taken as of `at`; below 0: what is owed."""

    __slots__ = ("at", "burst", "rate", "tokens")

    def __init__(self, rate: float, burst: float, tokens: float, at: Micros) -> None:
        assert rate > 0 and burst > 0
        self.rate = rate
        self.burst = burst
        self.tokens = min(tokens, burst)
        self.at = at

    def advance(self, now: Micros) -> None:
        """Lets time pass. A clock that stands or went back changes nothing."""
        if now > self.at:
            self.tokens = min(self.burst, self.tokens + self.rate * (now - self.at) / SECOND)
            self.at = now

    def change(self, rate: float, burst: float, now: Micros) -> None:
        """Another rate from now on. What was saved stays as far as there is room for it."""
        self.advance(now)
        self.rate, self.burst = rate, burst
        self.add(0.0)

    def add(self, units: float) -> None:
        """Units come back; below 0: they were consumed."""
        self.tokens = max(-self.rate * DEBT_SECONDS_MAX, min(self.burst, self.tokens + units))

    @property
    def is_full(self) -> bool:
        return self.tokens >= self.burst
