"""A machine with a volume, and the process on it: the simulated shell around one real core.

The process carries out effects in order and makes no decision. What the real shell owes the core is owed here too:
Synced only after the sync, Applied after the rows, one copy at a time, nothing after a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from keystead_core.ids import Boot, Epoch, Lsn, Micros, NodeId, PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogEntry, LogPoint, RecoveredReplica
from keystead_core.log.record import Kind, Record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import decode_membership, encode_membership
from keystead_core.replication.node import Node
from tests.sim.durable import DurableLog, rebuilt
from tests.sim.rows import Key, RowState, RowStore, Value, encode_write
from tests.sim.standin import StandInLog
from tests.sim.trace import brief
from tests.sim.violation import Violation

if TYPE_CHECKING:
    from tests.sim.checker import Seen
    from tests.sim.cluster import Cluster

Answer = Callable[[str, Any, NodeId], None]
"""(outcome, value, hint): ok | refused (no trace of it) | unknown; the value or the reason; a node to try next."""


class ColdStore:
    """A partition's cold log: sealed records, of which a crash loses nothing."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    @property
    def end(self) -> LogPoint:
        if not self.records:
            return EMPTY_LOG
        last = self.records[-1]
        return LogPoint(last.epoch, last.lsn, last.hash)

    def behind(self, lsn: Lsn) -> list[Record]:
        if not self.records or not self.records[0].lsn <= lsn + 1 <= self.records[-1].lsn:
            return []
        return self.records[lsn + 1 - self.records[0].lsn :]


class Volume:
    """What a machine's disk holds, and beside it the account of what it must hold (`durable`, `pending`)."""

    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.boot_counter = 0
        self.log = StandInLog()
        self.rows: dict[PartitionId, RowStore] = {}
        self.cold: dict[PartitionId, ColdStore] = {}
        self.durable: dict[PartitionId, DurableLog] = {}
        self.pending: list[LogEntry] = []
        self.damaged: set[PartitionId] = set()

    def rows_of(self, partition: PartitionId) -> RowStore:
        found = self.rows.get(partition)
        if found is None:
            found = self.rows[partition] = RowStore()
        return found

    def cold_of(self, partition: PartitionId) -> ColdStore:
        found = self.cold.get(partition)
        if found is None:
            found = self.cold[partition] = ColdStore()
        return found

    def settle(self, count: int) -> None:
        """The first `count` pending entries are durable now."""
        for entry in self.pending[:count]:
            log = self.durable.get(entry.partition)
            if log is None:
                log = self.durable[entry.partition] = DurableLog()
            log.add(entry)
        del self.pending[:count]

    def crash(self, random: Random, power: bool) -> bool:
        lost = self.log.crash(random, power)
        for store in self.rows.values():
            store.crash()
        return lost

    def recover(self) -> dict[PartitionId, RecoveredReplica]:
        found = self.log.recover()
        for partition, replica in found.items():
            cold = self.cold_of(partition)
            replica.cold_end = cold.end
            replica.cold_start = cold.records[0].lsn if cold.records else 0
            replica.applied_lsn = self.rows_of(partition).flushed.point.lsn
        return found

    def adopt(self, found: dict[PartitionId, RecoveredReplica]) -> None:
        """What recovery found is durable from now on."""
        before = self.durable
        self.durable = {p: rebuilt(replica, before.get(p, DurableLog())) for p, replica in found.items()}
        self.pending.clear()

    def copy(self) -> Volume:
        other = Volume(self.node_id)
        other.boot_counter = self.boot_counter
        other.log = self.log.copy()
        for partition, store in self.rows.items():
            rows = other.rows_of(partition)
            rows.live, rows.flushed = store.flushed.copy(), store.flushed.copy()
        for partition, cold in self.cold.items():
            other.cold_of(partition).records = list(cold.records)
        other.durable = {p: log.copy() for p, log in self.durable.items()}
        other.pending = list(self.pending)
        return other


class Machine:
    """`rate_ppm`: how much faster than true time its clock runs; `offset`: what it shows at virtual time `since`."""

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
        self.targets: dict[PartitionId, int] = {}
        self.committed: dict[PartitionId, Epoch] = {}
        self.drops: dict[PartitionId, int] = {}
        self._apply_at: dict[PartitionId, Micros] = {}
        self._syncing = False
        self._sequence = 0
        self._armed: Micros = -1
        self._tick_waits = False
        found = volume.recover()
        cluster.checker.on_recovered(volume, found)
        volume.adopt(found)
        self.core = Node(
            cluster.scenario.settings,
            self.node_id,
            self.boot,
            list(found.values()),
            self.now,
            self.random.getrandbits(63),
        )

    @property
    def now(self) -> Micros:
        return self.machine.clock(self.cluster.timeline.now)

    def start(self) -> None:
        self._carry_out("start", self.core.start(self.now))

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

    def _send(self, effect: ef.Send) -> None:
        self.cluster.network.send(self.machine, self.node_id, self.boot, effect.to, effect.message)

    def _persist(self, effect: ef.Persist) -> None:
        self.volume.log.append(effect.entries)
        self.volume.pending.extend(effect.entries)
        self._sequence = effect.sequence
        if self.machine.trap == "persist":
            self.cluster.spring_trap(self.machine)
            return
        self._sync()

    def _sync(self) -> None:
        pending = len(self.volume.pending)
        if self._syncing or not pending:
            return
        self._syncing = True
        machine = self.machine
        delay = machine.sync_micros // 2 + self.random.randrange(machine.sync_micros)
        delay += max(0, machine.stalled_until - self.cluster.timeline.now)
        self.cluster.timeline.after(delay, self._synced, self.volume.log.begin_sync(), self._sequence, pending)

    def _synced(self, mark: int, sequence: int, pending: int) -> None:
        if not self.alive:
            return
        self.volume.log.end_sync(mark)
        self.volume.settle(pending)
        self._syncing = False
        if self.machine.trap == "synced":
            self.cluster.spring_trap(self.machine)
            return
        self.deliver(ev.Synced(sequence))
        self._sync()

    def _apply(self, effect: ef.Apply) -> None:
        timeline = self.cluster.timeline
        delay = 0 if self.random.random() < 0.5 else self.random.randrange(3000)
        at = max(self._apply_at.get(effect.partition, 0), timeline.now + delay)
        self._apply_at[effect.partition] = at
        timeline.at(at, self.post, self._for_replica, self.drops.get(effect.partition, 0), self._applied, effect)

    def _for_replica(self, drops: int, call: Callable[[Any], None], effect: Any) -> None:
        """Carries on with work for a replica, unless its rows were dropped meanwhile."""
        if self.drops.get(effect.partition, 0) == drops:
            call(effect)

    def _applied(self, effect: ef.Apply) -> None:
        partition = effect.partition
        store = self.volume.rows_of(partition)
        state = store.live
        if effect.records[0].lsn > state.point.lsn + 1:
            for record in self.volume.cold_of(partition).behind(state.point.lsn):
                if record.lsn < effect.records[0].lsn:
                    state.apply(record)
            if effect.records[0].lsn != state.point.lsn + 1:
                raise Violation("rows cannot be brought level", f"{self.name} {effect} behind {state.point}")
        for record in effect.records:
            if record.lsn > state.point.lsn:
                state.apply(record)
        self.cluster.checker.on_applied(self, partition, state)
        if self.random.random() < 0.15:
            store.flush()
        self._answer_puts(partition, effect.records)
        self.step(ev.Applied(partition, effect.records[-1].lsn))

    def _answer_puts(self, partition: PartitionId, records: list[Record]) -> None:
        waiting = self.waiting.get(partition)
        if not waiting:
            return
        for record in records:
            found = waiting.pop(record.lsn, None)
            if found is None:
                continue
            token, epoch = found
            key, value, answer = self.answers.pop(token)
            self.cluster.checker.on_put_answered(partition, key, value, record.lsn, epoch)
            answer("ok", record.lsn, self.node_id)

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
        self.cluster.catalog.report(self, effect.partition, decode_membership(effect.membership))

    def _take_lock(self, effect: ef.TakeLock) -> None:
        self.cluster.timeline.after(self.cluster.network.latency(), self._at_lock_service, effect)

    def _at_lock_service(self, effect: ef.TakeLock) -> None:
        if self.cluster.locks.away:
            self.cluster.count("X")
            return
        counter = self.cluster.locks.take(effect.partition, effect.at_least)
        self.later(self.cluster.network.latency(), self.step, ev.LockTaken(effect.partition, counter))

    def _seal(self, effect: ef.Seal) -> None:
        drops = self.drops.get(effect.partition, 0)
        self.later(200 + self.random.randrange(4000), self._for_replica, drops, self._sealed, effect)

    def _sealed(self, effect: ef.Seal) -> None:
        cold = self.volume.cold_of(effect.partition)
        new = [r for r in effect.records if r.lsn > cold.end.lsn]
        if cold.records and new and new[0].prev_hash != cold.end.hash:
            raise Violation("cold log with a gap", f"{self.name} {new[0]} behind {cold.end}")
        cold.records.extend(new)
        self.cluster.coverage["seal"] += 1
        self.step(ev.Sealed(effect.partition, cold.end))

    def _release(self, effect: ef.ReleaseLog) -> None:
        self.volume.log.release(effect.partition, effect.lsn)

    def _read_cold(self, effect: ef.ReadCold) -> None:
        drops = self.drops.get(effect.partition, 0)
        self.later(100 + self.random.randrange(2000), self._for_replica, drops, self._cold_read, effect)

    def _cold_read(self, effect: ef.ReadCold) -> None:
        cold = self.volume.cold_of(effect.partition)
        records = cold.behind(effect.after_lsn)
        prev = EMPTY_LOG
        if records and effect.after_lsn >= cold.records[0].lsn:
            before = cold.records[effect.after_lsn - cold.records[0].lsn]
            prev = LogPoint(before.epoch, before.lsn, before.hash)
        elif records and effect.after_lsn > 0:
            records = []
        total, blob = 0, []
        for record in records:
            blob.append(record.raw)
            total += len(record.raw)
            if total >= effect.bytes_max:
                break
        if blob:
            self.cluster.coverage["cold read"] += 1
        self.step(ev.ColdRead(effect.partition, effect.peer, prev, b"".join(blob)))

    # -- physical copies ------------------------------------------------------------------------------------------

    def _send_copy(self, effect: ef.SendCopy) -> None:
        state = self.volume.rows_of(effect.partition).live.copy()
        receiver = self.cluster.by_node.get(effect.to)
        if receiver is None or state.membership is None:
            self.later(1000, self.step, ev.CopyFinished(effect.partition, effect.peer, False))
            return
        self._send_chunk(effect, state, receiver, 1 + self.random.randrange(5))

    def _send_chunk(self, effect: ef.SendCopy, state: RowState, receiver: Machine, left: int) -> None:
        """Each chunk of the copy crosses the network; one that is lost ends the copy."""
        network = self.cluster.network
        process = receiver.process
        reachable = process is not None and process.node_id == effect.to and not process.paused
        if not reachable or not network.passes(self.machine.index, receiver.index):
            self.later(50_000, self.step, ev.CopyFinished(effect.partition, effect.peer, False))
        elif left:
            self.later(network.latency() * 4, self._send_chunk, effect, state, receiver, left - 1)
        else:
            assert process is not None
            self.cluster.coverage["copy"] += 1
            process.later(network.latency(), process._copy_arrives, effect, state)
            self.later(network.latency(), self.step, ev.CopyFinished(effect.partition, effect.peer, True))

    def _copy_arrives(self, effect: ef.SendCopy, state: RowState) -> None:
        replica = self.core.replicas.get(effect.partition)
        if replica is None or replica.id != effect.peer:
            return
        token = self.random.getrandbits(40) + 1
        store = self.volume.rows_of(effect.partition)
        store.staged[token] = state
        assert state.membership is not None
        membership = encode_membership(state.membership)
        self.step(ev.CopyArrived(effect.partition, token, effect.epoch, state.point, membership))

    def _install_copy(self, effect: ef.InstallCopy) -> None:
        drops = self.drops.get(effect.partition, 0)
        self.later(500 + self.random.randrange(3000), self._for_replica, drops, self._copy_installed, effect)

    def _copy_installed(self, effect: ef.InstallCopy) -> None:
        store = self.volume.rows_of(effect.partition)
        state = store.staged.pop(effect.token)
        store.live, store.flushed = state.copy(), state
        self.volume.cold_of(effect.partition).records.clear()
        self.cluster.checker.on_applied(self, effect.partition, state)
        self.step(ev.CopyInstalled(effect.partition, effect.token))

    def _discard_copy(self, effect: ef.DiscardCopy) -> None:
        self.volume.rows_of(effect.partition).staged.pop(effect.token, None)

    def _drop_rows(self, effect: ef.DropRows) -> None:
        self.drops[effect.partition] = self.drops.get(effect.partition, 0) + 1
        self.volume.rows.pop(effect.partition, None)
        self.volume.cold.pop(effect.partition, None)
        self.cluster.coverage["replica dropped"] += 1

    def _eligibility(self, effect: ef.EligibilityChanged) -> None:
        name = "eligibility refused" if effect.refusal else "ineligible" if effect.ineligible else "eligible again"
        self.cluster.coverage[name] += 1

    def _renounce(self, effect: ef.RenounceIdentity) -> None:
        self.cluster.renounce(self.machine)

    # -- requests of clients --------------------------------------------------------------------------------------

    def put(self, partition: PartitionId, key: Key, value: Value, answer: Answer) -> None:
        if self.machine.is_full:
            answer("refused", "disk full", NodeId(""))
            return
        token = self.cluster.next_token()
        self.answers[token] = (key, value, answer)
        wall_clock = self.cluster.wall_clock(self.machine)
        self.step(ev.Propose(partition, [(token, Kind.DATA, encode_write(key, value))], wall_clock))

    def get(self, partition: PartitionId, key: Key, consistent: bool, floor: Lsn, answer: Answer) -> None:
        replica = self.core.replicas.get(partition)
        if replica is None:
            answer("refused", "no replica here", NodeId(""))
            return
        if consistent:
            refusal = self.core.read_refusal(partition, self.now)
            if refusal:
                answer("refused", refusal, self.core.node_of_master(replica))
                return
        elif replica.is_log_only or replica.staged:
            answer("refused", "no rows here", NodeId(""))
            return
        state = self.volume.rows_of(partition).live
        if consistent:
            self.cluster.checker.on_read_served(self, partition, key, state, floor)
        else:
            self.cluster.checker.on_eventual_read(self, partition, key, state)
        value, lsn = state.rows.get(key, (None, 0))
        answer("ok", (value, lsn, state.point.lsn), self.node_id)

    # -- the end --------------------------------------------------------------------------------------------------

    def stop(self, power: bool) -> bool:
        """The process ends at once. Returns whether written data was lost with it."""
        self.alive = False
        for _, _, answer in self.answers.values():
            answer("unknown", "stopped", NodeId(""))
        self.answers.clear()
        self.machine.process = None
        return self.volume.crash(self.random, power)


HANDLERS: dict[type, Callable[[Process, Any], None]] = {
    ef.Send: Process._send,
    ef.Persist: Process._persist,
    ef.Apply: Process._apply,
    ef.Proposed: Process._proposed,
    ef.ProposalRefused: Process._refused,
    ef.Deposed: Process._deposed,
    ef.MastershipChanged: Process._mastership,
    ef.TakeLock: Process._take_lock,
    ef.Seal: Process._seal,
    ef.ReleaseLog: Process._release,
    ef.ReadCold: Process._read_cold,
    ef.SendCopy: Process._send_copy,
    ef.InstallCopy: Process._install_copy,
    ef.DiscardCopy: Process._discard_copy,
    ef.DropRows: Process._drop_rows,
    ef.EligibilityChanged: Process._eligibility,
    ef.RenounceIdentity: Process._renounce,
}
