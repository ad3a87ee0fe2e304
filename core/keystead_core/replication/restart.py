"""Replicas as their volumes hold them at a start of the node, and replicas that have nothing yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from keystead_core.ids import Lsn, PartitionId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, LogPoint, RecoveredReplica
from keystead_core.log.record import Kind, Record
from keystead_core.replication.effects import RowsDue
from keystead_core.replication.membership import Membership, decode_membership
from keystead_core.replication.replica import COPIED, DAMAGED, RETIRED, Damage, Replica
from keystead_core.replication.replica_log import ReplicaLog

if TYPE_CHECKING:
    from keystead_core.replication.node import Node


def restore(node: Node, found: RecoveredReplica) -> Replica:
    """A replica as its volume holds it. It is a follower, whatever it was."""
    assert found.state is not None and not found.state.dropped
    state = found.state
    base = max(state.base, found.cold_end, key=lambda p: p.lsn)
    membership = _membership_as_of(base, found)
    ineligible = state.ineligible
    if _rows_are_missing(found, base, membership):
        base, membership = EMPTY_LOG, None  # A copy was cut short: nothing here but promises, until the next copy.
        ineligible = ineligible if ineligible in (DAMAGED, RETIRED) else COPIED
    log = ReplicaLog(base, membership)
    replica = Replica(node, found.partition, state.replica, log)
    contiguous, ahead = _split_at_gap((r for r in found.records if r.lsn > base.lsn), base.lsn, base.hash)
    if contiguous:
        log.append(contiguous, 0)
        log.on_synced(0)
    replica.promised, replica.promised_to, replica.promised_boot = (
        state.promised,
        state.promised_to,
        state.promised_boot,
    )
    replica.epoch_seen = max(state.promised, log.last_epoch)
    replica.ineligible = ineligible
    replica.started_log_only = state.log_only
    missing = {d.lsn: d.hash for d in found.damaged if d.lsn > log.last_lsn}
    if missing or found.damaged_unknown:
        doubtful = all(d.doubtful for d in found.damaged if d.lsn in missing)
        replica.damage = Damage(missing, found.damaged_unknown, max(state.promised, log.last_epoch), doubtful)
        log.keep_ahead(ahead, 0, 0)
    replica.applied_lsn = replica.apply_sent_lsn = found.applied_lsn
    replica.commit_lsn = max(base.lsn, min(log.last_lsn, max(found.commit_lsn, found.applied_lsn)))
    return replica


def replay(r: Replica) -> None:
    """The rows get what is committed, as far as they lack it.

    Where all of that is sealed there are no records to hand on. The rows may lack it all the same: nobody may read them
    as they are, and a master that has to copy them before it can commit would wait for ever.
    """
    r.apply_committed()
    has_rows = r.own_last_member is not None and not r.is_log_only
    if has_rows and r.log.base.lsn > 0 and r.apply_sent_lsn <= r.log.base.lsn:
        r.node.emit(RowsDue(r.partition, r.log.base.lsn))


def _membership_as_of(base: LogPoint, found: RecoveredReplica) -> Membership | None:
    """The state's, unless a newer one was sealed after the state was written."""
    assert found.state is not None
    body = found.state.base_membership
    if base.lsn > found.state.base.lsn:
        body = found.cold_membership or body
    return decode_membership(body) if body else None


def _rows_are_missing(found: RecoveredReplica, base: LogPoint, membership: Membership | None) -> bool:
    """Are the rows older than the log's base, with no cold log that leads from one to the other?"""
    if found.applied_lsn >= base.lsn or _is_log_only(found, membership):
        return False
    return not (0 < found.cold_start <= found.applied_lsn + 1 and found.cold_end.lsn >= base.lsn)


def _is_log_only(found: RecoveredReplica, base_membership: Membership | None) -> bool:
    """By the last membership that names this replica, or as it was told: it has no rows, and lacks none."""
    assert found.state is not None
    bodies = [record.body for record in found.records if record.kind == Kind.MEMBERSHIP]
    known = [base_membership, *map(decode_membership, bodies)]
    named = [m.member(found.state.replica) for m in known if m is not None]
    last = next((member for member in reversed(named) if member is not None), None)
    return found.state.log_only if last is None else last.log_only


def _split_at_gap(records: Iterable[Record], lsn: Lsn, hash_before: int) -> tuple[list[Record], list[Record]]:
    contiguous: list[Record] = []
    ahead: list[Record] = []
    for record in records:
        if not ahead and record.lsn == lsn + 1 and record.prev_hash == hash_before:
            contiguous.append(record)
            lsn, hash_before = record.lsn, record.hash
        else:
            ahead.append(record)
    return contiguous, ahead


def blank(node: Node, partition: PartitionId, replica: ReplicaId) -> Replica:
    """A replica that has nothing yet: no log, no membership."""
    return Replica(node, partition, replica, ReplicaLog(EMPTY_LOG, None))
