"""The shell around the core of one node: feeds it events and carries out its effects, in order, without a decision.

One instance on one event loop. Client writes gathered in one turn of the loop become one proposal per partition.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import assert_never

import structlog

from keystead_core.ids import Boot, NodeId, PartitionId
from keystead_core.log.entries import EMPTY_LOG
from keystead_core.log.ops import Change, encode_change, split_changes
from keystead_core.log.record import Kind
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import Membership, decode_membership
from keystead_core.replication.messages import Message
from keystead_core.replication.node import Node
from keystead_core.replication.splitting import OUT_OF_RANGE
from keystead_core.row_changes import Decision
from keystead_node.clock import boottime_us, wall_us
from keystead_node.config import EXIT_BROKEN
from keystead_node.errors import NotMaster, Overloaded, StaleRange, WriteOutcomeUnknown
from keystead_node.heat import Heat
from keystead_node.log_writer import LogWriter
from keystead_node.partition_store import PartitionStores
from keystead_node.storage.cold_log import ColdError
from keystead_node.storage.faults import DiskFull
from keystead_node.transport.peers import Peers
from keystead_node.waiter import Waiter

log = structlog.get_logger("shell")

RECORD_BYTES_MAX = 256 * 1024
"""Of a record with several rows: none is much larger than that of one row may be."""


class Shell:
    """Its callables tell the node's other parts what the core wants of them or has decided."""

    def __init__(self, core: Node, peers: Peers, stores: PartitionStores) -> None:
        self.core = core
        self.peers = peers
        self.stores = stores
        stores.on_applied = self.applied
        stores.on_rows_lost = lambda partition: self.post(ev.RowsLost(partition))
        self.writer: LogWriter
        self.take_lock: Callable[[PartitionId, int], None] = lambda partition, at_least: None
        self.on_mastership: Callable[[PartitionId, int, Membership], None] = lambda partition, epoch, membership: None
        self.on_renounced: Callable[[str], None] = lambda reason: None
        self.send_copy: Callable[[ef.SendCopy], None] = lambda effect: None
        self.install_copy: Callable[[ef.InstallCopy], None] = lambda effect: None
        self.discard_copy: Callable[[ef.DiscardCopy], None] = lambda effect: None
        self.on_retired: Callable[[ef.Retired], None] = lambda effect: None
        self.refusals: dict[PartitionId, str] = {}
        self.heat = Heat()
        self.counters: dict[str, int] = {"steps": 0, "writes": 0, "reads": 0, "deposed": 0}
        self._loop = asyncio.get_running_loop()
        self._events: deque[ev.Event] = deque()
        self._running = False
        self._event: ev.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._token = 0
        self._tokens: dict[int, Waiter] = {}
        self._reads: dict[int, asyncio.Future[str]] = {}
        self._waiting: dict[PartitionId, deque[tuple[int, Waiter]]] = {}
        self._latest: dict[PartitionId, dict[bytes, Waiter]] = {}
        self._proposals: dict[PartitionId, list[tuple[int, int, bytes]]] = {}

    # -- events in ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._execute_all(self.core.start(boottime_us()))
        self._run()

    def on_message(self, sender: NodeId, boot: Boot, message: Message) -> None:
        self.post(ev.Received(sender, boot, message))

    def post(self, event: ev.Event) -> None:
        """Feeds one event to the core and carries out what follows, now or right behind what runs already."""
        self._events.append(event)
        if not self._running:
            self._run()

    def _run(self) -> None:
        self._running = True
        try:
            while self._events:
                self._event = event = self._events.popleft()
                self.counters["steps"] += 1
                began = perf_counter()
                self._execute_all(self.core.step(event, boottime_us()))
                self.heat.spent(event.message if isinstance(event, ev.Received) else event, perf_counter() - began)
        except Exception:
            # Ours, so a crash: a core whose step broke off is in no known state, and may acknowledge nothing more.
            log.critical("the core broke off", exc_info=True)
            os._exit(EXIT_BROKEN)
        finally:
            self._running = False
            self._event = None
        self._arm()

    def cause(self) -> str:
        """What the core is just carrying out, for log lines: the event's kind and number, and who sent it; or ''."""
        event = self._event
        if event is None:
            return ""
        kind = type(event).__name__
        if isinstance(event, ev.Received):
            kind = f"{type(event.message).__name__} from {event.sender}"
        return f"{self.counters['steps']} {kind}"

    def _arm(self) -> None:
        at = self.core.deadline()
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.0, (at - boottime_us()) / 1e6), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.post(ev.Tick())

    # -- client writes and reads ----------------------------------------------------------------------------------

    def write(
        self, partition: PartitionId, row_key: bytes, value: bytes | None, want_old: bool
    ) -> "asyncio.Future[bytes | None]":
        """Replicates one row change. Fails with NotMaster, StaleRange, Overloaded (nothing done) or
        WriteOutcomeUnknown."""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        if self.stores.ranges and not self.stores.is_in_range(partition, row_key):
            future.set_exception(StaleRange(OUT_OF_RANGE))
            return future
        self.heat.of(partition).wrote(row_key, len(value) if value is not None else 0)
        waiter = Waiter(future, row_key, value, want_old)
        self._note_latest(partition, (waiter,))
        self._gather(partition, Kind.DATA, encode_change(row_key, value), waiter)
        return future

    async def write_rows(self, partition: PartitionId, changes: Sequence[Change]) -> None:
        """Replicates changes of different rows, in as few records as take them. Raises what `write` fails with."""
        if not all(self.stores.is_in_range(partition, row_key) for row_key, _ in changes):
            raise StaleRange(OUT_OF_RANGE)
        heat = self.heat.of(partition)
        for row_key, value in changes:
            heat.wrote(row_key, len(value) if value is not None else 0)
        futures = []
        for body, part in split_changes(changes, RECORD_BYTES_MAX):
            future: asyncio.Future[bytes | None] = self._loop.create_future()
            futures.append(future)
            rows = tuple([Waiter(future, row_key, value, False) for row_key, value in part])
            self._note_latest(partition, rows)
            self._gather(partition, Kind.DATA, body, Waiter(future, b"", None, False, rows))
        if len(futures) == 1:
            await futures[0]
            return
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if 0 < len(failures) < len(outcomes):
            raise WriteOutcomeUnknown("some of the rows were written")  # To write those again might undo a later write.
        if failures:
            raise failures[0]

    def _note_latest(self, partition: PartitionId, rows: tuple[Waiter, ...]) -> None:
        self.counters["writes"] += len(rows)
        latest = self._latest.get(partition)
        if latest is None:
            latest = self._latest[partition] = {}
        for row in rows:
            row.before = latest.get(row.row_key)
            latest[row.row_key] = row

    async def change(self, partition: PartitionId, row_key: bytes, decide: Callable[[bytes | None], Decision]) -> bytes:
        """Changes a row as `decide` makes of its value, behind every write that came before; returns its answer.

        What is decided and what is proposed happen in one turn of the loop, so nothing comes between
        (docs/decisions/0007). Raises what `decide` raises, NotMaster, StaleRange, Overloaded (nothing done) and
        WriteOutcomeUnknown.
        """
        # Rows that are opened may be replaced before this goes on: what counts is what the partition has now.
        while (rows := self.stores.get(partition).rows) is None:
            await self.stores.get(partition).open()
        refusal = self.core.proposal_refusal(partition)
        if refusal:
            raise self._refused(refusal, self.master_of(partition))
        self._check_range(partition, row_key)
        before = self._latest.get(partition, {}).get(row_key)
        began = perf_counter()
        decision = decide(before.value if before is not None else rows.get(row_key))
        self.heat.of(partition).cpu_seconds += perf_counter() - began
        if decision.writes:
            await self.write(partition, row_key, decision.value, False)
        else:
            await self._hold(partition, before)
            self._check_range(partition, row_key)
        return decision.answer

    def owns(self, partition: PartitionId, row_key: bytes) -> bool:
        """Whether no split known here has given the key to another partition."""
        return self.core.is_read_here(partition, row_key) and self.stores.is_in_range(partition, row_key)

    def _check_range(self, partition: PartitionId, row_key: bytes) -> None:
        if not self.owns(partition, row_key):
            raise StaleRange(OUT_OF_RANGE)

    async def _hold(self, partition: PartitionId, before: Waiter | None) -> None:
        """Until what was seen is known to be committed, and that nobody else has led meanwhile. Raises NotMaster."""
        epoch = self.core.mastered_epoch(partition)
        if before is not None:
            await asyncio.wait([before.future])
            if before.future.cancelled() or before.future.exception() is not None:
                raise NotMaster("what was decided by may not have been written", self.master_of(partition))
        refusal = await self.await_read(partition)
        if refusal or self.core.mastered_epoch(partition) != epoch:
            raise NotMaster(refusal or "the epoch has changed", self.master_of(partition))

    def propose(self, partition: PartitionId, kind: Kind, body: bytes) -> "asyncio.Future[bytes | None]":
        """Proposes a record; the future has its result once it is committed and applied here."""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        self._gather(partition, kind, body, Waiter(future, b"", None, False))
        return future

    def _gather(self, partition: PartitionId, kind: Kind, body: bytes, waiter: Waiter) -> None:
        self._token += 1
        self._tokens[self._token] = waiter
        waiting = self._proposals.get(partition)
        if waiting is None:
            if not self._proposals:
                self._loop.call_soon(self._propose_all)
            waiting = self._proposals[partition] = []
        waiting.append((self._token, kind, body))

    def _propose_all(self) -> None:
        clock = wall_us()
        while self._proposals:
            # One by one: should a step end the mastership of another partition, its gathered writes go with it.
            partition = next(iter(self._proposals))
            self.post(ev.Propose(partition, self._proposals.pop(partition), clock))

    def read_refusal(self, partition: PartitionId) -> str:
        """Judged against a clock read now, behind the request's arrival; the rows are read after it."""
        self.counters["reads"] += 1
        return self.core.read_refusal(partition, boottime_us())

    async def await_read(self, partition: PartitionId) -> str:
        """Like read_refusal, but waits for a round of heartbeats where reads go by quorum."""
        if self.core.settings.reads != "quorum":
            return self.read_refusal(partition)
        self.counters["reads"] += 1
        self._token += 1
        future: asyncio.Future[str] = self._loop.create_future()
        self._reads[self._token] = future
        self.post(ev.ReadWanted(partition, self._token))
        return await future

    def master_of(self, partition: PartitionId) -> NodeId:
        """The node that masters the partition as the replica here believes, or ''."""
        r = self.core.replicas.get(partition)
        return self.core.node_of_master(r) if r is not None else NodeId("")

    # -- effects out ----------------------------------------------------------------------------------------------

    def _execute_all(self, effects: list[ef.Effect]) -> None:
        for effect in effects:
            self._execute(effect)

    def _execute(self, effect: ef.Effect) -> None:
        match effect:
            case ef.Send():
                self.peers.send(effect.to, effect.message)
            case ef.Persist():
                self.writer.persist(effect.sequence, effect.entries)
            case ef.Apply():
                self._apply(effect)
            case ef.RowsDue():
                self.stores.get(effect.partition).owe(effect.lsn)
            case ef.Proposed():
                queue = self._waiting.setdefault(effect.partition, deque())
                for lsn, token in enumerate(effect.tokens, effect.first_lsn):
                    waiter = self._tokens.pop(token)
                    for row in waiter.rows or (waiter,):
                        row.before = None
                    queue.append((lsn, waiter))
            case ef.ProposalRefused():
                self._refuse(effect)
            case ef.ReadReady():
                for token in effect.tokens:
                    _resolve(self._reads.pop(token), "")
            case ef.ReadRefused():
                for token in effect.tokens:
                    _resolve(self._reads.pop(token), effect.reason)
            case ef.Deposed():
                self._deposed(effect)
            case ef.MastershipChanged():
                self.on_mastership(effect.partition, effect.epoch, decode_membership(effect.membership))
            case ef.TakeLock():
                self.take_lock(effect.partition, effect.at_least)
            case ef.Seal() | ef.ReadCold() | ef.ReleaseLog() | ef.DropRows():
                self._store_effect(effect)
            case ef.SendCopy():
                self.send_copy(effect)
            case ef.InstallCopy():
                self.install_copy(effect)
            case ef.DiscardCopy():
                self.discard_copy(effect)
            case ef.EligibilityChanged():
                self._eligibility(effect)
            case ef.Retired():
                self.on_retired(effect)
            case ef.RenounceIdentity():
                self.on_renounced(effect.reason)
            case _:
                assert_never(effect)

    def _apply(self, effect: ef.Apply) -> None:
        waiting = self._waiting.get(effect.partition)
        self.stores.get(effect.partition).apply(effect.records, waiting)

    def applied(self, partition: PartitionId, lsn: int) -> None:
        """The rows hold everything up to `lsn`: the writes up to there are acknowledged, then the core is told."""
        queue = self._waiting.get(partition)
        while queue and queue[0][0] <= lsn:
            _, waiter = queue.popleft()
            self._forget(partition, waiter)
            if not waiter.future.done():
                waiter.future.set_result(waiter.result)
        self.post(ev.Applied(partition, lsn))

    def _forget(self, partition: PartitionId, waiter: Waiter) -> None:
        """The write is no longer under way. If it was refused, an earlier write of the row may still be."""
        latest = self._latest.get(partition)
        for row in waiter.rows or (waiter,):
            row.is_over = True
            if latest is None or latest.get(row.row_key) is not row:
                continue
            before = row.before
            while before is not None and before.is_over:
                before = before.before
            if before is None:
                del latest[row.row_key]
            else:
                latest[row.row_key] = before

    def _refuse(self, effect: ef.ProposalRefused) -> None:
        for token in effect.tokens:
            waiter = self._tokens.pop(token)
            self._forget(effect.partition, waiter)
            if not waiter.future.done():
                waiter.future.set_exception(self._refused(effect.reason, effect.master))

    @staticmethod
    def _refused(reason: str, master: NodeId) -> NotMaster | Overloaded | StaleRange:
        if reason == OUT_OF_RANGE:
            return StaleRange(reason)
        return Overloaded(reason) if reason == "overloaded" else NotMaster(reason, master)

    def _deposed(self, effect: ef.Deposed) -> None:
        self.counters["deposed"] += 1
        r = self.core.replicas.get(effect.partition)
        log.info("deposed", partition=effect.partition, epoch=effect.epoch, why=r.why if r is not None else "dropped")
        self._latest.pop(effect.partition, None)
        # What was gathered may rest on what is lost now: it was not proposed, and is not.
        gathered = [self._tokens.pop(token) for token, _, _ in self._proposals.pop(effect.partition, ())]
        for waiter in gathered:
            if not waiter.future.done():
                waiter.future.set_exception(NotMaster("deposed", self.master_of(effect.partition)))
        for _, waiter in self._waiting.pop(effect.partition, ()):
            if not waiter.future.done():
                waiter.future.set_exception(WriteOutcomeUnknown("the master changed before the write was committed"))

    def _eligibility(self, effect: ef.EligibilityChanged) -> None:
        if effect.refusal:
            self.refusals[effect.partition] = effect.refusal
        else:
            self.refusals.pop(effect.partition, None)
        log.info("eligibility", partition=effect.partition, ineligible=effect.ineligible, refusal=effect.refusal)

    def _store_effect(self, effect: ef.Seal | ef.ReadCold | ef.ReleaseLog | ef.DropRows) -> None:
        match effect:
            case ef.ReleaseLog():
                self.writer.hot_log.release(effect.partition, effect.lsn)
                self.stores.get(effect.partition).released_lsn = effect.lsn
            case ef.DropRows():
                self.stores.drop(effect.partition)
            case ef.Seal():
                self._background(self._seal(effect))
            case ef.ReadCold():
                self._background(self._read_cold(effect))

    def _background(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self.peers.tasks.add(task)
        task.add_done_callback(self.peers.tasks.discard)

    async def _seal(self, effect: ef.Seal) -> None:
        store = self.stores.get(effect.partition)
        end = EMPTY_LOG
        try:
            end = await self.stores.in_thread(store.seal, effect.records, effect.keep_lsn)
        except (ColdError, DiskFull) as error:
            log.error("sealing failed", partition=effect.partition, error=str(error))
        self.post(ev.Sealed(effect.partition, end))

    async def _read_cold(self, effect: ef.ReadCold) -> None:
        store = self.stores.get(effect.partition)
        prev, records = EMPTY_LOG, b""
        try:
            prev, records = await self.stores.in_thread(store.read_cold, effect.after_lsn, effect.bytes_max)
        except ColdError as error:
            log.error("reading the cold log failed", partition=effect.partition, error=str(error))
        self.post(ev.ColdRead(effect.partition, effect.peer, prev, records))


def _resolve(future: "asyncio.Future[str]", refusal: str) -> None:
    if not future.done():
        future.set_result(refusal)
