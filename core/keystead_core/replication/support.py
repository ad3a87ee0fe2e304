"""Supporting another's candidacy: the granter's word, the promise, and only then the report of one's log."""

from __future__ import annotations

from keystead_core.ids import Micros, ReplicaId
from keystead_core.replication import election, handover, read_lease, suspicion
from keystead_core.replication.effects import ReadCold
from keystead_core.replication.messages import (
    FetchLog,
    LogFetched,
    Probe,
    ProbeReply,
    Support,
    SupportRefused,
    SupportRequest,
)
from keystead_core.replication.replica import MASTER, Replica


def remaining_grant(r: Replica, candidate: ReplicaId) -> Micros:
    """For how long this replica may not support `candidate`; 0 where it may now.

    It supports nobody for the longest lease after its start, since it has forgotten its grants; nobody but the holder
    while a grant runs; and a serving master counts as granting to itself.
    """
    now = r.node.now
    until = max(r.node.silent_until, r.grant_floor)
    if r.role == MASTER and r.id != candidate:
        until = max(until, read_lease.lease_until(r))
    member = r.membership.member(candidate) if r.membership else None
    until = max(until, r.node.leases.bound_until(r, member.node if member else None))
    return max(0, until - now)


def on_probe(r: Replica, m: Probe) -> None:
    reply = ProbeReply(
        r.partition,
        r.id,
        r.node.boot,
        remaining_grant(r, m.replica),
        r.promised,
        r.log.last_epoch,
        r.log.last_lsn,
        election.can_stand(r),
        r.unfit,
    )
    r.node.send(r.node.sender, reply)


def on_support_request(r: Replica, m: SupportRequest) -> None:
    refusal = _refusal(r, m)
    if refusal is not None:
        r.node.send(r.node.sender, refusal)
        if r.damage is not None:
            r.damage.candidates[r.node.sender] = None
        return
    # Everything that was appended before is durable when the promise is, so the report may include it.
    report = Support(
        r.partition,
        r.id,
        r.node.boot,
        m.epoch,
        m.replica,
        m.boot,
        r.log.last_epoch,
        r.log.last_lsn,
        r.membership.version if r.membership else 0,
    )
    if (m.epoch, m.replica, m.boot) == (r.promised, r.promised_to, r.promised_boot):
        r.node.support_after_sync(r.node.sender, report)
        return
    r.promise(m.epoch, m.replica, m.boot)
    r.node.support_after_sync(r.node.sender, report)
    # If the candidate fails, somebody must stand again.
    suspicion.suspect(r, suspicion.patience(r, r.promised))


def still_stands(r: Replica | None, m: Support) -> bool:
    """May the report leave, its promise being durable now? Not if the replica left, went unfit, or promised on."""
    if r is None or r.id != m.replica or r.unfit:
        return False
    return (m.epoch, m.candidate, m.candidate_boot) == (r.promised, r.promised_to, r.promised_boot)


def _refusal(r: Replica, m: SupportRequest) -> SupportRefused | None:
    unfit = r.unfit or ("no log yet" if r.membership is None else "") or ("copying" if r.staged else "")
    again = (m.epoch, m.replica, m.boot) == (r.promised, r.promised_to, r.promised_boot)
    free = again or handover.voids_grant(r, m.release, m.replica)
    wait = 0 if free else remaining_grant(r, m.replica)
    if not unfit and wait == 0 and (m.epoch > r.promised or again):
        return None
    return SupportRefused(r.partition, r.id, r.node.boot, m.epoch, r.promised, wait, unfit)


def on_fetch_log(r: Replica, m: FetchLog) -> None:
    """Hands the log behind a committed point to the candidate that holds our promise."""
    if (m.epoch, m.replica, m.boot) != (r.promised, r.promised_to, r.promised_boot):
        return
    if m.after.lsn < r.log.base.lsn:
        r.node.emit(ReadCold(r.partition, m.replica, m.after.lsn, r.node.settings.append_bytes_max))
        return
    point = r.log.point_at(m.after.lsn)
    records = r.log.chunk(m.after.lsn + 1, r.node.settings.append_bytes_max) if point else []
    blob = b"".join([record.raw for record in records])
    reply = LogFetched(r.partition, r.id, r.node.boot, m.epoch, point or m.after, blob, r.log.last_lsn)
    r.node.send(r.node.sender, reply)
