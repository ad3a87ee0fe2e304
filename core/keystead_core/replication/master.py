"""What a master does: number and replicate records, count acks, commit, serve, and know when it has failed.

The commit rule, the lease rule and the serving rule each stand in one small function below.
"""

from __future__ import annotations

from keystead_core.ids import NO_REPLICA, Boot, Lsn, Micros, ReplicaId
from keystead_core.log.entries import AppendEntry
from keystead_core.log.record import Kind, Record, make_record
from keystead_core.replication import catch_up, failing, handover, reconfiguration, splitting, suspicion
from keystead_core.replication.effects import MastershipChanged, ProposalRefused, Proposed
from keystead_core.replication.events import Propose
from keystead_core.replication.membership import Membership, encode_membership
from keystead_core.replication.messages import Append, Appended, AppendMismatch, AppendRefused
from keystead_core.replication.replica import MASTER, NEVER, Mastership, Progress, Replica


def begin(r: Replica) -> None:
    """The candidate has won: append the epoch record; when it commits and all before it is applied, serve."""
    assert r.candidacy is not None
    epoch = r.candidacy.epoch
    supporters = sorted(r.candidacy.supporters)
    r.role, r.epoch, r.candidacy = MASTER, epoch, None
    r.master, r.master_boot, r.master_node = r.id, r.node.boot, r.node.id
    r.mastership = Mastership(r.log.last_lsn + 1)
    if r.log.memberships and r.log.memberships[-1][0] > r.commit_lsn:
        r.mastership.changing_lsn = r.log.memberships[-1][0]  # A change inherited: it commits with the epoch record.
    r.mastership.failing_at = r.node.now + suspicion.patience(r, epoch)
    r.wake(r.mastership.failing_at)
    r.why = ""
    append(r, Kind.EPOCH, [repr((r.id, supporters)).encode()], 0)
    for member in r.peers():
        r.mastership.progress[member.replica] = Progress(r.log.last_lsn + 1)
        r.node.leases.enter_mastership(r, member.node)
    replicate(r)


def append(r: Replica, kind: int, bodies: list[bytes], clock: int) -> Lsn:
    """Numbers, chains and persists records of one kind; returns the first LSN."""
    return append_mixed(r, [(0, kind, body) for body in bodies], clock)


def append_mixed(r: Replica, proposals: list[tuple[int, int, bytes]], clock: int) -> Lsn:
    log = r.log
    clock = max(clock, log.last_clock)
    lsn, prev_hash = log.last_lsn, log.last_hash
    membership = log.membership
    assert membership is not None
    records: list[Record] = []
    for _, kind, body in proposals:
        lsn += 1
        record = make_record(r.partition, r.epoch, lsn, kind, membership.version, prev_hash, clock, body)
        prev_hash = record.hash
        records.append(record)
    log.append(records, r.node.persist(AppendEntry(r.partition, r.commit_lsn, records)))
    r.node.after_sync(r)
    failing.watch(r)
    return records[0].lsn


def propose(r: Replica, event: Propose) -> None:
    refusal = proposal_refusal(r)
    m = r.mastership
    if refusal or m is None:
        tokens = [token for token, _, _ in event.proposals]
        r.node.emit(ProposalRefused(r.partition, tokens, refusal, r.node.node_of_master(r)))
        return
    if r.log.splits:
        event = splitting.take_out_of_range(r, event)
        if not event.proposals:
            return
    first_lsn = append_mixed(r, event.proposals, event.clock)
    r.node.emit(Proposed(r.partition, r.epoch, first_lsn, [token for token, _, _ in event.proposals]))
    replicate(r)


def proposal_refusal(r: Replica) -> str:
    """Why this replica takes no writes now; '' where it does. Refused writes have left no trace."""
    m = r.mastership
    if m is None:
        return "not the master"
    if not m.serving:
        return "the new master is not ready yet"
    if m.handing_to:
        return "mastership is being handed over"
    if r.log.bytes - _committed_bytes(r) > r.node.settings.backlog_bytes_max:
        return "overloaded"
    return ""


def _committed_bytes(r: Replica) -> int:
    """Bytes in memory less the uncommitted tail: only looked at when there is much in memory."""
    if r.log.bytes <= r.node.settings.backlog_bytes_max:
        return r.log.bytes
    return sum(len(record.raw) for record in r.log.range(r.log.base.lsn + 1, max(r.commit_lsn, r.log.base.lsn)))


# -- replication --------------------------------------------------------------------------------------------------


def replicate(r: Replica) -> None:
    """Sends every member what it lacks, as far as its window allows; members in step share one message."""
    m = r.mastership
    assert m is not None
    shared: dict[Lsn, Append] = {}
    for member in r.peers():
        progress = m.progress.get(member.replica)
        if progress is None:
            progress = m.progress[member.replica] = Progress(r.log.last_lsn + 1)
            r.node.leases.enter_mastership(r, member.node)
        if progress.copying or member.replica in m.cold_reads:
            continue
        if progress.paused:
            _probe(r, member.replica, progress)
            continue
        while progress.next_lsn <= r.log.last_lsn and not _window_full(r, progress):
            if progress.next_lsn <= r.log.base.lsn:
                catch_up.begin(r, member, progress)
                break
            message = shared.get(progress.next_lsn)
            if message is None:
                message = shared[progress.next_lsn] = _message_from(r, progress.next_lsn)
            _send(r, member.replica, progress, message)
            progress.next_lsn = min(r.log.last_lsn, _last_of(r, progress.next_lsn)) + 1


def _message_from(r: Replica, first_lsn: Lsn) -> Append:
    chunk = r.log.chunk(first_lsn, r.node.settings.append_bytes_max)
    prev = r.log.point_at(first_lsn - 1)
    assert prev is not None
    blob = chunk[0].raw if len(chunk) == 1 else b"".join([record.raw for record in chunk])
    return Append(r.partition, r.id, r.node.boot, r.epoch, prev, told_commit_lsn(r), blob)


def _last_of(r: Replica, first_lsn: Lsn) -> Lsn:
    return r.log.chunk(first_lsn, r.node.settings.append_bytes_max)[-1].lsn


def told_commit_lsn(r: Replica) -> Lsn:
    """Before its epoch record commits, a new master tells no commit LSN but the bound it inherited."""
    return r.commit_lsn


def _window_full(r: Replica, progress: Progress) -> bool:
    if progress.next_lsn - progress.match_lsn < 256:
        return False
    in_flight = r.log.range(max(progress.match_lsn, r.log.base.lsn) + 1, progress.next_lsn - 1)
    return sum(len(record.raw) for record in in_flight) > r.node.settings.window_bytes


def _send(r: Replica, to: ReplicaId, progress: Progress, message: Append) -> None:
    r.send(to, message)
    _note_told(r, progress, message.commit_lsn)
    if progress.resend_at == NEVER:
        progress.resend_at = r.node.now + r.node.settings.resend
        r.wake(progress.resend_at)


def _probe(r: Replica, to: ReplicaId, progress: Progress) -> None:
    """One message to find out where the member's log matches; the next goes out on its answer or on a timeout."""
    if progress.resend_at != NEVER:
        return
    if progress.next_lsn <= r.log.base.lsn:
        member = next(p for p in r.peers() if p.replica == to)
        catch_up.begin(r, member, progress)
        return
    if progress.next_lsn <= r.log.last_lsn:
        message = _message_from(r, progress.next_lsn)
    else:
        message = Append(r.partition, r.id, r.node.boot, r.epoch, r.log.last, told_commit_lsn(r), b"")
    _send(r, to, progress, message)


def on_appended(r: Replica, m: Appended) -> None:
    """An ack, or (`counts` false) the progress of a member that may not ack."""
    ship, progress = _progress_of(r, m.replica, m.epoch)
    if ship is None or progress is None or not is_last_word(progress, m.boot, m.standing):
        return
    progress.heard_at = r.node.now
    if progress.eligible != m.counts:
        progress.eligible = m.counts
        r.node.leases.generation += 1
    progress.log_start = m.log_start
    progress.resend_at = NEVER
    progress.match_lsn = max(progress.match_lsn, m.durable_lsn)
    if progress.paused:
        progress.paused = False
        progress.next_lsn = max(progress.match_lsn + 1, 1)
    progress.next_lsn = max(progress.next_lsn, progress.match_lsn + 1)
    if not progress.level and progress.match_lsn >= ship.epoch_lsn:
        progress.level = True
        r.node.leases.generation += 1
        r.node.leases.nudge(r, m.replica)
    if progress.next_lsn - 1 > progress.match_lsn:
        progress.resend_at = r.node.now + r.node.settings.resend
        r.wake(progress.resend_at)
    advance(r)
    if r.mastership is ship:
        _note_known(r, ship, progress, m.commit_lsn)
        if progress.next_lsn <= r.log.last_lsn:
            replicate(r)
        handover.proceed(r)
        reconfiguration.proceed(r)


def is_last_word(progress: Progress, boot: Boot, standing: int) -> bool:
    """Does the member say this as it stands now? With a new start or standing, nothing counts that it acked before."""
    if boot == progress.boot and standing <= progress.standing:
        return standing == progress.standing
    progress.boot, progress.standing = boot, standing
    progress.match_lsn = 0
    return True


def on_append_refused(r: Replica, m: AppendRefused) -> None:
    ship, progress = _progress_of(r, m.replica, m.epoch)
    r.epoch_seen = max(r.epoch_seen, m.promised)
    if ship is None or progress is None:
        return
    progress.heard_at = r.node.now
    if m.promised >= r.epoch:
        handover.meet_higher_promise(r, m.promised)


def on_mismatch(r: Replica, m: AppendMismatch) -> None:
    ship, progress = _progress_of(r, m.replica, m.epoch)
    if ship is None or progress is None or progress.copying or m.replica in ship.cold_reads:
        return
    progress.heard_at = r.node.now
    progress.log_start = m.log_start
    progress.paused = True
    progress.next_lsn = min(m.resume_lsn, r.log.last_lsn) + 1
    progress.resend_at = NEVER
    member = next((p for p in r.peers() if p.replica == m.replica), None)
    if member and member.log_only and m.resume_lsn == 0 and reconfiguration.start_log_only(r, member):
        progress.resend_at = r.node.now + r.node.settings.resend
        r.wake(progress.resend_at)
        return
    _probe(r, m.replica, progress)


def _progress_of(r: Replica, replica: ReplicaId, epoch: int) -> tuple[Mastership | None, Progress | None]:
    ship = r.mastership
    if ship is None or epoch != r.epoch:
        return None, None
    return ship, ship.progress.get(replica)


# -- commit ---------------------------------------------------------------------------------------------------------


def counted_acks(r: Replica) -> dict[ReplicaId, Lsn]:
    """Each voter's last durable LSN, of those that count: eligible, and level with this epoch. Ours after our sync."""
    assert r.mastership is not None
    acks = {p: progress.match_lsn for p, progress in r.mastership.progress.items() if ack_counts(progress)}
    if not r.unfit:
        acks[r.id] = own_ack(r)
    return acks


def own_ack(r: Replica) -> Lsn:
    return r.log.durable_lsn


def ack_counts(progress: Progress) -> bool:
    return progress.eligible and progress.level


def advance(r: Replica) -> None:
    """Commits what has become durable: by W voters in K zones under every membership that counts."""
    ship = r.mastership
    assert ship is not None
    acks = counted_acks(r)
    rules = commit_rules(r)
    lsn = min(membership.durable_lsn(acks) for membership in rules)
    if lsn <= r.commit_lsn or not may_commit(r, lsn):
        return
    r.advance_commit(lsn)
    ship.failing_at = NEVER
    failing.watch(r)
    ship.notice_at = min(ship.notice_at, r.node.now + r.node.settings.commit_notice)
    r.wake(ship.notice_at)
    handover.proceed(r)
    reconfiguration.on_commit(r)
    if len(rules) > 1 and r.mastership is ship:
        advance(r)  # The change has committed: what is behind it may need fewer acks, of which none is left to come.


def commit_rules(r: Replica) -> list[Membership]:
    return r.rules()


def may_commit(r: Replica, lsn: Lsn) -> bool:
    """Only records of the master's own epoch commit by counting; earlier ones commit with the first of them."""
    assert r.mastership is not None
    return lsn >= r.mastership.epoch_lsn


def on_applied(r: Replica) -> None:
    """The epoch record is applied: serve."""
    ship = r.mastership
    if ship is None or ship.serving or not may_serve(r):
        return
    ship.serving = True
    ship.serving_since = r.node.now
    membership = r.log.membership_at(r.commit_lsn)
    assert membership is not None
    r.node.emit(MastershipChanged(r.partition, r.epoch, encode_membership(membership)))
    reconfiguration.proceed(r)


def may_serve(r: Replica) -> bool:
    assert r.mastership is not None
    return r.commit_lsn >= r.mastership.epoch_lsn and r.applied_lsn >= r.mastership.epoch_lsn


# -- timers ---------------------------------------------------------------------------------------------------------


def on_timer(r: Replica, now: Micros) -> None:
    ship = r.mastership
    assert ship is not None
    if ship.failing_at <= now and failing.gives_up(r, ship):
        return
    if ship.handover_until <= now:
        ship.handing_to, ship.handover_until = NO_REPLICA, NEVER
    if ship.notice_at <= now:
        ship.notice_at = NEVER
        _tell_commit(r, ship)
    for member in r.peers():
        progress = ship.progress.get(member.replica)
        if progress is not None and progress.resend_at <= now:
            _resend(r, member.replica, progress)
    reconfiguration.proceed(r)
    if r.mastership is ship:
        _rearm(r, ship)


def _tell_commit(r: Replica, ship: Mastership) -> None:
    """Each follower that has heard nothing since the last commit learns it now; again, until it says that it knows.

    One that is asked where it stands, or copied, hears of the commit by that.
    """
    if not _tells_own(r):
        return
    for member in r.peers():
        progress = ship.progress.get(member.replica)
        if progress is None or progress.paused or progress.copying or progress.known_commit_lsn >= r.commit_lsn:
            continue
        if progress.told_lsn < r.commit_lsn or progress.retell_at <= r.node.now:
            _note_told(r, progress, r.commit_lsn)
            prev = r.log.point_at(min(progress.next_lsn - 1, r.log.last_lsn))
            if prev is not None:
                r.send(member.replica, Append(r.partition, r.id, r.node.boot, r.epoch, prev, told_commit_lsn(r), b""))
        ship.notice_at = min(ship.notice_at, progress.retell_at)


def _note_told(r: Replica, progress: Progress, commit_lsn: Lsn) -> None:
    progress.told_lsn = commit_lsn
    progress.retell_at = r.node.now + r.node.settings.resend


def _note_known(r: Replica, ship: Mastership, progress: Progress, commit_lsn: Lsn) -> None:
    """A member of an earlier version does not say what it knows: it counts as knowing what it was told."""
    progress.known_commit_lsn = commit_lsn if commit_lsn >= 0 else progress.told_lsn
    if progress.known_commit_lsn < r.commit_lsn and ship.notice_at == NEVER:
        ship.notice_at = max(r.node.now, min(progress.retell_at, r.node.now + r.node.settings.resend))
        r.wake(ship.notice_at)


def _tells_own(r: Replica) -> bool:
    assert r.mastership is not None
    return r.commit_lsn >= r.mastership.epoch_lsn


def _resend(r: Replica, replica: ReplicaId, progress: Progress) -> None:
    progress.resend_at = NEVER
    if progress.copying:
        return
    member = next(p for p in r.peers() if p.replica == replica)
    progress.paused = True
    if r.node.peers.is_lost(member.node):
        return  # Nothing is sent until the node is heard of again: then it is nudged.
    progress.next_lsn = max(progress.match_lsn + 1, 1) if progress.match_lsn else r.log.last_lsn + 1
    _probe(r, replica, progress)


def _rearm(r: Replica, ship: Mastership) -> None:
    at = min(ship.failing_at, ship.notice_at, ship.handover_until)
    for member in r.peers():
        progress = ship.progress.get(member.replica)
        if progress is not None:
            at = min(at, progress.resend_at)
    if at < NEVER:
        r.wake(at)
