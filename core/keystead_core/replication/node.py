"""The core of a node: many replicas, the leases of its pairs, and the one way in: `step(event, now) -> effects`.

Everything of one step that must be persisted becomes one Persist; what must wait for it is kept here until Synced.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import assert_never

from keystead_core.ids import MILLISECOND, NO_REPLICA, Boot, Epoch, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import AppendEntry, LogEntry, RecoveredReplica, SnipEntry, StateEntry
from keystead_core.log.record import Kind, make_record
from keystead_core.prng import Prng
from keystead_core.replication import (
    catch_up,
    election,
    eligibility,
    follower,
    handover,
    master,
    read_index,
    reconfiguration,
    repair,
    support,
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
from keystead_core.replication.lease import GrantsFrom, GrantsTo
from keystead_core.replication.membership import encode_membership
from keystead_core.replication.replica import CANDIDATE, FOLLOWER, MASTER, NEVER, Replica, blank, restore
from keystead_core.replication.settings import Settings

EARLY_LOCK_HEARTBEATS = 3
RANK_DELAY: Micros = 30 * MILLISECOND
RANK_DELAY_PER_GROUP: Micros = 200
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
        self.boots: dict[NodeId, Boot] = {}
        self.down_peers: dict[NodeId, None] = {}
        self.maintaining = False
        self.grants_from: dict[NodeId, GrantsFrom] = {}
        self.grants_to: dict[NodeId, GrantsTo] = {}
        self.grants_generation = 0
        self.sender: NodeId = NodeId("")
        self.reading: dict[PartitionId, None] = {}
        self.heartbeat_at: Micros = NEVER
        self.lapse_at: dict[NodeId, Micros] = {}
        self.quiet_at: dict[NodeId, Micros] = {}
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
        for r in self.replicas.values():
            r.apply_committed()
            repair.ask(r)
            self.suspect(r, max(0, self.silent_until - now))
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
        at = min(at, self.heartbeat_at)
        for times in (self.lapse_at, self.quiet_at):
            for due in times.values():
                at = min(at, due)
        return at if at < NEVER else None

    def read_refusal(self, partition: PartitionId, now: Micros) -> str:
        """Why a strongly consistent read of the partition may not be served here at `now`; '' where it may."""
        r = self.replicas.get(partition)
        return master.read_refusal(r, now) if r else "no replica here"

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
            case ev.Rebalance():
                self._rebalance()
            case _:
                r = self.replicas.get(event.partition)
                if r is not None:
                    self._dispatch_to(r, event)
                elif isinstance(event, ev.Propose | ev.ReadWanted):
                    self._refuse_unknown(event)

    def _dispatch_to(self, r: Replica, event: ev.Event) -> None:
        match event:
            case ev.Propose():
                master.propose(r, event)
            case ev.ReadWanted():
                read_index.want(r, event.token)
            case ev.Applied():
                r.applied_lsn = max(r.applied_lsn, event.lsn)
                if r.role == MASTER:
                    master.on_applied(r)
            case ev.LockTaken():
                election.on_lock_taken(r, event.counter)
            case ev.DropReplica():
                self._drop(r, event.replica)
            case ev.SetTarget():
                reconfiguration.set_target(r, event.target, (event.write_quorum_min, event.durable_zones))
            case ev.HandOver():
                handover.begin(r, event.successor)
            case ev.Sealed():
                catch_up.on_sealed(r, event)
            case ev.SealWanted():
                catch_up.seal_if_due(r, wanted=True)
            case ev.ColdRead():
                catch_up.on_cold_read(r, event)
            case ev.CopyFinished():
                catch_up.on_copy_finished(r, event)
            case ev.CopyArrived():
                catch_up.on_copy_arrived(r, event)
            case ev.RowsLost():
                catch_up.on_rows_lost(r)
            case ev.CopyInstalled():
                catch_up.on_copy_installed(r, event)
            case ev.Received() | ev.Synced() | ev.Tick() | ev.PeerLost() | ev.HostReplica():
                raise AssertionError(event)
            case ev.Maintain() | ev.Resume() | ev.Rebalance():
                raise AssertionError(event)
            case _:
                assert_never(event)

    def _refuse_unknown(self, event: ev.Propose | ev.ReadWanted) -> None:
        if isinstance(event, ev.ReadWanted):
            self.emit(ReadRefused(event.partition, [event.token], "no replica here", NodeId("")))
            return
        tokens = [token for token, _, _ in event.proposals]
        self.emit(ProposalRefused(event.partition, tokens, "no replica here", NodeId("")))

    # -- messages -------------------------------------------------------------------------------------------------

    def _on_received(self, event: ev.Received) -> None:
        if isinstance(event.message, msg.BootRefused):
            if event.message.boot == self.boot:
                self.emit(RenounceIdentity(f"node {event.sender} has seen boot {event.message.seen} of this volume"))
            return
        if not self._boot_is_current(event.sender, event.boot):
            return
        if event.sender in self.down_peers:
            del self.down_peers[event.sender]
            self._on_peer_back(event.sender)
        self.sender = event.sender
        match event.message:
            case msg.Heartbeat():
                self._on_heartbeat(event.sender, event.message)
            case msg.HeartbeatReply():
                self._on_heartbeat_reply(event.sender, event.message)
            case message:
                r = self.replicas.get(message.partition)
                if r is not None:
                    self._on_group_message(r, message)

    def _boot_is_current(self, sender: NodeId, boot: Boot) -> bool:
        """A peer whose later start was seen before speaks from an old copy of its volume: it is refused."""
        seen = self.boots.get(sender, 0)
        if boot == seen:
            return True
        if boot >> 16 <= seen >> 16:
            self.send(sender, msg.BootRefused(boot, seen))
            return False
        self.boots[sender] = boot
        if sender in self.grants_from:
            self.grants_from[sender].forget_peer(boot)
        self.grants_generation += 1
        granted = self.grants_to.pop(sender, None)
        if granted is not None:
            self._keep_word(sender, granted)
        self.lapse_at.pop(sender, None)
        self.quiet_at.pop(sender, None)
        return True

    def _keep_word(self, sender: NodeId, granted: GrantsTo) -> None:
        """The holder restarted; its earlier process is bound to be gone, but our word is kept all the same."""
        for partition in granted.groups:
            r = self.replicas.get(partition)
            if r is not None:
                r.grant_floor = max(r.grant_floor, granted.bound_until(partition, self.settings.granted))
                self.suspect(r, max(0, r.grant_floor - self.now))

    def _on_group_message(self, r: Replica, message: msg.GroupMessage) -> None:
        match message:
            case msg.Append():
                follower.on_append(r, message)
            case msg.Appended():
                master.on_appended(r, message)
            case msg.AppendRefused():
                master.on_append_refused(r, message)
            case msg.AppendMismatch():
                master.on_mismatch(r, message)
            case msg.Probe():
                support.on_probe(r, message)
            case msg.ProbeReply():
                election.on_probe_reply(r, message)
            case msg.Release():
                handover.on_release(r, message)
            case msg.SupportRequest():
                support.on_support_request(r, message)
            case msg.Support():
                election.on_support(r, message)
            case msg.SupportRefused():
                election.on_support_refused(r, message)
            case msg.FetchLog():
                support.on_fetch_log(r, message)
            case msg.LogFetched():
                election.on_log_fetched(r, message)
            case msg.EligibilityRequest():
                eligibility.on_request(r, message)
            case msg.EligibilityReply():
                eligibility.on_reply(r, message)
            case msg.RepairRequest():
                repair.on_request(r, message)
            case msg.RepairReply():
                repair.on_reply(r, message)
            case msg.StartLog():
                follower.on_start_log(r, message)
            case _:
                assert_never(message)

    # -- leases ---------------------------------------------------------------------------------------------------

    def _on_heartbeat(self, sender: NodeId, beat: msg.Heartbeat) -> None:
        granted = self.grants_to.get(sender)
        if granted is None or granted.boot != beat.boot:
            granted = self.grants_to[sender] = GrantsTo()
            granted.boot = beat.boot
        if beat.sequence <= granted.sequence:
            return
        fresh = beat.receiver_boot == self.boot or beat.base_version == 0
        result = granted.on_heartbeat(beat, self.now) if fresh else None
        if result is None:
            self.send(sender, msg.HeartbeatReply(self.boot, beat.boot, beat.sequence, 0, 0, []))
            return
        added, removed = result
        for partition in added:
            self._judge(sender, granted, partition)
        for partition in removed:
            r = self.replicas.get(partition)
            if r is not None and r.role == FOLLOWER and r.election_at == NEVER:
                self.suspect(r, self.settings.lease // 4)
        self.lapse_at[sender] = self.now + self.settings.granted if granted.groups else NEVER
        self.quiet_at[sender] = self.now + EARLY_LOCK_HEARTBEATS * self.settings.heartbeat if granted.groups else NEVER
        self.send(sender, granted.reply(beat, self.boot))

    def _judge(self, sender: NodeId, granted: GrantsTo, partition: PartitionId) -> None:
        """Is this group's lease ours to grant to the sender? If not, the group is taken out of every reply."""
        epoch = granted.groups[partition]
        r = self.replicas.get(partition)
        if r is not None and may_grant(r, sender, epoch):
            granted.excluded.pop(partition, None)
            r.election_at = NEVER
            return
        if r is not None and partition not in granted.excluded and r.promised == epoch:
            # We may grant no more, but what we granted binds us to its end.
            r.grant_floor = max(r.grant_floor, granted.bound_until(partition, self.settings.granted))
        granted.excluded[partition] = r.promised if r else 0

    def recheck_grants(self, r: Replica) -> None:
        for sender, granted in self.grants_to.items():
            if r.partition in granted.groups:
                self._judge(sender, granted, r.partition)
        self.grants_generation += 1

    def _on_heartbeat_reply(self, sender: NodeId, reply: msg.HeartbeatReply) -> None:
        holder = self.grants_from.get(sender)
        if holder is None or reply.sender_boot != self.boot:
            return
        if holder.peer_boot != reply.boot:
            holder.forget_peer(reply.boot)
            return
        renewed = holder.on_reply(reply)
        self.grants_generation += 1
        if not renewed:
            return
        for partition in list(self.reading):
            read_index.proceed(self.replicas[partition])
        for partition, promised in reply.excluded:
            r = self.replicas.get(partition)
            if r is not None and r.role == MASTER and promised > r.epoch:
                self.meet_higher_promise(r, NO_REPLICA, promised)

    def granted_since(self, node: NodeId, partition: PartitionId) -> Micros:
        holder = self.grants_from.get(node)
        return holder.granted_since(partition) if holder else -1

    def bound_until(self, r: Replica, exempt: NodeId | None) -> Micros:
        """Until when our grants of this group to others than `exempt` bind us; -1: they do not."""
        until = -1
        for sender, granted in self.grants_to.items():
            if sender != exempt:
                until = max(until, granted.bound_until(r.partition, self.settings.granted))
        return until

    def is_granting(self, r: Replica) -> bool:
        member = r.membership.member(r.master) if r.membership and r.master else None
        granted = self.grants_to.get(member.node) if member else None
        return granted is not None and granted.bound_until(r.partition, self.settings.granted) > self.now

    def meet_higher_promise(self, r: Replica, replica: ReplicaId, promised: Epoch) -> None:
        r.epoch_seen = max(r.epoch_seen, promised)
        handover.stand_again(r)

    def enter_mastership(self, r: Replica, peer: NodeId) -> None:
        holder = self.grants_from.get(peer)
        if holder is None:
            holder = self.grants_from[peer] = GrantsFrom()
            holder.peer_boot = self.boots.get(peer, 0)
        if holder.groups.get(r.partition) != r.epoch:
            holder.add(r.partition, r.epoch)

    def leave_mastership(self, r: Replica) -> None:
        read_index.refuse_all(r)
        for holder in self.grants_from.values():
            holder.remove(r.partition)
        self.grants_generation += 1

    def leave_peers(self, r: Replica) -> None:
        """Members that left the group grant nothing any more."""
        nodes = [m.node for m in r.peers()]
        for node, holder in self.grants_from.items():
            if node not in nodes:
                holder.remove(r.partition)

    def nudge(self, r: Replica, replica: ReplicaId) -> None:
        """The member's grant counts from now on: do not wait for the next beat to get it."""
        member = r.membership.member(replica) if r.membership else None
        holder = self.grants_from.get(member.node) if member else None
        if holder is not None and holder.granted_since(r.partition) < 0:
            holder.dirty = True

    def _beat(self, due: bool) -> None:
        """Heartbeats: to every pair with groups when due, and at once where the set has changed."""
        busy = False
        for node, holder in self.grants_from.items():
            wanted = holder.dirty or (due and (holder.groups or holder.peer_version not in (0, holder.version)))
            busy = busy or bool(holder.groups)
            if wanted:
                self.send(node, holder.heartbeat(self.boot, self.now))
        if due or (busy and self.heartbeat_at == NEVER):
            self.heartbeat_at = self.now + self.settings.heartbeat if busy else NEVER

    # -- peers come and go ----------------------------------------------------------------------------------------

    def _on_peer_lost(self, node: NodeId) -> None:
        self.down_peers[node] = None
        self._lock_early(node)

    def _lock_early(self, node: NodeId) -> None:
        """A master may be gone: its first successor takes the locks while the grants still run."""
        self.quiet_at[node] = NEVER
        granted = self.grants_to.get(node)
        for partition in list(granted.groups) if granted else []:
            r = self.replicas.get(partition)
            if r is None or r.role != FOLLOWER or partition in granted.excluded or not election.can_stand(r):  # type: ignore[union-attr]
                continue
            if self._rank(r) == 0 and r.lock_counter <= r.epoch_seen:
                election.ask_lock(r)

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

    def _on_lapse(self, node: NodeId) -> None:
        self.lapse_at[node] = NEVER
        granted = self.grants_to[node]
        for partition in granted.groups:
            r = self.replicas.get(partition)
            if r is not None and partition not in granted.excluded and r.role == FOLLOWER:
                self.suspect(r, 0)

    def suspect(self, r: Replica, delay: Micros) -> None:
        """Stand for election after `delay`, the first in rank soonest."""
        rank_delay = RANK_DELAY + len(self.replicas) * RANK_DELAY_PER_GROUP
        r.election_at = self.now + delay + self._rank(r) * rank_delay + self.jitter(20 * MILLISECOND)
        r.wake(r.election_at)

    def _rank(self, r: Replica) -> int:
        membership = r.membership
        if membership is None:
            return 0
        able = [m.replica for m in membership.voters if not m.log_only and m.replica != r.promised_to]
        return able.index(r.id) if r.id in able else 0

    def jitter(self, bound: Micros) -> Micros:
        return self._prng.below(bound)

    # -- hosting --------------------------------------------------------------------------------------------------

    def _host(self, event: ev.HostReplica) -> None:
        if event.partition in self.replicas or self.tombstones.get(event.partition, NO_REPLICA) >= event.replica:
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
        self.suspect(r, max(0, self.silent_until - self.now) + self._rank(r) * self.settings.lease // 2)

    def _drop(self, r: Replica, replica: ReplicaId) -> None:
        if r.id != replica:
            return
        r.step_down("dropped: the group goes on without this replica")
        self.persist(StateEntry(r.partition, r.state(dropped=True)))
        self.tombstones[r.partition] = r.id
        del self.replicas[r.partition]
        for sender, granted in self.grants_to.items():
            if r.partition in granted.groups:
                self._judge(sender, granted, r.partition)
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

    def consider_sealing(self, r: Replica) -> None:
        catch_up.seal_if_due(r)

    # -- timers ---------------------------------------------------------------------------------------------------

    def wake(self, at: Micros, partition: PartitionId) -> None:
        heapq.heappush(self._wakes, (at, partition))

    def _on_tick(self) -> None:
        now = self.now
        if self.heartbeat_at <= now:
            self._beat(due=True)
        for node, at in list(self.quiet_at.items()):
            if at <= now:
                self._lock_early(node)
        for node, at in list(self.lapse_at.items()):
            if at <= now:
                self._on_lapse(node)
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
                    if not self.is_granting(r):
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
        member = r.membership.member(r.master) if r.membership and r.master and r.role != CANDIDATE else None
        return member.node if member else NodeId("")

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

    def send_after_sync(self, to: NodeId, message: msg.Message) -> None:
        self._waiting.append(Send(to, message))

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
            self._effects.extend(waiting)

    def _replica_synced(self, partition: PartitionId) -> None:
        r = self.replicas.get(partition)
        if r is None:
            return
        r.log.on_synced(self.synced)
        if 0 < r.counts_from <= self.synced:
            r.counts_from = 0
            self.recheck_grants(r)
        match r.role:
            case "master":
                master.advance(r)
            case "candidate":
                election.on_log_synced(r)
            case _:
                follower.on_log_synced(r)

    def _finish(self) -> list[Effect]:
        for holder in self.grants_from.values():
            if holder.dirty:
                self._beat(due=False)
                break
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


def may_grant(r: Replica, sender: NodeId, epoch: Epoch) -> bool:
    """A grant goes to the master of the promised epoch, by an eligible member that holds its log."""
    member = r.membership.member(r.promised_to) if r.membership else None
    return r.promised == epoch and member is not None and member.node == sender and not r.unfit and not r.staged
