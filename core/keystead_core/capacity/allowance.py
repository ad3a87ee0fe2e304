"""The router's side: the tokens of one limit that a router holds, and when it asks its accountant for more.

spend       a request takes tokens; one is let through while there are any, and what it costs beyond is owed
ask         for what the router will need in the time ahead, judged by the time past; what it owes goes with it
scarce      the accountant had less than was wanted: no more is asked for a period, and without tokens requests are
            refused
alone       the accountant does not answer: the router makes its tokens itself, at its last share of the rate, which
            goes over into an even share of all nodes. All routers' shares make up the rate, and so do even shares,
            so routers that are alone at the same time together stay within the rate; never unlimited, never zero
"""

from math import exp
from typing import Final, NamedTuple

from keystead_core.capacity.accountant import Grant
from keystead_core.ids import MILLISECOND, SECOND, Micros

PERIOD: Final[Micros] = 200 * MILLISECOND
AHEAD: Final = 2
"""Periods for which a router asks in advance."""
SHARE_DECAY: Final[Micros] = 5 * SECOND
IDLE: Final[Micros] = 1 * SECOND


class Ask(NamedTuple):
    """What is told to the accountant. `returned` below 0: owed."""

    returned: float
    wanted: float


class Allowance:
    """`tokens`: to spend, below 0: owed. `low`: at or below that, it is time to ask."""

    __slots__ = (
        "_alone_since", "_answered_at", "_asked_at", "_even", "_is_new", "_made_at", "_share", "_spent", "_waiting",
        "is_asking", "is_scarce", "low", "tokens",
    )  # fmt: skip

    def __init__(self, now: Micros) -> None:
        self.tokens = 0.0
        self.low = 0.0
        self.is_asking = False
        self.is_scarce = False
        self._spent = 0.0
        self._waiting = 0.0
        self._asked_at = now
        self._answered_at = now - PERIOD
        self._alone_since: Micros | None = None
        self._made_at = now
        self._share = 0.0
        self._even = 0.0
        self._is_new = True

    @property
    def is_alone(self) -> bool:
        return self._alone_since is not None

    # -- spending -------------------------------------------------------------------------------------------------

    def spend(self, units: float) -> None:
        """Below 0: a request gives back what it did not use after all."""
        self.tokens -= units
        self._spent += units

    def refuse(self, units: float) -> None:
        """A request was not let through: it counts among what is wanted."""
        self._spent += units

    def wait(self, units: float) -> None:
        """A request waits for the answer to an ask; below 0: it does so no longer."""
        self._waiting += units

    def look(self, now: Micros) -> None:
        """Makes tokens, where the router is alone."""
        if self._alone_since is None:
            return
        since, before = self._alone_since, self._made_at
        self._made_at = now
        beyond_even = (self._share - self._even) * SHARE_DECAY / SECOND
        faded = exp(-(before - since) / SHARE_DECAY) - exp(-(now - since) / SHARE_DECAY)
        made = self._even * (now - before) / SECOND + beyond_even * faded
        self.tokens = min(self.tokens + made, max(self._share, self._even, 1.0))

    # -- asking ---------------------------------------------------------------------------------------------------

    def may_ask(self, now: Micros) -> bool:
        if self.is_asking:
            return False
        return not (self.is_scarce or self.is_alone) or now - self._answered_at >= PERIOD

    def is_worth_waiting(self, now: Micros) -> bool:
        """May an answer soon bring tokens? Of an accountant that is away none is expected."""
        return not self.is_alone and (self.is_asking or self.may_ask(now))

    def ask(self, now: Micros) -> Ask:
        """What to tell the accountant now. All that is returned is gone from here."""
        self.is_asking = True
        needed = self._needed(now)
        self._asked_at = now
        self._spent = 0.0
        returned = self.tokens if self.tokens < 0 else max(0.0, self.tokens - needed)
        self.tokens -= returned
        return Ask(returned, max(0.0, needed - self.tokens))

    def _needed(self, now: Micros) -> float:
        """For the time ahead: at the rate of the time since the last ask, or twice what that was if it was short, so
        that a router whose demand rises is soon ahead of it."""
        past = max(PERIOD, now - self._asked_at)
        return self._waiting + max(0.0, self._spent) * AHEAD * PERIOD / past

    def granted(self, grant: Grant, now: Micros) -> None:
        self.is_asking = False
        self._is_new = False
        self._alone_since = None
        self._answered_at = now
        self._share = grant.share
        self.is_scarce = grant.is_scarce
        self.tokens += grant.units
        self.low = max(0.0, self.tokens) / AHEAD

    def unanswered(self, ask: Ask, may_have_arrived: bool, even: float, now: Micros) -> None:
        """`even`: an even share of the rate, in units per second. What was returned and may have arrived is not taken
        back, what was owed is owed still."""
        self.is_asking = False
        self._answered_at = now
        self._even = even
        if ask.returned < 0 or not may_have_arrived:
            self.tokens += ask.returned
        if self._alone_since is None:
            self._alone_since = self._made_at = now
        self.low = 0.0
        if self._is_new:
            # Whoever never had an answer has no share to begin with: a table that was just made, or a node that just
            # started, is not to refuse its first request.
            self._is_new = False
            self.tokens += even * PERIOD / SECOND
        self.look(now)

    # -- rest -----------------------------------------------------------------------------------------------------

    def is_done(self, now: Micros) -> bool:
        """Nothing is held or owed, and nobody has asked for anything for a while: it may be forgotten. What a router
        made by itself belongs to nobody else."""
        rests = not self.is_asking and self._waiting <= 0 and now - self._asked_at >= IDLE
        return rests and (self.tokens == 0 or (self.is_alone and self.tokens > 0))

    def has_to_settle(self, now: Micros) -> bool:
        """Whether to ask though no request wants anything: tokens that others could use, or what is owed."""
        if self.is_asking or now - self._asked_at < IDLE:
            return False
        return self.tokens < 0 or self.is_alone or self.tokens > AHEAD * self._needed(now)
