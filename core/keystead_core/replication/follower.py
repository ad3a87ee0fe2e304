"""What a follower does with its master's Appends: check, store, snip, ack after Synced (docs/protocol.md, Write)."""

from __future__ import annotations

from keystead_core.ids import Epoch, Lsn
from keystead_core.log.entries import AppendEntry
from keystead_core.log.record import Record, RecordError, decode_records
from keystead_core.replication.membership import decode_membership
from keystead_core.replication.messages import Append, Appended, AppendMismatch, AppendRefused, StartLog
from keystead_core.replication.replica import COPIED, DAMAGED, FOLLOWER, NEVER, Replica


def on_append(r: Replica, m: Append) -> None:
    if r.staged:
        return  # A copy is being put in place: the master sends again.
    if m.epoch < r.promised:
        _answer(r, m, AppendRefused(r.partition, r.id, r.node.boot, m.epoch, r.promised))
        return
    if m.epoch == r.promised and (r.promised_to, r.promised_boot) != (m.replica, m.boot):
        # Promised to another of this epoch, or to another start of it: the master has to stand above that promise.
        _answer(r, m, AppendRefused(r.partition, r.id, r.node.boot, m.epoch, r.promised))
        return
    try:
        records = decode_records(m.records)
    except RecordError:
        return  # Bytes damaged on the way: the master sends again.
    if m.epoch > r.promised:
        r.promise(m.epoch, m.replica, m.boot)
    follow(r, m)
    if m.prev.lsn > r.log.last_lsn:
        _store_above_gap(r, records, m)
    elif not _matches(r, m):
        # What is committed here is in every later master's log: from there on the logs are sure to match.
        _answer(r, m, AppendMismatch(r.partition, r.id, r.node.boot, m.epoch, r.commit_lsn, r.log.base.lsn))
    else:
        _store(r, records, m)


def follow(r: Replica, m: Append) -> None:
    """From now on this replica follows the master of `m.epoch`."""
    if r.role != FOLLOWER:
        r.step_down(f"replica {m.replica} leads epoch {m.epoch}")
    if r.master != m.replica or r.master_boot != m.boot:
        r.master, r.master_boot, r.master_node = m.replica, m.boot, r.node.sender
        r.matched_lsn = 0
        r.why = ""
        r.node.leases.recheck(r)
    if not r.node.leases.is_granting(r):
        # No grant yet covers this group: should none come, stand for election in time.
        r.election_at = r.node.now + r.node.settings.granted + r.node.jitter(100_000)
        r.wake(r.election_at)
    else:
        r.election_at = NEVER


def _answer(r: Replica, m: Append | StartLog, reply: AppendRefused | AppendMismatch | Appended) -> None:
    """To the node that asked: the replica that speaks may not be in our membership yet."""
    r.node.send(r.node.sender, reply)


def _matches(r: Replica, m: Append) -> bool:
    if m.prev.lsn < r.log.base.lsn:
        return True  # Both are committed there.
    point = r.log.point_at(m.prev.lsn)
    return point is not None and point.hash == m.prev.hash


def _store_above_gap(r: Replica, records: list[Record], m: Append) -> None:
    new = r.log.keep_ahead(records, r.node.next_sequence, m.epoch)
    if new:
        r.node.persist(AppendEntry(r.partition, r.commit_lsn, new))
    _answer(r, m, AppendMismatch(r.partition, r.id, r.node.boot, m.epoch, r.log.last_lsn, r.log.base.lsn))


def _store(r: Replica, records: list[Record], m: Append) -> None:
    membership = r.membership
    new = integrate(r, records)
    if new:
        r.log.append(new, r.node.persist(AppendEntry(r.partition, r.commit_lsn, new)))
        r.matched_lsn = max(r.matched_lsn, r.log.absorb_ahead(m.epoch))
    if r.membership is not membership:
        r.node.leases.recheck(r)  # Who the master is may be known only now.
    if records and not _holds(r, records[-1]):
        _answer(r, m, AppendMismatch(r.partition, r.id, r.node.boot, m.epoch, r.commit_lsn, r.log.base.lsn))
        return
    r.matched_lsn = max(r.matched_lsn, records[-1].lsn if records else m.prev.lsn)
    r.advance_commit(min(m.commit_lsn, r.matched_lsn))
    heal(r, m.epoch)
    if r.log.durable_lsn >= r.matched_lsn:
        send_appended(r)  # Nothing to wait for: all of it is durable already.
    else:
        r.node.after_sync(r)


def _holds(r: Replica, record: Record) -> bool:
    point = r.log.point_at(record.lsn)
    return record.lsn < r.log.base.lsn or (point is not None and point.hash == record.hash)


def integrate(r: Replica, records: list[Record]) -> list[Record]:
    """The records that are new here; a conflicting tail is snipped first."""
    for index, record in enumerate(records):
        if record.lsn <= r.log.base.lsn:
            continue
        held = r.log.record_at(record.lsn)
        if held is None:
            if record.lsn != r.log.last_lsn + 1 or record.prev_hash != r.log.last_hash:
                return []  # Inside one message that is impossible, unless its bytes lie.
            return records[index:]
        if held.hash != record.hash:
            r.snip(record.lsn)
            return records[index:]
    return []


def ackable_lsn(r: Replica) -> Lsn:
    """An ack names only what equals the master's log, without a gap, and is durable."""
    return min(r.log.durable_lsn, r.matched_lsn) if r.base_is_durable else 0


def send_appended(r: Replica) -> None:
    epoch = followed_epoch(r)
    if epoch == 0 or r.matched_lsn == 0:
        return  # Nothing is known to equal this master's log yet.
    if not promise_allows_ack(r):
        return
    lsn = ackable_lsn(r)
    counts = may_ack(r)
    standing = r.say_counts(counts)
    start, known = r.log.base.lsn, r.commit_lsn
    r.node.send(r.master_node, Appended(r.partition, r.id, r.node.boot, epoch, lsn, counts, start, known, standing))


def promise_allows_ack(r: Replica) -> bool:
    """Nobody acks in an epoch that a crash could make it forget; once the promise is durable, the ack follows."""
    return r.state_is_durable


def may_ack(r: Replica) -> bool:
    return not r.unfit


def followed_epoch(r: Replica) -> Epoch:
    """The epoch of the master that this replica follows; 0 where it has promised past it or follows none."""
    return r.promised if r.role == FOLLOWER and r.master and r.promised_to == r.master else 0


def on_log_synced(r: Replica) -> None:
    """Some of the log became durable while following."""
    heal(r, r.promised)
    send_appended(r)


def heal(r: Replica, epoch: Epoch) -> None:
    """A damaged or replaced log counts again once it holds all up to a commit LSN that a later epoch's master tells.

    Damage is over earlier where every lost record came back, which the hash chain proves.
    """
    if r.damage and not r.damage.unknown:
        r.damage.missing = {lsn: h for lsn, h in r.damage.missing.items() if lsn > r.log.last_lsn}
        if not r.damage.missing and r.log.durable_lsn >= r.log.last_lsn:
            r.damage = None
            r.node.leases.recheck(r)
    replaced = r.damage is not None or r.ineligible in (COPIED, DAMAGED)
    if not replaced or not holds_commit_of(r, epoch):
        return
    since = r.damage.since_epoch if r.damage else 0
    if r.damage and (epoch <= since or r.damage.unknown):
        return
    if r.ineligible == DAMAGED:
        return  # Its promises are in doubt: only a new replica id helps.
    r.damage = None
    if r.ineligible == COPIED:
        r.count_again()
    r.node.leases.recheck(r)


def holds_commit_of(r: Replica, epoch: Epoch) -> bool:
    """Is everything up to a record of `epoch` that is known committed durable here, and the same as the master's?"""
    return r.commit_lsn <= ackable_lsn(r) and r.commit_lsn > 0 and (r.log.epoch_at(r.commit_lsn) == epoch)


def on_start_log(r: Replica, m: StartLog) -> None:
    """An empty log-only learner takes the point behind which its log starts."""
    if m.epoch < r.promised or r.log.last_lsn > 0:
        return
    if m.epoch > r.promised:
        r.promise(m.epoch, m.replica, m.boot)
    r.log.restart_at(m.base, decode_membership(m.membership))
    r.commit_lsn = r.applied_lsn = r.apply_sent_lsn = m.base.lsn
    r.sealed, r.sealed_membership = m.base, r.log.membership
    r.started_log_only = True
    r.node.leases.recheck(r)
    r.persist_state()
    _answer(r, m, AppendMismatch(r.partition, r.id, r.node.boot, m.epoch, m.base.lsn, m.base.lsn))
