"""A machine with a volume, and the process on it: the simulated shell around one real core.

The process carries out effects in order and makes no decision. What the real shell owes the core is owed here too:
Synced only after the sync, Applied after the rows, one copy at a time, nothing after a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keystead_core.ids import Boot, Epoch, Lsn, Micros, NodeId, PartitionId
from keystead_core.log.ops import encode_change
from keystead_core.log.record import Kind
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import decode_membership
from keystead_core.replication.node import Node
from keystead_node.errors import NotMaster
from tests.sim.rows import Key, Value, key_bytes, value_bytes, value_of
from tests.sim.stores import Stores
from tests.sim.trace import brief
from tests.sim.volume import Volume
from tests.sim.writer import Writer

if TYPE_CHECKING:
    from tests.sim.checker import Seen
    from tests.sim.cluster import Cluster

Answer = Callable[[str, Any, NodeId], None]
"""(outcome, value, hint): ok | refused (no trace of it) | unknown; the value or the reason; a node to try next."""


class Machine:
    """`rate_ppm`: how much faster than true time its clock runs; `offset`: what it shows at virtual time `since`.
    `is_absent`: it stays down, whatever the rest has to achieve. `is_stopped`: until the operator starts it. `place`:
    its name in a cluster whose nodes come and go."""

    def __init__(self, index: int, zone: str, volume: Volume) -> None:
        self.index = index
        self.zone = zone
        self.volume = volume
        self.process: Process | None = None
        self.rate_ppm = 0
        self.since: Micros = 0
        self.offset: Micros = 0
        self.sync_micros = 500
        self.stalled_until: Micros = 0
        self.is_full = False
        self.wall_jump: Micros = 0
        self.trap = ""
        self.is_absent = False
        self.is_stopped = False
        self.place = ""
        self.old_copy: Volume | None = None
        self.starts_at: Micros = -1

    def clock(self, now: Micros) -> Micros:
        elapsed = now - self.since
        return self.offset + elapsed + elapsed * self.rate_ppm // 1_000_000

    def when(self, local: Micros) -> Micros:
        """The virtual time at which the clock shows at least `local`."""
        elapsed = local - self.offset
        return self.since + elapsed * 1_000_000 // (1_000_000 + self.rate_ppm) + 1

    def set_rate(self, now: Micros, rate_ppm: int) -> None:
        self.offset, self.since, self.rate_ppm = self.clock(now), now, rate_ppm
        if self.process:
            self.process.arm()


class Process:
    """One start of a node on a machine."""

    def __init__(self, cluster: Cluster, machine: Machine) -> None:
        self.cluster = cluster
        self.machine = machine
        self.volume = volume = machine.volume
        self.node_id = volume.node_id
        self.random = cluster.random_for("process")
        volume.boot_counter += 1
        self.boot: Boot = volume.boot_counter << 16 | self.random.randrange(1, 1 << 16)
        self.name = f"n{machine.index}.{volume.boot_counter}"
        self.alive = True
        self.paused = False
        self.is_clone = False
        self.backlog: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.seen: dict[PartitionId, Seen] = {}
        self.waiting: dict[PartitionId, dict[Lsn, tuple[int, Epoch]]] = {}
        self.answers: dict[int, tuple[Key, Value, Answer]] = {}
        self.reads: dict[int, tuple[Key, Lsn, Answer, Lsn]] = {}
        self.targets: dict[PartitionId, tuple[int, int, Epoch]] = {}
        self.committed: dict[PartitionId, Epoch] = {}
        self._armed: Micros = -1
        self._tick_waits = False
        hot_log, replicas = volume.open()
        found = {replica.partition: replica for replica in replicas}
        cluster.checker.on_recovered(volume, found)
        volume.adopt(found)
        self.may_found = not hot_log.report.unknown
        self.writer = Writer(self, hot_log)
        self.stores = Stores(self)
        self.core = Node(
            cluster.scenario.settings,
            self.node_id,
            self.boot,
            replicas,
            self.now,
            self.random.getrandbits(63),
        )
        cluster.checker.on_restored(self, found)

    @property
    def now(self) -> Micros:
        return self.machine.clock(self.cluster.timeline.now)

    def start(self) -> None:
        self._carry_out("start", self.core.start(self.now))
        self.measure_room()
        self.cluster.catalog.on_start(self)
        self.later(self.cluster.scenario.settings.lease // 8, self._register)
        self.later(self.random.randrange(self.cluster.scenario.settings.lease), self._keep_house)

    def measure_room(self) -> None:
        self.deliver(ev.RoomMeasured(0 if self.machine.is_full else self.volume.geometry.total_blocks))

    def _register(self) -> None:
        """The catalog takes the node in, as soon as it can be reached, unless its volume was given up."""
        if self.cluster.locks.away:
            self.later(self.cluster.scenario.settings.lease // 4, self._register)
        elif self.node_id not in self.cluster.lost_nodes:
            self.cluster.catalog.register(self)

    # -- events in ------------------------------------------------------------------------------------------------

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Runs the call in this process: now, after the pause, or never."""
        if not self.alive:
            return
        if self.paused:
            self.backlog.append((call, args))
        else:
            call(*args)

    def deliver(self, event: ev.Event) -> None:
        self.post(self.step, event)

    def later(self, delay: Micros, call: Callable[..., None], *args: Any) -> None:
        self.cluster.timeline.after(delay, self.post, call, *args)

    def step(self, event: ev.Event) -> None:
        if not self.alive:
            return
        self._carry_out(event, self.core.step(event, self.now))

    def resume(self) -> None:
        self.paused = False
        self.is_clone = False
        backlog, self.backlog = self.backlog, []
        for call, args in backlog:
            self.post(call, *args)

    def arm(self) -> None:
        """One Tick when the core's deadline comes; a little late, as timers are."""
        due = self.core.deadline()
        if due is None or not self.alive or self._tick_waits:
            return
        at = max(self.machine.when(due), self.cluster.timeline.now + 1) + self.random.randrange(300)
        if 0 <= self._armed <= at:
            return
        self._armed = at
        self.cluster.timeline.at(at, self._on_alarm, at)

    def _on_alarm(self, at: Micros) -> None:
        if self._armed == at and self.alive:
            self._armed = -1
            self._tick_waits = True
            self.post(self._tick)

    def _tick(self) -> None:
        self._tick_waits = False
        self.step(ev.Tick())

    # -- effects out ----------------------------------------------------------------------------------------------

    def _carry_out(self, event: Any, effects: list[ef.Effect]) -> None:
        cluster = self.cluster
        cluster.trace.update(
            b"%d %d %s %d;" % (cluster.timeline.now, self.machine.index, type(event).__name__.encode(), len(effects))
        )
        if cluster.trace.verbose:
            self._tell(event, effects)
        cluster.checker.after_step(self, effects)
        for effect in effects:
            HANDLERS[type(effect)](self, effect)
            if not self.alive:
                return
        self.arm()

    def _tell(self, event: Any, effects: list[ef.Effect]) -> None:
        timeline = self.cluster.timeline
        self.cluster.trace.line(timeline.now, timeline.current, timeline.cause, self.name, brief(event))
        for effect in effects:
            self.cluster.trace.line(timeline.now, timeline.current, timeline.cause, "", "  -> " + brief(effect))

    def tell(self, text: str) -> None:
        """A line in the trace."""
        timeline = self.cluster.timeline
        if self.cluster.trace.verbose:
            self.cluster.trace.line(timeline.now, timeline.current, timeline.cause, self.name, text)

    def _send(self, effect: ef.Send) -> None:
        self.cluster.network.send(self.machine, self.node_id, self.boot, effect.to, effect.message)

    def _keep_house(self) -> None:
        """What the node does now and then: seals what pins the hot log, flushes rows, moves masterships back."""
        space = self.writer.hot_log.space()
        if space.is_scarce:
            for partition, _ in space.pins:
                self.step(ev.SealWanted(partition))
        self.step(ev.Rebalance())
        self.measure_room()
        if self.alive:
            self.stores.keep_house()
            self.later(self.cluster.scenario.settings.lease, self._keep_house)

    def answer_puts(self, partition: PartitionId, applied_lsn: Lsn) -> None:
        """The rows hold everything up to `applied_lsn`."""
        waiting = self.waiting.get(partition)
        if not waiting:
            return
        for lsn in [lsn for lsn in waiting if lsn <= applied_lsn]:
            token, epoch = waiting.pop(lsn)
            key, value, answer = self.answers.pop(token)
            self.cluster.checker.on_put_answered(partition, key, value, lsn, epoch)
            answer("ok", lsn, self.node_id)

    def _proposed(self, effect: ef.Proposed) -> None:
        waiting = self.waiting.setdefault(effect.partition, {})
        for offset, token in enumerate(effect.tokens):
            waiting[effect.first_lsn + offset] = (token, effect.epoch)

    def _refused(self, effect: ef.ProposalRefused) -> None:
        for token in effect.tokens:
            _, _, answer = self.answers.pop(token)
            answer("refused", effect.reason, effect.master)

    def _deposed(self, effect: ef.Deposed) -> None:
        waiting = self.waiting.get(effect.partition, {})
        replica = self.core.replicas.get(effect.partition)
        committed = replica.commit_lsn if replica else 0
        for lsn in [lsn for lsn in waiting if lsn > committed]:
            token, _ = waiting.pop(lsn)
            _, _, answer = self.answers.pop(token)
            answer("unknown", "deposed", NodeId(""))

    def _mastership(self, effect: ef.MastershipChanged) -> None:
        self.cluster.catalog.report(self, effect.partition, effect.epoch, decode_membership(effect.membership))

    def _take_lock(self, effect: ef.TakeLock) -> None:
        self.cluster.timeline.after(self.cluster.network.latency(), self._at_lock_service, effect)

    def _at_lock_service(self, effect: ef.TakeLock) -> None:
        if self.cluster.locks.away:
            self.cluster.count("X")
            return
        counter = self.cluster.locks.take(effect.partition, effect.at_least)
        self.later(self.cluster.network.latency(), self.step, ev.LockTaken(effect.partition, counter))

    def _release(self, effect: ef.ReleaseLog) -> None:
        self.writer.hot_log.release(effect.partition, effect.lsn)
        self.stores.get(effect.partition).released_lsn = effect.lsn

    def _eligibility(self, effect: ef.EligibilityChanged) -> None:
        name = "eligibility refused" if effect.refusal else "ineligible" if effect.ineligible else "eligible again"
        self.cluster.coverage[name] += 1

    def _retired(self, effect: ef.Retired) -> None:
        self.cluster.coverage["retired"] += 1

    def _renounce(self, effect: ef.RenounceIdentity) -> None:
        self.cluster.renounce(self.machine)

    # -- requests of clients --------------------------------------------------------------------------------------

    def put(self, partition: PartitionId, key: Key, value: Value, answer: Answer) -> None:
        if self.machine.is_full or not self.stores.is_in_range(partition, key_bytes(key)):
            answer("refused", "disk full, or out of range", NodeId(""))
            return
        token = self.cluster.next_token()
        self.answers[token] = (key, value, answer)
        wall_clock = self.cluster.wall_clock(self.machine)
        self.step(
            ev.Propose(partition, [(token, Kind.DATA, encode_change(key_bytes(key), value_bytes(value)))], wall_clock)
        )

    def get(self, partition: PartitionId, key: Key, consistent: bool, floor: Lsn, answer: Answer) -> None:
        replica = self.core.replicas.get(partition)
        if replica is None:
            answer("refused", "no replica here", NodeId(""))
            return
        if not consistent:
            if replica.own_member is None or replica.is_log_only or replica.staged or not replica.applied_lsn:
                answer("refused", "no rows here", NodeId(""))
                return
            try:
                rows = self.stores.rows_of(partition)
            except NotMaster as refusal_of_rows:
                answer("refused", refusal_of_rows.reason, NodeId(""))
                return
            if not self.stores.is_in_range(partition, key_bytes(key)):
                answer("refused", "out of range", NodeId(""))
                return
            value = value_of(rows.get(key_bytes(key)))
            lsn = self.cluster.checker.on_eventual_read(self, partition, key, value, rows.applied_lsn)
            answer("ok", (value, lsn, rows.applied_lsn), self.node_id)
        elif self.core.settings.reads == "quorum":
            token = self.cluster.next_token()
            self.reads[token] = (key, floor, answer, self.cluster.checker.ledger(partition).answered_lsn)
            self.step(ev.ReadWanted(partition, token))
        else:
            refusal = self.core.read_refusal(partition, self.now)
            if refusal:
                answer("refused", refusal, self.core.node_of_master(replica))
            else:
                self._read(partition, key, floor, answer)

    def _read(self, partition: PartitionId, key: Key, floor: Lsn, answer: Answer) -> None:
        """The consistent read itself: the core has said that it may be served."""
        rows = self.stores.rows_of(partition)
        row_key = key_bytes(key)
        if not (self.core.is_read_here(partition, row_key) and self.stores.is_in_range(partition, row_key)):
            answer("refused", "out of range", NodeId(""))
            return
        value = value_of(rows.get(row_key))
        lsn = self.cluster.checker.on_read_served(self, partition, key, value, floor)
        answer("ok", (value, lsn, rows.applied_lsn), self.node_id)

    def _read_ready(self, effect: ef.ReadReady) -> None:
        for token in effect.tokens:
            key, floor, answer, answered_lsn = self.reads.pop(token)
            self.cluster.checker.on_read_confirmed(self, effect.partition, answered_lsn)
            self._read(effect.partition, key, floor, answer)

    def _read_refused(self, effect: ef.ReadRefused) -> None:
        for token in effect.tokens:
            _, _, answer, _ = self.reads.pop(token)
            answer("refused", effect.reason, effect.master)

    # -- the end --------------------------------------------------------------------------------------------------

    def stop(self, power: bool) -> bool:
        """The process ends at once. Returns whether written data was lost with it."""
        self.alive = False
        for _, _, answer in self.answers.values():
            answer("unknown", "stopped", NodeId(""))
        self.answers.clear()
        for _, _, answer, _ in self.reads.values():
            answer("refused", "stopped", NodeId(""))
        self.reads.clear()
        self.machine.process = None
        return self.volume.crash(self.random, power)


HANDLERS: dict[type, Callable[[Process, Any], None]] = {
    ef.Send: Process._send,
    ef.Persist: lambda process, effect: process.writer.persist(effect),
    ef.Apply: lambda process, effect: process.stores.apply(effect),
    ef.RowsDue: lambda process, effect: process.stores.get(effect.partition).owe(effect.lsn),
    ef.Proposed: Process._proposed,
    ef.ProposalRefused: Process._refused,
    ef.ReadReady: Process._read_ready,
    ef.ReadRefused: Process._read_refused,
    ef.Deposed: Process._deposed,
    ef.MastershipChanged: Process._mastership,
    ef.TakeLock: Process._take_lock,
    ef.Seal: lambda process, effect: process.stores.seal(effect),
    ef.ReleaseLog: Process._release,
    ef.ReadCold: lambda process, effect: process.stores.read_cold(effect),
    ef.SendCopy: lambda process, effect: process.stores.send_copy(effect),
    ef.InstallCopy: lambda process, effect: process.stores.install_copy(effect),
    ef.DiscardCopy: lambda process, effect: process.stores.discard_copy(effect),
    ef.DropRows: lambda process, effect: process.stores.drop_rows(effect),
    ef.EligibilityChanged: Process._eligibility,
    ef.RenounceIdentity: Process._renounce,
    ef.Retired: Process._retired,
}
