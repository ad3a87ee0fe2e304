"""The accountant's side: the buckets of the limits that one node accounts for, and who is handed what of them.

A router gives back what it does not need (or what it owes) and says how much it wants; it is handed tokens, which are
then its own to spend. While a bucket has all that its routers want, each gets what it wants. Else each gets the part
of what is there that its wish is of all wishes: whoever asks next finds what has flowed in since, so nothing is left
unused, and nobody is handed a token twice.

Tokens are in the bucket, or handed out, or consumed. So what all routers together consume in a time T is at most

    rate * T + burst + what is owed

where each router owes at most what the requests cost that it let through on its last token.

An account begins empty, and has saved what its rate makes of the time since this node's term as accountant began: an
accountant that takes over does not know what its predecessor had left, and must not hand it out again.
"""

from typing import Final

import msgspec

from keystead_core.capacity.limits import Limit, MeterKey
from keystead_core.capacity.token_bucket import TokenBucket
from keystead_core.ids import MILLISECOND, SECOND, Epoch, Micros, NodeId

WISH_LASTS: Final[Micros] = 600 * MILLISECOND
"""A router that has not asked for so long has no part in the division: those that want asked thrice meanwhile."""


class Term(msgspec.Struct, frozen=True):
    """Since when this node has been the accountant, and of what. An account of another term is void."""

    epoch: Epoch
    began: Micros
    identity: str


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """`units`: handed out. `is_scarce`: there was less than wanted, so it is no use to ask again at once. `share`: the
    router's part of the rate, in units per second: what it goes on with should the accountant be away. A format between
    nodes: new fields are appended with a default."""

    units: float
    is_scarce: bool
    share: float


class _Wish(msgspec.Struct, frozen=True):
    units: float
    at: Micros


class _Account:
    __slots__ = ("bucket", "term", "wishes")

    def __init__(self, limit: Limit, term: Term, now: Micros) -> None:
        saved = limit.rate * max(0, now - term.began) / SECOND
        self.bucket = TokenBucket(limit.rate, limit.burst, saved, now)
        self.term = term
        self.wishes: dict[NodeId, _Wish] = {}


class Accountant:
    def __init__(self) -> None:
        self._accounts: dict[MeterKey, _Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def settle(
        self, key: MeterKey, limit: Limit, term: Term, router: NodeId, returned: float, wanted: float, now: Micros
    ) -> Grant:
        """Takes back `returned` (below 0: what the router owes) and hands out what it may have of `wanted`."""
        assert wanted >= 0
        account = self._account(key, limit, term, now)
        account.bucket.add(returned)
        total = _all_wishes(account, router, wanted, now)
        if wanted <= 0:
            return Grant(0.0, False, 0.0)
        there = account.bucket.tokens
        units = wanted if there >= total else max(0.0, min(wanted, there * wanted / total))
        account.bucket.add(-units)
        return Grant(units, units < wanted, limit.rate * wanted / total)

    def _account(self, key: MeterKey, limit: Limit, term: Term, now: Micros) -> _Account:
        account = self._accounts.get(key)
        if account is None or account.term != term:
            account = self._accounts[key] = _Account(limit, term, now)
        bucket = account.bucket
        if (bucket.rate, bucket.burst) != (limit.rate, limit.burst):
            bucket.change(limit.rate, limit.burst, now)
        else:
            bucket.advance(now)
        return account

    def forget_idle(self, now: Micros) -> None:
        """Drops the accounts that have saved all they may: made anew, they have saved as much."""
        for key, account in list(self._accounts.items()):
            account.bucket.advance(now)
            lasts = (now - account.term.began) * account.bucket.rate / SECOND >= account.bucket.burst
            if account.bucket.is_full and lasts and _all_wishes(account, NodeId(""), 0.0, now) <= 0:
                del self._accounts[key]


def _all_wishes(account: _Account, router: NodeId, wanted: float, now: Micros) -> float:
    """What all routers want that asked lately, this one included."""
    wishes = account.wishes
    if wanted > 0:
        wishes[router] = _Wish(wanted, now)
    else:
        wishes.pop(router, None)
    for other in [node for node, wish in wishes.items() if now - wish.at > WISH_LASTS]:
        del wishes[other]
    return sum(wish.units for wish in wishes.values())
