"""Admission of requests by the units of what they are about; and this node's part in handing units out.

Every node is a router that keeps an allowance for each limit (core/capacity/allowance.py), and the accountant of the
limits whose partition it masters: of a partition's own, and of a whole table's where it masters the table's first
partition. Asks that come up in one turn of the event loop go to an accountant together.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

import msgspec
import structlog

from keystead_core.capacity.accountant import Accountant, Grant, Term
from keystead_core.capacity.admission import Verdict, judge
from keystead_core.capacity.allowance import Allowance, Ask
from keystead_core.capacity.limits import (
    WHOLE,
    CapacitySettings,
    Cause,
    Kind,
    Limit,
    MeteredResource,
    MeterKey,
    limits_of,
    resource_of_table,
)
from keystead_core.ids import Micros, NodeId, PartitionId
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.transport import requests as rq

log = structlog.get_logger("capacity")

ASK_SECONDS_MAX: Final = 0.5
TIDY_SECONDS: Final = 1.0

_decode_grants = msgspec.msgpack.Decoder(list[Grant | None]).decode


class Meter:
    """One limit as this node keeps to it. `answered`: done when the ask under way, or about to be sent, is answered."""

    __slots__ = ("allowance", "answered", "key", "limit")

    def __init__(self, key: MeterKey, limit: Limit, now: Micros) -> None:
        self.key = key
        self.limit = limit
        self.allowance = Allowance(now)
        self.answered: asyncio.Future[None] | None = None


class Metering:
    """`clock`: microseconds of CLOCK_BOOTTIME, the shell's."""

    def __init__(
        self, shell: Shell, keeper: MapKeeper, settings: CapacitySettings, clock: Callable[[], Micros]
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.asks = 0
        self.on_tidy: Callable[[], None] = lambda: None
        self._shell = shell
        self._keeper = keeper
        self._own = shell.core.id
        self._accountant = Accountant()
        self._to_ask: list[Meter] = []
        self._lively: dict[MeterKey, Meter] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def alone(self) -> int:
        """Limits whose accountant does not answer."""
        return sum(meter.allowance.is_alone for meter in self._lively.values())

    # -- the router -----------------------------------------------------------------------------------------------

    def new_meter(self, key: MeterKey, limit: Limit) -> Meter:
        return Meter(key, limit, self.clock())

    async def admit(self, meters: Sequence[Meter], units: float) -> Cause | None:
        """Spends the units of all these limits, and returns None; or spends none, and returns the limit that is
        reached. Waits for an accountant's answer where that may bring tokens."""
        allowances = [meter.allowance for meter in meters]
        while True:
            now = self.clock()
            verdict, by = judge(allowances, units, now)
            self.refill(meters, now)
            if by is None:
                return None
            meter = meters[allowances.index(by)]
            if verdict is Verdict.REFUSED:
                return meter.limit.cause
            assert meter.answered is not None
            by.wait(units)
            try:
                await asyncio.shield(meter.answered)
            finally:
                by.wait(-units)

    def refill(self, meters: Sequence[Meter], now: Micros) -> None:
        """Asks for more where it is time to."""
        for meter in meters:
            allowance = meter.allowance
            if allowance.tokens <= allowance.low and meter.answered is None and allowance.may_ask(now):
                self._ask_soon(meter)

    def _ask_soon(self, meter: Meter) -> None:
        loop = asyncio.get_running_loop()
        meter.answered = loop.create_future()
        self._lively[meter.key] = meter
        if not self._to_ask:
            loop.call_soon(self._ask_all)
        self._to_ask.append(meter)

    def _ask_all(self) -> None:
        now = self.clock()
        by_accountant: dict[NodeId, list[tuple[Meter, Ask]]] = {}
        meters, self._to_ask = self._to_ask, []
        for meter in meters:
            asked = (meter, meter.allowance.ask(now))
            by_accountant.setdefault(self._accountant_of(meter.key), []).append(asked)
        for node, group in by_accountant.items():
            if node == self._own:
                self._take(group, [self._settle(self._own, _wire(*one), now) for one in group], False)
            elif not node:
                self._take(group, [None] * len(group), False)
            else:
                task = asyncio.ensure_future(self._ask_other(node, group))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _ask_other(self, node: NodeId, asked: list[tuple[Meter, Ask]]) -> None:
        self.asks += 1
        request = rq.AskUnits([_wire(*one) for one in asked])
        grants: list[Grant | None] = [None] * len(asked)
        may_have_arrived = False
        try:
            answer = await self._shell.peers.request(node, request, ASK_SECONDS_MAX)
            if answer.status == rq.OK and answer.value is not None:
                decoded = _decode_grants(answer.value)
                grants = decoded if len(decoded) == len(asked) else grants
        except rq.RequestFailed as failure:
            may_have_arrived = failure.sent
        except msgspec.MsgspecError as error:
            log.warning("an accountant's answer cannot be read", node=node, error=str(error))
            may_have_arrived = True
        self._take(asked, grants, may_have_arrived)

    def _take(self, asked: list[tuple[Meter, Ask]], grants: list[Grant | None], may_have_arrived: bool) -> None:
        now = self.clock()
        for (meter, ask), grant in zip(asked, grants, strict=True):
            if grant is not None:
                meter.allowance.granted(grant, now)
            else:
                nodes = sum(entry.state == "active" for entry in self._keeper.map.nodes.values())
                even = meter.limit.rate / max(1, nodes)
                meter.allowance.unanswered(ask, may_have_arrived, even, now)
            answered, meter.answered = meter.answered, None
            if answered is not None:
                answered.set_result(None)

    async def run(self) -> None:
        """Until it is cancelled: gives back what is held and not needed, and forgets what is at rest."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            now = self.clock()
            for key, meter in list(self._lively.items()):
                if meter.answered is not None:
                    continue
                if meter.allowance.is_done(now) or key.resource not in self._keeper.map.tables:
                    del self._lively[key]
                elif meter.allowance.has_to_settle(now):
                    self._ask_soon(meter)
            self._accountant.forget_idle(now)
            self.on_tidy()

    # -- the accountant -------------------------------------------------------------------------------------------

    def answer(self, router: NodeId, request: rq.AskUnits) -> rq.Answer:
        now = self.clock()
        grants = [self._settle(router, one, now) for one in request.asked]
        return rq.Answer(rq.OK, value=msgspec.msgpack.encode(grants))

    def _settle(self, router: NodeId, asked: rq.UnitsAsked, now: Micros) -> Grant | None:
        """None: this node is not the accountant, or knows of no such limit."""
        if asked.kind not in tuple(Kind) or not (isfinite(asked.returned) and 0 <= asked.wanted < float("inf")):
            return None
        key = MeterKey(asked.resource, Kind(asked.kind), asked.partition)
        resource = self.resource(key.resource)
        home = self._home(key)
        r = self._shell.core.replicas.get(home) if home is not None else None
        if resource is None or r is None or r.mastership is None or not r.mastership.serving:
            return None
        limits = limits_of(resource, key.kind, self.settings)
        limit = limits.whole if key.partition == WHOLE else limits.partition
        if limit is None:
            return None
        term = Term(r.epoch, r.mastership.serving_since, resource.identity)
        return self._accountant.settle(key, limit, term, router, asked.returned, asked.wanted, now)

    def resource(self, name: str) -> MeteredResource | None:
        """What has units under this name of the map; None if there is none. An index with units of its own comes in
        here, and at `TableUses`."""
        table = self._keeper.map.tables.get(name)
        return resource_of_table(table) if table is not None else None

    def _home(self, key: MeterKey) -> PartitionId | None:
        """The partition whose master accounts for the limit."""
        if key.partition != WHOLE:
            entry = self._keeper.map.partitions.get(key.partition)
            return entry.id if entry is not None and entry.table == key.resource else None
        index = self._keeper.routes.table(key.resource)
        return index.entries[0].id if index is not None and index.entries else None

    def _accountant_of(self, key: MeterKey) -> NodeId:
        """As the replica here believes, or as the map says; "": nobody is known."""
        home = self._home(key)
        if home is None:
            return NodeId("")
        return self._shell.master_of(home) or self._keeper.map.partitions[home].master


def _wire(meter: Meter, ask: Ask) -> rq.UnitsAsked:
    key = meter.key
    return rq.UnitsAsked(key.resource, int(key.kind), key.partition, ask.returned, ask.wanted)
