"""N routers and an accountant in virtual time, joined by messages that take some: the core's rules, a plain shell."""

import heapq
import random
from collections.abc import Callable, Iterator
from itertools import count

from keystead_core.capacity.accountant import Accountant, Grant, Term
from keystead_core.capacity.admission import Verdict, judge
from keystead_core.capacity.allowance import Allowance, Ask
from keystead_core.capacity.limits import WHOLE, Cause, Kind, Limit, MeterKey
from keystead_core.ids import MILLISECOND, SECOND, Micros, NodeId

KEY = MeterKey("orders", Kind.WRITE, WHOLE)


class Routers:
    """`latency`: of one message, between these. `saved_seconds`: since when the accountant has been in office.

    `admitted`: (time, units charged) of what was let through. While `is_away(now)` asks are lost.
    """

    def __init__(
        self,
        number: int,
        limit: Limit,
        *,
        saved_seconds: float = 0.0,
        latency: tuple[Micros, Micros] = (1 * MILLISECOND, 10 * MILLISECOND),
        seed: int = 0,
    ) -> None:
        self.now: Micros = 0
        self.limit = limit
        self.allowances = [Allowance(0) for _ in range(number)]
        self.accountant = Accountant()
        self.term = Term(1, -int(saved_seconds * SECOND), "id-1")
        self.is_away: Callable[[Micros], bool] = lambda now: False
        self.admitted: list[tuple[Micros, float]] = []
        self.refused = 0
        self.asks = 0
        self._latency = latency
        self._random = random.Random(seed)
        self._waiters: list[list[tuple[float, float]]] = [[] for _ in range(number)]
        self._events: list[tuple[Micros, int, Callable[[], None]]] = []
        self._order = count()

    # -- time -----------------------------------------------------------------------------------------------------

    def at(self, when: Micros, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def run_until(self, end: Micros) -> None:
        while self._events and self._events[0][0] <= end:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = end

    def tidy(self, every: Micros = SECOND) -> None:
        """The shells' housekeeping, from now on."""
        for router, allowance in enumerate(self.allowances):
            if allowance.has_to_settle(self.now):
                self._ask(router)
        self.accountant.forget_idle(self.now)
        self.at(self.now + every, lambda: self.tidy(every))

    # -- requests -------------------------------------------------------------------------------------------------

    def request(self, router: int, units: float, cost: float | None = None) -> None:
        """A request that is known to cost `units`, and is found to have cost `cost` once it is done."""
        self._judge(router, units, units if cost is None else cost)

    def _judge(self, router: int, units: float, cost: float) -> None:
        allowance = self.allowances[router]
        verdict = judge([allowance], units, self.now).verdict
        if verdict is Verdict.PASSED:
            allowance.spend(cost - units)
            self.admitted.append((self.now, cost))
        elif verdict is Verdict.WAITS:
            allowance.wait(units)
            self._waiters[router].append((units, cost))
        else:
            self.refused += 1
        if allowance.tokens <= allowance.low and allowance.may_ask(self.now):
            self._ask(router)

    def _ask(self, router: int) -> None:
        allowance = self.allowances[router]
        ask = allowance.ask(self.now)
        self.asks += 1
        if self.is_away(self.now):
            self.at(self.now + self._delay(), lambda: self._unanswered(router, ask))
        else:
            self.at(self.now + self._delay(), lambda: self._settle(router, ask))

    def _settle(self, router: int, ask: Ask) -> None:
        name = NodeId(f"r{router}")
        grant = self.accountant.settle(KEY, self.limit, self.term, name, ask.returned, ask.wanted, self.now)
        self.at(self.now + self._delay(), lambda: self._granted(router, grant))

    def _granted(self, router: int, grant: Grant) -> None:
        self.allowances[router].granted(grant, self.now)
        self._wake(router)

    def _unanswered(self, router: int, ask: Ask) -> None:
        even = self.limit.rate / len(self.allowances)
        self.allowances[router].unanswered(ask, True, even, self.now)
        self._wake(router)

    def _wake(self, router: int) -> None:
        waiters, self._waiters[router] = self._waiters[router], []
        for units, cost in waiters:
            self.allowances[router].wait(-units)
            self._judge(router, units, cost)

    def _delay(self) -> Micros:
        return self._random.randint(*self._latency)

    # -- what came of it ------------------------------------------------------------------------------------------

    def consumed(self, since: Micros = 0, until: Micros | None = None) -> float:
        return sum(cost for when, cost in self.admitted if since <= when and (until is None or when < until))

    def load(self, router: int, per_second: float, begin: Micros, end: Micros, units: float = 1.0) -> None:
        """Requests at random distances: so many a second in the mean, in that time."""
        for when in _arrivals(self._random, per_second, begin, end):
            self.at(when, lambda: self.request(router, units))


def _arrivals(chance: random.Random, per_second: float, begin: Micros, end: Micros) -> Iterator[Micros]:
    when = float(begin)
    while per_second > 0:
        when += chance.expovariate(per_second) * SECOND
        if when >= end:
            return
        yield int(when)


def provisioned(units: float, burst_seconds: float = 300.0) -> Limit:
    return Limit(units, units * burst_seconds, Cause.PROVISIONED)
