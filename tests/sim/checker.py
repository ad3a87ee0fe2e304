"""The invariants of the protocol page, checked after every step of every node, at the cost of what the step touched.

Each check has a name, by which the table of planted bugs refers to it. It looks at the core's state, at the effects
before they are carried out, at the own account of every volume (durable.py) and of every group (ledger.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keystead_core.ids import Boot, Epoch, Lsn, PartitionId, ReplicaId
from keystead_core.log.entries import AppendEntry, LogEntry, RecoveredReplica, SnipEntry, StateEntry
from keystead_core.log.record import Kind, Record
from keystead_core.replication.effects import Apply, Effect, Persist, ReleaseLog, Seal, Send
from keystead_core.replication.membership import Membership, decode_membership
from keystead_core.replication.messages import Appended, Support, SupportRequest
from keystead_core.replication.replica import COPIED, MASTER, Replica
from tests.sim.durable import DurableLog, recovered_end, steps_of
from tests.sim.ledger import Ledger
from tests.sim.quorums import is_durable
from tests.sim.rows import Key, Value, digest_of, key_bytes
from tests.sim.violation import demand

if TYPE_CHECKING:
    from keystead_node.storage.row_store import RowStore
    from tests.sim.cluster import Cluster
    from tests.sim.machine import Process
    from tests.sim.volume import Volume


class Seen:
    """What the last look at a replica found."""

    __slots__ = ("commit_lsn", "epoch", "master", "promised", "replica", "version")

    def __init__(self, replica: ReplicaId) -> None:
        self.replica = replica
        self.commit_lsn: Lsn = 0
        self.promised: Epoch = 0
        self.version = 0
        self.epoch: Epoch = 0
        self.master = False


class Checker:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.ledgers: dict[PartitionId, Ledger] = {}
        self.names: dict[tuple[PartitionId, Epoch, Lsn], int] = {}
        self.masters: dict[tuple[PartitionId, Epoch], tuple[ReplicaId, Boot]] = {}
        self.promises: dict[tuple[PartitionId, Epoch, ReplicaId], tuple[ReplicaId, Boot]] = {}
        self.told: dict[tuple[PartitionId, Key], Lsn] = {}
        self.elections = 0
        self.acked: dict[tuple[PartitionId, ReplicaId, Epoch], Lsn] = {}

    def ledger(self, partition: PartitionId) -> Ledger:
        found = self.ledgers.get(partition)
        if found is None:
            found = self.ledgers[partition] = Ledger()
        return found

    # -- after each step ------------------------------------------------------------------------------------------

    def after_step(self, process: Process, effects: list[Effect]) -> None:
        first_new: dict[PartitionId, Lsn] = {}
        for effect in effects:
            kind = type(effect)
            if kind is Persist:
                self._on_persist(process, effect.entries)  # type: ignore[union-attr]
                for entry in reversed(effect.entries):  # type: ignore[union-attr]
                    if type(entry) is AppendEntry and entry.records:
                        first_new[entry.partition] = entry.records[0].lsn
        for replica in process.core.replicas.values():
            seen = process.seen.get(replica.partition)
            if seen is None or seen.replica != replica.id:
                seen = process.seen[replica.partition] = Seen(replica.id)
            if replica.role == MASTER and (not seen.master or seen.epoch != replica.epoch):
                self._on_master(process, replica)
            if replica.commit_lsn != seen.commit_lsn:
                if replica.commit_lsn == 0 and replica.ineligible == COPIED:
                    seen.commit_lsn = seen.version = 0  # Its rows could not be made again: it starts anew, from a copy.
                    continue
                demand(replica.commit_lsn > seen.commit_lsn, "commit falls", replica)
                self._on_commit(process, replica, first_new.get(replica.partition, replica.log.last_lsn + 1))
                seen.commit_lsn = replica.commit_lsn
            if replica.promised != seen.promised:
                demand(replica.promised > seen.promised, "promise falls", replica)
                seen.promised = replica.promised
            seen.master, seen.epoch = replica.role == MASTER, replica.epoch
            if seen.master and replica.applied_lsn < self.ledger(replica.partition).answered_lsn:
                self._demand_fresh(process, replica)
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                message = effect.message  # type: ignore[union-attr]
                if type(message) is Appended:
                    self._on_appended(process, message)
                elif type(message) is Support:
                    self._on_support(process, message)
                elif type(message) is SupportRequest:
                    self._on_support_request(process, message)
            elif kind is Apply:
                self._demand_committed(effect.records[-1], effect.partition, "apply above the commit")  # type: ignore[union-attr]
            elif kind is Seal:
                self._demand_committed(effect.records[-1], effect.partition, "seal above the commit")  # type: ignore[union-attr]
            elif kind is ReleaseLog:
                last_lsn = self.ledger(effect.partition).last_lsn  # type: ignore[union-attr]
                demand(effect.lsn <= last_lsn, "release above the commit", effect)  # type: ignore[union-attr]

    def _demand_committed(self, record: Record, partition: PartitionId, check: str) -> None:
        ledger = self.ledger(partition)
        demand(record.lsn <= ledger.last_lsn, check, record)
        demand(record.hash == ledger.hashes[record.lsn], check, record)

    def _on_persist(self, process: Process, entries: list[LogEntry]) -> None:
        """(partition, epoch, LSN) names one record for ever; a snip spares what is committed."""
        names = self.names
        for entry in entries:
            kind = type(entry)
            if kind is AppendEntry:
                partition = entry.partition
                for record in entry.records:  # type: ignore[union-attr]
                    first = names.setdefault((partition, record.epoch, record.lsn), record.hash)
                    demand(first == record.hash, "one name, two records", (partition, record))
            elif kind is SnipEntry:
                self._on_snip(process, entry)  # type: ignore[arg-type]

    def _on_snip(self, process: Process, snip: SnipEntry) -> None:
        ledger = self.ledger(snip.partition)
        volume_log = process.volume.durable.get(snip.partition)
        if snip.first_lsn > ledger.last_lsn or volume_log is None:
            return
        kills_committed = volume_log.hash_at(snip.first_lsn) == ledger.hashes[snip.first_lsn]
        replica = process.core.replicas.get(snip.partition)
        # A copy takes its place; or rows that cannot be made again, and then the log too has to come from others.
        replaced = replica is None or replica.log.base.lsn >= snip.first_lsn or replica.ineligible == COPIED
        demand(not kills_committed or replaced, "snip past the commit", (process.name, snip))

    def _on_master(self, process: Process, replica: Replica) -> None:
        """At most one master an epoch; all that earlier ones committed is in its log.

        Delayed messages may make a master of an epoch that is over: it can commit nothing, and need not have all.
        """
        self.elections += 1
        key = (replica.partition, replica.epoch)
        me = (replica.id, process.boot)
        demand(self.masters.setdefault(key, me) == me, "two masters in an epoch", (process.name, replica))
        ledger = self.ledger(replica.partition)
        lsn = ledger.last_before(replica.epoch)
        held = replica.log.point_at(lsn)
        complete = held is not None and held.hash == ledger.hashes[lsn]
        demand(complete, "a new master lacks a committed record", (process.name, replica, ledger.last_lsn))

    def _on_commit(self, process: Process, replica: Replica, first_new: Lsn) -> None:
        ledger = self.ledger(replica.partition)
        lsn = replica.commit_lsn
        if lsn > ledger.last_lsn:
            self._enter(process, replica, ledger, first_new)
        point = replica.log.point_at(lsn)
        demand(point is not None, "commit beyond the log", (process.name, replica))
        demand(point.hash == ledger.hashes[lsn], "committed logs differ", (process.name, replica))  # type: ignore[union-attr]
        membership = replica.log.membership_at(lsn)
        seen = process.seen[replica.partition]
        known = ledger.membership_at(lsn)
        # Where the segment that holds it rotted, the replica knows none until its log tells one.
        rotted = membership is None and process.volume.struck
        demand(
            rotted or membership == known,
            "not the membership as of the commit",
            (process.name, replica, membership, known),
        )
        if membership is not None:
            demand(membership.version >= seen.version, "committed membership falls", (process.name, replica))
            seen.version = membership.version

    def _enter(self, process: Process, replica: Replica, ledger: Ledger, first_new: Lsn) -> None:
        """A master commits: the records are durable where they must be, and the last is of its own epoch."""
        if replica.commit_lsn == 1 and replica.log.records:
            ledger.enter(replica.log.records[0], 1)  # The founding record: the same bytes at every founder.
            return
        # It may have stepped down in this very step: then it is known as the master of that epoch.
        epoch = replica.epoch if replica.role == MASTER else process.seen[replica.partition].epoch
        self._demand_no_other_server(replica.partition, epoch)
        committed_lsn = max(process.seen[replica.partition].commit_lsn, ledger.last_lsn)
        for record in replica.log.range(ledger.last_lsn + 1, replica.commit_lsn):
            demand(record.prev_hash == ledger.hashes[-1], "committed logs differ", (process.name, record))
            rows = ledger.rows
            ledger.enter(record, epoch)
            if record.kind == Kind.SPLIT:
                self._on_split(ledger, rows)
        led = self.masters.get((replica.partition, epoch)) == (replica.id, process.boot)
        demand(led, "committed without a master", (process.name, replica))
        demand(ledger.epochs[-1] == epoch, "earlier epoch committed by counting", (process.name, replica))
        for membership, lsn in self._rules_at_commit(replica, first_new, committed_lsn):
            holders = list(self.cluster.holders(replica.partition, membership, lsn, ledger.hashes[lsn]))
            # Who acked held it then; a volume may be lost between its ack and the commit: one loss of one copy.
            holders += [m.replica for m in membership.voters if self._acked(replica.partition, m.replica, epoch, lsn)]
            demand(
                is_durable(membership, holders),
                "commit without a durable quorum",
                (process.name, replica, membership, lsn, holders),
            )

    def _on_split(self, ledger: Ledger, rows: dict[bytes, bytes]) -> None:
        """A split is committed: from here on the right group has an account of its own."""
        _, split = ledger.splits[-1]
        self.cluster.coverage["split committed"] += 1
        demand(split.right not in self.ledgers, "a right group before its split", split)
        self.ledgers[split.right] = ledger.right_of(split, rows)

    def _demand_no_other_server(self, partition: PartitionId, epoch: Epoch) -> None:
        """When a master commits, none of an earlier epoch may serve a consistent read any more."""
        for process, replica in self._masters_of(partition):
            if replica.epoch < epoch:
                refusal = process.core.read_refusal(partition, process.now)
                demand(bool(refusal), "two serve at once", (process.name, replica, epoch))

    def _demand_no_stale_server(self, partition: PartitionId) -> None:
        """Whoever could serve a consistent read now has applied all that clients were told."""
        for process, replica in self._masters_of(partition):
            self._demand_fresh(process, replica)

    def _demand_fresh(self, process: Process, replica: Replica) -> None:
        if not process.core.read_refusal(replica.partition, process.now):
            applied = process.stores.rows_of(replica.partition).applied_lsn
            fresh = applied >= self.ledger(replica.partition).answered_lsn
            demand(fresh, "a stale read would be served", (process.name, replica, applied))

    def _masters_of(self, partition: PartitionId) -> Iterator[tuple[Process, Replica]]:
        """All that take themselves for the group's master."""
        for machine in self.cluster.machines:
            process = machine.process
            replica = process.core.replicas.get(partition) if process else None
            if process is not None and replica is not None and replica.mastership is not None:
                yield process, replica

    def _acked(self, partition: PartitionId, replica: ReplicaId, epoch: Epoch, lsn: Lsn) -> bool:
        """Has the replica acked, truly, up to this record in this epoch?"""
        return self.acked.get((partition, replica, epoch), 0) >= lsn

    @staticmethod
    def _rules_at_commit(replica: Replica, first_new: Lsn, commit_lsn: Lsn) -> list[tuple[Membership, Lsn]]:
        """The memberships that counted when the step began, and the LSN up to which each had to be met.

        The latest to the end; the one before, while it is uncommitted, to the record that ends it. `commit_lsn` is what
        anybody had committed: a master may learn of that in the very step in which it commits more.
        """
        known = [(at, membership) for at, membership in replica.log.memberships if at < first_new]
        rules = [(known[-1][1], replica.commit_lsn)]
        if len(known) > 1 and known[-1][0] > commit_lsn:
            rules.append((known[-2][1], min(replica.commit_lsn, known[-1][0])))
        return rules

    def _on_appended(self, process: Process, ack: Appended) -> None:
        """An ack names only what is durable without a gap, and the same as the core believes to hold."""
        log = process.volume.durable.get(ack.partition)
        if log is None:
            demand(ack.durable_lsn == 0, "ack before sync", (process.name, ack))
            return
        demand(ack.durable_lsn <= log.end, "ack before sync", (process.name, ack, log.end))
        demand(not ack.counts or not (log.state and log.state.ineligible), "ineligible acks", (process.name, ack))
        if process.is_clone:
            return  # It speaks of another volume than the one that counts.
        key = (ack.partition, ack.replica, ack.epoch)
        self.acked[key] = max(self.acked.get(key, 0), ack.durable_lsn if ack.counts else 0)

    def _on_support(self, process: Process, support: Support) -> None:
        log = process.volume.durable.get(support.partition)
        durable = log is not None and log.state is not None and log.state.promised >= support.epoch
        demand(durable, "support before the promise is durable", (process.name, support))
        assert log is not None and log.state is not None
        if (support.partition, support.epoch) not in self.masters:  # Else nobody waits for it any more.
            demand(support.last_lsn <= log.end, "support reports what is not durable", (process.name, support))
        demand(not log.state.ineligible, "ineligible supports", (process.name, support))
        key = (support.partition, support.epoch, support.replica)
        candidate = (support.candidate, support.candidate_boot)
        first = self.promises.setdefault(key, candidate)
        demand(first == candidate, "one epoch promised twice", (process.name, support))

    def _on_support_request(self, process: Process, request: SupportRequest) -> None:
        log = process.volume.durable.get(request.partition)
        durable = log is not None and log.state is not None and log.state.promised >= request.epoch
        demand(durable, "asked before the own promise is durable", (process.name, request))

    # -- rows and answers -----------------------------------------------------------------------------------------

    def on_applied(self, process: Process, partition: PartitionId, rows: RowStore) -> None:
        ledger = self.ledger(partition)
        lsn = rows.applied_lsn
        demand(lsn <= ledger.last_lsn, "rows above the commit", (process.name, partition, lsn))
        low, high = rows.row_range() or (b"", None)
        digest = digest_of({k: v for k, v in rows.scan_all() if low <= k and (high is None or k < high)})
        demand(digest == ledger.digests[lsn], "rows differ from the log", (process.name, partition, lsn))

    def on_put_answered(self, partition: PartitionId, key: Key, value: Value, lsn: Lsn, epoch: Epoch) -> None:
        ledger = self.ledger(partition)
        demand(lsn <= ledger.last_lsn, "answer before the commit", (partition, lsn))
        demand(ledger.epochs[lsn] == epoch, "answer for another's record", (partition, lsn, epoch))
        demand((lsn, value) in ledger.writes.get(key, []), "answer for another's record", (partition, lsn, value))
        ledger.served_epoch = max(ledger.served_epoch, epoch)
        ledger.answered_lsn = max(ledger.answered_lsn, lsn)
        self._demand_no_stale_server(partition)

    def on_read_confirmed(self, process: Process, partition: PartitionId, answered_lsn: Lsn) -> None:
        """The round of heartbeats that a read waited for began when clients had been told of `answered_lsn`."""
        applied = process.stores.rows_of(partition).applied_lsn
        demand(
            applied >= answered_lsn, "a stale read would be served", (process.name, partition, applied, answered_lsn)
        )

    def on_read_served(
        self, process: Process, partition: PartitionId, key: Key, value: Value | None, floor: Lsn
    ) -> Lsn:
        """A consistent read is served by the one master that answers: nobody later has told a client anything.

        Returns the LSN that wrote what was read.
        """
        ledger = self.ledger(partition)
        replica = process.core.replicas[partition]
        by_lease = process.core.settings.reads == "lease"  # A round that began before the next master may end after.
        demand(not by_lease or ledger.served_epoch <= replica.epoch, "read outside the lease", (process.name, replica))
        self._demand_still_its_own(process, ledger, key)
        at = 0 if value is None else ledger.written.get(value, -1)
        demand(at >= floor, "stale read", (process.name, replica, key, at, floor))
        return at

    def _demand_still_its_own(self, process: Process, ledger: Ledger, key: Key) -> None:
        """Nobody serves a consistent read of a range that another group has begun to serve."""
        for lsn, split in ledger.splits:
            if key_bytes(key) >= split.at:
                begun = self.ledger(split.right).answered_lsn > lsn
                demand(not begun, "read of a range that was given away", (process.name, key, split))

    def on_eventual_read(
        self, process: Process, partition: PartitionId, key: Key, value: Value | None, lsn: Lsn
    ) -> Lsn:
        """It shows the state at the LSN that it names, which is a committed one. Returns who wrote it."""
        expected, at = self.ledger(partition).value_at(key, lsn)
        demand(value == expected, "eventual read of no state", (process.name, partition, key, value, expected, lsn))
        return at

    # -- restarts -------------------------------------------------------------------------------------------------

    def on_recovered(self, volume: Volume, found: dict[PartitionId, RecoveredReplica]) -> None:
        """What was synced is there; what was killed is not; what is more was at least written."""
        pending = volume.pending
        for partition, log in volume.durable.items():
            replica = found.get(partition, RecoveredReplica(partition, None, [], 0, 0))
            demand(replica.commit_lsn <= self.ledger(partition).last_lsn, "recovered a commit that never was", replica)
            story = (volume.node_id, partition, replica)
            possible = _possible_ends(log, [e for e in pending if e.partition == partition])
            if volume.struck:
                _demand_nothing_vanished(replica, log, possible, story)
                continue
            # Of a torn batch the index copy may survive alone: it names records as damaged that never were synced.
            torn = volume.torn.setdefault(partition, set())
            for entry in pending:
                if isinstance(entry, AppendEntry) and entry.partition == partition:
                    torn.update((record.lsn, record.hash) for record in entry.records)
            excused = not replica.damaged_unknown and all((d.lsn, d.hash) in torn for d in replica.damaged)
            demand(excused, "damage where none was done", story)
            end = recovered_end(replica)
            demand((end, replica.state) in possible, "recovery differs from what was synced", (*story, end, possible))

    def on_restored(self, process: Process, found: dict[PartitionId, RecoveredReplica]) -> None:
        """The core takes up the whole log that recovery gave it; or it abstains, where a copy was cut short."""
        for partition, replica in process.core.replicas.items():
            state = found[partition].state
            named = decode_membership(state.base_membership) if state and state.base_membership else None
            member = replica.own_last_member or (named.member(replica.id) if named else None)
            abstains = replica.unfit or (member is not None and not member.voter) or found[partition].damaged
            whole = replica.log.last_lsn >= recovered_end(found[partition])[0]
            demand(whole or bool(abstains), "a log is forgotten at a restart", (process.name, replica))


def _demand_nothing_vanished(
    replica: RecoveredReplica, log: DurableLog, possible: list[tuple[tuple[Lsn, int], object]], story: object
) -> None:
    """Where bits were flipped, what was synced is there or is named as damaged; but for what a snip may have killed."""
    if replica.damaged_unknown:
        return
    demand(any(replica.state == state for _, state in possible), "a synced state vanished", story)
    known = {record.lsn: record.hash for record in replica.records}
    known.update((damaged.lsn, damaged.hash) for damaged in replica.damaged)
    begin = max(replica.cold_end.lsn, log.base.lsn, replica.state.base.lsn if replica.state else 0)
    end = min([log.end, *(end for (end, _), _ in possible)])
    for lsn in range(begin + 1, end + 1):
        demand(known.get(lsn) == log.hash_at(lsn), "a synced record vanished", (story, lsn))


def _possible_ends(log: DurableLog, pending: list[LogEntry]) -> list[tuple[tuple[Lsn, int], object]]:
    """(end, state) after each part of what was not synced."""
    log = log.copy()
    possible: list[tuple[tuple[Lsn, int], object]] = [((log.end, log.end_hash), log.state)]
    for entry in pending:
        for step in steps_of(entry):
            log.add(step)
            possible.append(((log.end, log.end_hash), log.state))
    if any(isinstance(entry, StateEntry) for entry in pending):
        ends = [end for end, _ in possible]
        states = [state for _, state in possible]
        possible = [(end, state) for end in ends for state in states]
    return possible
