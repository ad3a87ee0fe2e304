"""The core of a node: many replicas, the leases of its pairs, and the one way in: `step(event, now) -> effects`.

Everything of one step that must be persisted becomes one Persist; what must wait for it is kept here until Synced.
"""

from __future__ import annotations

import heapq
from collections import deque

from keystead_core.ids import NO_REPLICA, Boot, Epoch, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import AppendEntry, LogEntry, RecoveredReplica, SnipEntry, StateEntry
from keystead_core.log.record import Kind, make_record
from keystead_core.prng import Prng
from keystead_core.replication import (
    catch_up,
    dispatch,
    election,
    eligibility,
    follower,
    handover,
    master,
    read_lease,
    reconfiguration,
    repair,
    retiring,
    splitting,
    support,
    suspicion,
)
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.effects import (
    DropRows,
    Effect,
    Persist,
    ProposalRefused,
    ReadRefused,
    RenounceIdentity,
    Send,
)
from keystead_core.replication.membership import encode_membership
from keystead_core.replication.pair_leases import PairLeases
from keystead_core.replication.peers import Peers
from keystead_core.replication.replica import CANDIDATE, FOLLOWER, MASTER, NEVER, Replica
from keystead_core.replication.restart import blank, replay, restore
from keystead_core.replication.settings import Settings

REBALANCED_AT_ONCE = 4


class Node:
    """The replication core of one node process. Not thread-safe; changed by `step` alone.

    `recovered` is what the volume held; `started_at` the time of this start; `seed` feeds all jitter.
    """

    def __init__(
        self,
        settings: Settings,
        node: NodeId,
        boot: Boot,
        recovered: list[RecoveredReplica],
        started_at: Micros,
        seed: int,
    ) -> None:
        self.settings = settings
        self.id = node
        self.boot = boot
        self.now = started_at
        self.silent_until = silence_until(started_at, settings)
        self.replicas: dict[PartitionId, Replica] = {}
        self.tombstones: dict[PartitionId, ReplicaId] = {}
        self.dropping: dict[PartitionId, ev.HostReplica | None] = {}
        self.boots: dict[NodeId, Boot] = {}
        self.peers = Peers(settings.lease)
        self.maintaining = False
        self.registered = False
        self.leases = PairLeases(self)
        self.sender: NodeId = NodeId("")
        self._prng = Prng(seed)
        self._wakes: list[tuple[Micros, PartitionId]] = []
        self._effects: list[Effect] = []
        self._entries: list[LogEntry] = []
        self._sequence = 0
        self.synced = 0
        self._touched: dict[PartitionId, None] = {}
        self._waiting: list[Effect] = []
        self._after: deque[tuple[int, list[PartitionId], list[Effect]]] = deque()
        for found in recovered:
            self._restore(found)

    def _restore(self, found: RecoveredReplica) -> None:
        if found.state is None:
            return
        if found.state.dropped:
            self.tombstones[found.partition] = found.state.replica
            return
        self.replicas[found.partition] = restore(self, found)

    # -- the way in -----------------------------------------------------------------------------------------------

    def start(self, now: Micros) -> list[Effect]:
        """The first effects after a start: replay what is committed, look for lost records, plan elections."""
        self.now = now
        for partition in self.tombstones:
            if partition not in self.replicas:
                self.emit(DropRows(partition))  # The last process may have stopped before it could.
        for r in self.replicas.values():
            replay(r)
            catch_up.count_again_if_copied(r)
            repair.ask(r)
            suspicion.suspect(r, max(0, self.silent_until - now))
        return self._finish()

    def step(self, event: ev.Event, now: Micros) -> list[Effect]:
        """Takes one event at time `now` (never earlier than before) and returns what to do, in order."""
        assert now >= self.now, (now, self.now)
        self.now = now
        self._dispatch(event)
        return self._finish()

    def deadline(self) -> Micros | None:
        """When the next Tick is due; None: no timer runs."""
        at = self._wakes[0][0] if self._wakes else NEVER
        at = min(at, self.leases.deadline())
        return at if at < NEVER else None

    def read_refusal(self, partition: PartitionId, now: Micros) -> str:
        """Why a strongly consistent read of the partition may not be served here at `now`; '' where it may."""
        r = self.replicas.get(partition)
        return read_lease.read_refusal(r, now) if r else "no replica here"

    def proposal_refusal(self, partition: PartitionId) -> str:
        """Why nothing may be proposed for the partition here; '' where it may."""
        r = self.replicas.get(partition)
        return master.proposal_refusal(r) if r else "no replica here"

    def is_read_here(self, partition: PartitionId, key: bytes) -> bool:
        """Whether no split that is known to be committed has given the key to another partition."""
        r = self.replicas.get(partition)
        return r is None or not r.log.splits or splitting.is_read_here(r, key)

    def reads_to(self, partition: PartitionId, high: bytes | None) -> bool:
        """Whether no committed split has given away keys below `high` (None: the end of all keys)."""
        r = self.replicas.get(partition)
        return r is None or not r.log.splits or splitting.reads_to(r, high)

    def mastered_epoch(self, partition: PartitionId) -> Epoch:
        """The epoch in which this node masters the partition; 0 where it does not."""
        r = self.replicas.get(partition)
        return r.epoch if r and r.mastership is not None else 0

    def _dispatch(self, event: ev.Event) -> None:
        match event:
            case ev.Received():
                self._on_received(event)
            case ev.Synced():
                self._on_synced(event.sequence)
            case ev.Tick():
                self._on_tick()
            case ev.PeerLost():
                self._on_peer_lost(event.node)
            case ev.HostReplica():
                self._host(event)
            case ev.Maintain() | ev.Resume():
                self._set_maintaining(isinstance(event, ev.Maintain))
            case ev.Registered():
                self._admit()
            case ev.Retire():
                retiring.retire(self, event)
            case ev.Rebalance():
                self._rebalance()
            case ev.RoomMeasured():
                self.leases.room = event.room
                for replica in list(self.replicas.values()):
                    handover.give_way_for_room(replica)
            case _:
                r = self.replicas.get(event.partition)
                if r is not None:
                    dispatch.on_event(r, event)
                elif isinstance(event, ev.Propose | ev.ReadWanted):
                    self._refuse_unknown(event)

    def _refuse_unknown(self, event: ev.Propose | ev.ReadWanted) -> None:
        if isinstance(event, ev.ReadWanted):
            self.emit(ReadRefused(event.partition, [event.token], "no replica here", NodeId("")))
            return
        tokens = [token for token, _, _ in event.proposals]
        self.emit(ProposalRefused(event.partition, tokens, "no replica here", NodeId("")))

    # -- messages -------------------------------------------------------------------------------------------------

    def _on_received(self, event: ev.Received) -> None:
        if isinstance(event.message, msg.BootRefused):
            if event.message.boot == self.boot and not self._is_outdated(event.sender, event.boot):
                self.emit(RenounceIdentity(f"node {event.sender} has seen boot {event.message.seen} of this volume"))
            return
        if not self._boot_is_current(event.sender, event.boot):
            return
        self._on_heard(event.sender)
        self.sender = event.sender
        match event.message:
            case msg.Heartbeat():
                self.leases.on_heartbeat(event.sender, event.message)
            case msg.HeartbeatReply():
                self.leases.on_reply(event.sender, event.message)
            case message:
                r = self.replicas.get(message.partition)
                if r is not None:
                    dispatch.on_message(r, message)

    def _boot_is_current(self, sender: NodeId, boot: Boot) -> bool:
        """A peer whose later start was seen before speaks from an old copy of its volume: it is refused."""
        seen = self.boots.get(sender, 0)
        if boot == seen:
            return True
        if self._is_outdated(sender, boot):
            self.send(sender, msg.BootRefused(boot, seen))
            return False
        self.boots[sender] = boot
        self.leases.on_peer_restarted(sender, boot)
        if seen:
            self._on_peer_back(sender)
        return True

    def _is_outdated(self, sender: NodeId, boot: Boot) -> bool:
        """Was another start of the peer's volume seen before that is as late, or later? What an old copy of a volume
        says counts for nothing: not even that it has seen another copy of ours."""
        seen = self.boots.get(sender, 0)
        return boot != seen and boot >> 16 <= seen >> 16

    # -- peers come and go ----------------------------------------------------------------------------------------

    def _on_peer_lost(self, node: NodeId) -> None:
        self.peers.on_lost(node)
        self.leases.on_silence(node)

    def _on_heard(self, node: NodeId) -> None:
        was_lost, was_live = self.peers.is_lost(node), self.peers.is_live(node, self.now)
        self.peers.on_heard(node, self.now)
        if was_lost:
            self._on_peer_back(node)
        elif not was_live:
            for r in self.replicas.values():
                if r.mastership is not None and r.member_at(node) is not None:
                    reconfiguration.proceed(r)  # A change may have waited for it.

    def _on_peer_back(self, node: NodeId) -> None:
        for r in self.replicas.values():
            if r.mastership is None:
                continue
            member = r.member_at(node)
            progress = r.mastership.progress.get(member.replica) if member else None
            if progress is not None and not progress.copying:
                progress.paused = True
                progress.next_lsn = r.log.last_lsn + 1
                progress.resend_at = self.now
                r.wake(self.now)
            reconfiguration.proceed(r)

    def jitter(self, bound: Micros) -> Micros:
        return self._prng.below(bound)

    # -- hosting --------------------------------------------------------------------------------------------------

    def _host(self, event: ev.HostReplica) -> None:
        if event.partition in self.dropping:
            self.dropping[event.partition] = event
            return
        if event.partition in self.replicas or self.tombstones.get(event.partition, NO_REPLICA) >= event.replica:
            return
        if event.base.lsn:
            splitting.begin_right(self, event)
            return
        r = self.replicas[event.partition] = blank(self, event.partition, event.replica)
        if event.founding is None:
            r.persist_state()
            return
        body = encode_membership(event.founding)
        record = make_record(event.partition, 1, 1, Kind.MEMBERSHIP, 1, 0, 0, body)
        r.promised = r.epoch_seen = 1
        r.persist_state()
        r.log.append([record], self.persist(AppendEntry(event.partition, 1, [record])))
        r.advance_commit(1)
        # A new group's first member is its first candidate: the others come in only if it does not.
        suspicion.suspect(r, max(0, self.silent_until - self.now) + suspicion.rank(r) * self.settings.lease // 2)

    def drop(self, r: Replica, replica: ReplicaId) -> None:
        if r.id != replica:
            return
        r.step_down("dropped: the group goes on without this replica")
        self.persist(StateEntry(r.partition, r.state(dropped=True)))
        self.tombstones[r.partition] = r.id
        del self.replicas[r.partition]
        self.leases.judge_group(r.partition)
        self.dropping[r.partition] = None
        self.emit_after_sync(DropRows(r.partition))

    def _set_maintaining(self, maintaining: bool) -> None:
        self.maintaining = maintaining
        for r in list(self.replicas.values()):
            if maintaining:
                eligibility.maintain(r)
            else:
                eligibility.resume(r)

    def _rebalance(self) -> None:
        """A few at a time, and none that is young: what has just failed over is left alone for a while."""
        moved = 0
        for r in list(self.replicas.values()):
            if moved >= REBALANCED_AT_ONCE:
                return
            successor = reconfiguration.preferred_successor(r)
            if successor and handover.begin(r, successor) == "":
                moved += 1

    def _admit(self) -> None:
        """From now on what is here may lead (election.is_admitted); whoever follows nobody stands soon."""
        if self.registered:
            return
        self.registered = True
        for r in self.replicas.values():
            if r.role == FOLLOWER and not self.leases.is_granting(r):
                suspicion.suspect(r, max(0, self.silent_until - self.now))

    def consider_sealing(self, r: Replica) -> None:
        catch_up.seal_if_due(r)

    # -- timers ---------------------------------------------------------------------------------------------------

    def wake(self, at: Micros, partition: PartitionId) -> None:
        heapq.heappush(self._wakes, (at, partition))

    def _on_tick(self) -> None:
        now = self.now
        self.leases.on_tick()
        due = []
        while self._wakes and self._wakes[0][0] <= now:
            due.append(heapq.heappop(self._wakes))
        for at, partition in due:
            r = self.replicas.get(partition)
            if r is not None and r.wake_at == at:
                r.wake_at = NEVER
                self._on_timer(r, now)

    def _on_timer(self, r: Replica, now: Micros) -> None:
        match r.role:
            case "master":
                master.on_timer(r, now)
            case "candidate":
                election.on_timer(r, now)
            case _:
                if r.election_at <= now:
                    r.election_at = NEVER
                    if not self.leases.is_granting(r):
                        election.begin(r)
        eligibility.on_timer(r, now)
        repair.on_timer(r, now)
        at = min(r.leaving_at, r.election_at if r.role == FOLLOWER else NEVER, r.damage.ask_at if r.damage else NEVER)
        if at < NEVER:
            r.wake(max(at, now))

    # -- effects and the sync barrier -----------------------------------------------------------------------------

    def node_of_master(self, r: Replica) -> NodeId:
        """The node of the master that this replica follows (or is), or ''."""
        if r.role == MASTER:
            return self.id
        return r.master_node if r.master and r.role != CANDIDATE else NodeId("")

    def send(self, to: NodeId, message: msg.Message) -> None:
        self._effects.append(Send(to, message))

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    @property
    def next_sequence(self) -> int:
        """The sequence number that this step's Persist has or would have."""
        return self._sequence + 1

    def persist(self, entry: LogEntry) -> int:
        """Adds an entry to this step's Persist; its replica is told when it is durable."""
        self._entries.append(entry)
        self._touched[entry.partition] = None
        return self._sequence + 1

    def after_sync(self, r: Replica) -> None:
        """Tell this replica when all that has been persisted so far is durable."""
        self._touched[r.partition] = None

    def emit_after_sync(self, effect: Effect) -> None:
        self._waiting.append(effect)

    def support_after_sync(self, to: NodeId, report: msg.Support) -> None:
        self._waiting.append(Send(to, report))

    def snip_all(self, r: Replica, first_lsn: int) -> None:
        """Kills everything from `first_lsn` on, in the log and above its gaps."""
        if first_lsn <= r.log.last_lsn:
            r.log.snip(first_lsn)
        self.persist(SnipEntry(r.partition, first_lsn, r.promised))

    def _on_synced(self, sequence: int) -> None:
        assert self.synced <= sequence <= self._sequence, (self.synced, sequence, self._sequence)
        self.synced = sequence
        while self._after and self._after[0][0] <= sequence:
            _, touched, waiting = self._after.popleft()
            for partition in touched:
                self._replica_synced(partition)
            for effect in waiting:
                self._release(effect)

    def _release(self, effect: Effect) -> None:
        """What waited for the sync happens now, unless the world has changed meanwhile."""
        if isinstance(effect, Send):
            report = effect.message
            assert isinstance(report, msg.Support)
            if support.still_stands(self.replicas.get(report.partition), report):
                self._effects.append(effect)
            return
        self._effects.append(effect)
        if isinstance(effect, DropRows):
            next_one = self.dropping.pop(effect.partition)
            if next_one is not None:
                self._host(next_one)

    def _replica_synced(self, partition: PartitionId) -> None:
        r = self.replicas.get(partition)
        if r is None:
            return
        r.log.on_synced(self.synced)
        if 0 < r.counts_from <= self.synced:
            r.counts_from = 0
            self.leases.recheck(r)
            suspicion.suspect_without_grant(r)
        match r.role:
            case "master":
                master.advance(r)
            case "candidate":
                election.on_log_synced(r)
            case _:
                follower.on_log_synced(r)

    def _finish(self) -> list[Effect]:
        self.leases.beat_if_changed()
        if self._entries:
            self._sequence += 1
            self._effects.insert(0, Persist(self._sequence, self._entries))
            self._entries = []
        if self._touched or self._waiting:
            self._after.append((self._sequence, list(self._touched), self._waiting))
            self._touched, self._waiting = {}, []
            if self._sequence == self.synced:
                self._on_synced(self._sequence)
                return self._finish()
        effects, self._effects = self._effects, []
        return effects


def silence_until(started_at: Micros, settings: Settings) -> Micros:
    """Grants are forgotten by a restart, so nobody is supported until every grant from before has surely lapsed."""
    return started_at + settings.granted
