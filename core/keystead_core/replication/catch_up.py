"""Bringing a member level: from the hot log (what the core has in memory), the cold log, or by a physical copy.

Sealing to the cold log is decided here too: it is what lets the hot log forget.
"""

from __future__ import annotations

from keystead_core.ids import Lsn
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.replication import master, repair
from keystead_core.replication.effects import DiscardCopy, InstallCopy, ReadCold, ReleaseLog, Seal, SendCopy
from keystead_core.replication.events import ColdRead, CopyArrived, CopyFinished, CopyInstalled, Sealed
from keystead_core.replication.membership import Member, decode_membership
from keystead_core.replication.messages import Append, LogFetched
from keystead_core.replication.replica import (
    COPIED,
    COPYING,
    DAMAGED,
    FOLLOWER,
    NEVER,
    PLANNED,
    RETIRED,
    Progress,
    Replica,
)


def begin(r: Replica, member: Member, progress: Progress) -> None:
    """The member lacks records that are no longer in memory: try the cold log first."""
    ship = r.mastership
    assert ship is not None
    if member.replica in ship.cold_reads or progress.copying:
        return
    ship.cold_reads.add(member.replica)
    progress.resend_at = NEVER
    bytes_max = r.node.settings.append_bytes_max
    r.node.emit(ReadCold(r.partition, member.replica, max(progress.next_lsn - 1, 0), bytes_max))


def on_cold_read(r: Replica, event: ColdRead) -> None:
    ship = r.mastership
    if ship is None:
        if not repair.on_cold_read(r, event):
            _answer_candidate(r, event)
        return
    ship.cold_reads.discard(event.peer)
    progress = ship.progress.get(event.peer)
    member = next((m for m in r.peers() if m.replica == event.peer), None)
    if progress is None or member is None or progress.copying:
        return
    if not event.records:
        if not member.log_only:
            progress.copying = True
            progress.copy_lsn = max(r.applied_lsn, 1)
            progress.resend_at = NEVER
            r.node.emit(SendCopy(r.partition, event.peer, member.node, r.epoch))
        return
    message = Append(r.partition, r.id, r.node.boot, r.epoch, event.prev, master.told_commit_lsn(r), event.records)
    r.send(event.peer, message)
    progress.paused = True
    progress.resend_at = r.node.now + r.node.settings.resend
    r.wake(progress.resend_at)


def _answer_candidate(r: Replica, event: ColdRead) -> None:
    """The candidate that holds our promise asked for records that we have only in the cold log."""
    if event.peer != r.promised_to or r.role != FOLLOWER:
        return
    reply = LogFetched(r.partition, r.id, r.node.boot, r.promised, event.prev, event.records, r.log.last_lsn)
    r.send(event.peer, reply)


def on_copy_finished(r: Replica, event: CopyFinished) -> None:
    ship = r.mastership
    progress = ship.progress.get(event.peer) if ship else None
    if progress is None:
        return
    progress.copying = False
    progress.paused = True
    if event.ok:
        progress.match_lsn = 0  # Its log starts anew: ask where it stands, do not send from where it stood.
    progress.next_lsn = r.log.last_lsn + 1
    progress.resend_at = r.node.now + (0 if event.ok else r.node.settings.resend)
    r.wake(progress.resend_at)


def on_copy_arrived(r: Replica, event: CopyArrived) -> None:
    """Installs a verified copy if it is of the present epoch and ahead of what is here.

    First the new base is made durable, with the mark of a replaced log; a crash in between finds rows older than the
    base and asks for a copy again.
    """
    if not copy_is_wanted(r, event):
        r.node.emit(DiscardCopy(r.partition, event.token))
        return
    if r.role != FOLLOWER:
        r.step_down("a copy replaces the log")
    membership = decode_membership(event.membership)
    if r.own_member is not None and r.ineligible != DAMAGED:  # A learner too: it may be promoted for what it acked.
        r.ineligible = COPYING if covers_all_acked(r, event.base) else COPIED
    if r.log.last_lsn > r.log.base.lsn:
        r.node.snip_all(r, max(r.log.base.lsn, 0) + 1)
    r.log.restart_at(event.base, membership)
    r.sealed, r.sealed_membership = event.base, membership
    r.staged = event.token
    r.standing += 1
    r.matched_lsn = 0
    r.commit_lsn = r.apply_sent_lsn = event.base.lsn
    r.node.leases.recheck(r)
    r.base_sequence = r.persist_state()
    r.node.emit_after_sync(InstallCopy(r.partition, event.token, event.base))


def covers_all_acked(r: Replica, base: LogPoint) -> bool:
    """Does nothing get lost where a copy up to `base`, which is committed, takes the place of this log?

    No ack of ours names anything newer than our last record. What was committed of such records stands below `base`:
    where that reaches as far as our log does, and where it is of a later epoch, whose master began with all that
    earlier ones had committed (what we have above `base` then is a branch that nobody follows). So nobody is asked to
    wait for a later commit, which might never come: a group that has lost one member needs the one that was only slow,
    or that was master, cut off.
    """
    intact = r.damage is None and r.ineligible in ("", PLANNED, COPYING)
    last = r.log.last
    return intact and last.lsn > 0 and (last.lsn <= base.lsn or last.epoch < base.epoch)


def copy_is_wanted(r: Replica, event: CopyArrived) -> bool:
    if r.staged or r.ineligible == RETIRED:
        return False
    return event.epoch >= r.promised and event.base.lsn > max(r.commit_lsn, r.log.base.lsn)


def on_copy_installed(r: Replica, event: CopyInstalled) -> None:
    if event.token != r.staged:
        return
    r.staged = 0
    r.applied_lsn = r.log.base.lsn
    r.apply_committed()
    count_again_if_copied(r)


def count_again_if_copied(r: Replica) -> None:
    """Where a copy that covers all it had acked is installed, also by an earlier start, nothing is missing here."""
    if r.ineligible != COPYING or r.staged:
        return
    r.count_again()
    r.node.leases.recheck(r)
    r.node.after_sync(r)
    if r.node.maintaining:
        r.leaving_at = r.node.now  # It was on its way out before the copy came.
        r.wake(r.leaving_at)


def on_rows_lost(r: Replica) -> None:
    """Nothing is left here but promises: ineligible, and in want of a copy."""
    r.step_down("its rows are damaged")
    # A learner too: it may be promoted for what it acked. And who is out by its log: that change may not come to be.
    if r.ineligible not in (DAMAGED, RETIRED):
        r.ineligible = COPIED
    r.node.snip_all(r, r.log.base.lsn + 1)
    r.log.restart_at(EMPTY_LOG, None)
    r.sealed, r.sealed_membership = EMPTY_LOG, None
    r.commit_lsn = r.applied_lsn = r.apply_sent_lsn = r.matched_lsn = 0
    r.damage = None
    r.standing += 1
    r.why = "its rows are damaged: waiting for a copy"
    r.node.leases.recheck(r)
    r.persist_state()


# -- the cold log -----------------------------------------------------------------------------------------------------


def seal_if_due(r: Replica, wanted: bool = False) -> None:
    """Hands committed records to the cold log once there is a segment's worth, or the hot log wants its space."""
    if r.sealing or r.staged:
        return
    first = max(r.log.base.lsn, r.sealed.lsn) + 1
    last = sealable_lsn(r)
    if last < first or (not wanted and r.log.bytes < r.node.settings.seal_bytes):
        return
    r.sealing = True
    r.node.emit(Seal(r.partition, r.log.range(first, last), keep_lsn(r)))


def keep_lsn(r: Replica) -> Lsn:
    """From where on the cold log is still needed behind copies that are under way, or have just been installed.

    Else a copy that takes longer than the cold log's budget lasts would end behind it, and begin again for ever. A
    log-only member can be sent no copy at all: while there is one, which is until a full replica is ready, nobody lets
    go of what it may lack.
    """
    if r.membership is not None and any(m.log_only for m in r.membership.members):
        return 1
    ship = r.mastership
    if ship is None:
        return 0
    needed = []
    for member in r.peers():
        progress = ship.progress.get(member.replica)
        if progress is None or not progress.copy_lsn:
            continue
        in_step = not progress.copying and progress.match_lsn >= max(r.log.base.lsn, progress.copy_lsn)
        if in_step or r.node.peers.is_lost(member.node):
            progress.copy_lsn = 0
        else:
            needed.append(max(progress.copy_lsn, progress.match_lsn))
    return min(needed, default=0)


def sealable_lsn(r: Replica) -> int:
    """Never above the commit LSN one knows, and never above what is durable here."""
    return min(r.commit_lsn, r.log.durable_lsn)


def on_sealed(r: Replica, event: Sealed) -> None:
    """The hot log may forget the records once the new base, with the membership as of it, is durable."""
    r.sealing = False
    if event.end == EMPTY_LOG or event.end.lsn <= r.log.base.lsn:
        return
    point = r.log.point_at(event.end.lsn)
    if point is None or point.hash != event.end.hash:
        return
    r.note_sealed(event.end)
    r.log.trim(trimmable_lsn(r, event.end))
    r.persist_state()
    r.node.emit_after_sync(ReleaseLog(r.partition, event.end.lsn))
    seal_if_due(r)


def trimmable_lsn(r: Replica, end: LogPoint) -> int:
    """A master keeps in memory what a member in step still lacks, within bounds."""
    if r.mastership is None or r.log.bytes > 4 * r.node.settings.seal_bytes:
        return end.lsn
    behind = [p.match_lsn for p in r.mastership.progress.values() if not p.paused and not p.copying]
    return max(r.log.base.lsn, min([end.lsn, *behind]))
