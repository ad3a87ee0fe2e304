"""Standing for mastership: dry round, lock, own promise, gather, fetch what is newer, win (docs/protocol.md, Election).

    probe -> lock -> promise -> gather <-> fetch -> master
A phase that runs out of time ends the candidacy; the replica is a follower again and tries later.
"""

from __future__ import annotations

from keystead_core.ids import CATALOG_PARTITION, MILLISECOND, NO_REPLICA, Epoch, Lsn, Micros, ReplicaId
from keystead_core.log.entries import AppendEntry
from keystead_core.log.record import RecordError, decode_records
from keystead_core.replication import follower, master, support, suspicion
from keystead_core.replication.effects import TakeLock
from keystead_core.replication.messages import (
    FetchLog,
    LogFetched,
    Probe,
    ProbeReply,
    Release,
    Support,
    SupportRefused,
    SupportRequest,
)
from keystead_core.replication.replica import CANDIDATE, FOLLOWER, NEVER, Candidacy, Replica


def can_stand(r: Replica) -> bool:
    """Only an eligible full voter with a whole log stands, on a node that the catalog has taken in since its start."""
    member = r.own_member
    fit = member is not None and member.voter and not member.log_only and not r.unfit and not r.staged
    return fit and is_admitted(r)


def is_admitted(r: Replica) -> bool:
    """A volume that was given up as lost may come back, and others with it, to a group that is no more: the catalog
    refuses their nodes, so none of them leads. Its own group cannot wait for itself (docs/decisions/0012)."""
    return r.node.registered or r.partition == CATALOG_PARTITION


def begin(r: Replica) -> None:
    """The dry round: without lock, promise or epoch, ask who could support us."""
    r.election_at = NEVER
    if r.role != FOLLOWER:
        return
    if not can_stand(r):
        waits = "" if is_admitted(r) else "the catalog has not taken this node in since its start"
        r.why = f"cannot stand: {r.unfit or waits or 'not a full voter'}"
        if r.damage is not None or r.staged:
            suspicion.suspect(r, r.node.settings.lease)  # What is missing may come from others who cannot stand.
        return
    r.role = CANDIDATE
    r.candidacy = Candidacy()
    _probe(r)


def _probe(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    c.phase, c.phase_ends = "probe", r.node.now + 100 * MILLISECOND
    c.lapsed = set()
    c.refusals = {}
    r.wake(c.phase_ends)
    if support.remaining_grant(r, r.id) == 0:
        c.lapsed.add(r.id)
    for member in r.peers():
        r.node.send(member.node, Probe(r.partition, r.id, r.node.boot))
    _after_probe(r)


def on_probe_reply(r: Replica, m: ProbeReply) -> None:
    c = r.candidacy
    r.epoch_seen = max(r.epoch_seen, m.promised)
    if c is None or c.phase != "probe":
        return
    if m.unfit:
        c.refusals[m.replica] = m.unfit
    elif m.expires_in > 0:
        c.refusals[m.replica] = f"supported in {m.expires_in // 1000} ms"
        c.phase_ends = min(c.phase_ends, r.node.now + m.expires_in)
        r.wake(c.phase_ends)
    else:
        c.lapsed.add(m.replica)
        newer = (m.last_epoch, m.last_lsn) > (r.log.last_epoch, r.log.last_lsn)
        if newer and m.can_stand and not c.deferred:
            # The most level full replica goes first: it need not fetch.
            c.deferred = True
            c.phase_ends = r.node.now + r.node.settings.gather_wait
            r.wake(c.phase_ends)
            return
    _after_probe(r)


def _after_probe(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    if c.deferred and r.node.now < c.phase_ends:
        return
    if _is_quorum(r, c.lapsed):
        _take_lock(r)


def _is_quorum(r: Replica, supporters: set[ReplicaId]) -> bool:
    """A failover quorum under the latest membership in our log."""
    return r.membership is not None and r.membership.is_failover_quorum(supporters)


def _take_lock(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    settings = r.node.settings
    if settings.lock == "none" or r.lock_counter > r.epoch_seen:
        _promise_self(r)
        return
    c.phase = "lock"
    if r.lock_asked_at < 0 or r.node.now - r.lock_asked_at > settings.lease:
        ask_lock(r)
    patience = settings.lease // 2 if settings.lock == "preferred" else settings.lease * 4
    c.phase_ends = max(r.lock_asked_at + patience, r.node.now)
    r.wake(c.phase_ends)


def ask_lock(r: Replica) -> None:
    """The lock never authorises anything: asking early, while grants still run, only saves time."""
    if r.node.settings.lock != "none":
        r.lock_asked_at = r.node.now
        r.node.emit(TakeLock(r.partition, r.epoch_seen))


def on_lock_taken(r: Replica, counter: int) -> None:
    r.lock_counter = max(r.lock_counter, counter)
    if r.candidacy is not None and r.candidacy.phase == "lock":
        _promise_self(r)


def begin_with_release(r: Replica, release: Release) -> None:
    """A hand-over: the old master orders the succession itself, so no dry round and no lock are needed."""
    r.role = CANDIDATE
    r.candidacy = Candidacy()
    r.candidacy.release = release
    _promise_self(r)


def next_epoch(r: Replica) -> Epoch:
    """Above every epoch seen, promised or in the log, and above the lock's counter; so never one that was used."""
    return max(r.epoch_seen, r.promised, r.log.last_epoch, r.lock_counter) + 1


def _promise_self(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    c.phase, c.epoch = "promise", next_epoch(r)
    c.phase_ends = r.node.now + suspicion.patience(r, c.epoch)
    c.resend_at = NEVER
    r.lock_asked_at = -1
    candidacy, r.candidacy, r.role = c, None, FOLLOWER  # The promise itself would end the candidacy it is for.
    r.promise(c.epoch, r.id, r.node.boot)
    r.candidacy, r.role, r.epoch = candidacy, CANDIDATE, c.epoch
    r.wake(c.phase_ends)
    wait_for_own_promise(r)


def own_promise_is_durable(r: Replica) -> bool:
    """An earlier sync of this replica's records does not cover the promise that was written behind them."""
    return r.state_is_durable


def wait_for_own_promise(r: Replica) -> None:
    """The promise to oneself is durable before anybody is asked."""
    r.node.after_sync(r)


def on_own_promise_synced(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    c.phase = "gather"
    c.supporters[r.id] = (r.log.last_epoch, r.log.last_lsn)
    _request(r)
    _evaluate(r)


def _request(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    c.resend_at = r.node.now + 100 * MILLISECOND
    r.wake(c.resend_at)
    for member in r.peers():
        if member.replica not in c.supporters:
            r.node.send(member.node, SupportRequest(r.partition, r.id, r.node.boot, c.epoch, c.release))


def on_support(r: Replica, m: Support) -> None:
    c = r.candidacy
    if c is None or m.epoch != c.epoch or (m.candidate, m.candidate_boot) != (r.id, r.node.boot):
        return
    c.refusals.pop(m.replica, None)
    c.supporters[m.replica] = (m.last_epoch, m.last_lsn)
    if m.last_epoch >= c.epoch:
        give_up(r, f"replica {m.replica} has records of epoch {m.last_epoch}")
        return
    _evaluate(r)


def on_support_refused(r: Replica, m: SupportRefused) -> None:
    c = r.candidacy
    r.epoch_seen = max(r.epoch_seen, m.promised)
    if c is None or m.epoch != c.epoch or c.phase not in ("gather", "fetch"):
        return
    if m.unfit:
        c.refusals[m.replica] = m.unfit
    elif m.expires_in > 0:
        c.refusals[m.replica] = f"supported in {m.expires_in // 1000} ms"
    elif m.promised >= c.epoch:
        give_up(r, f"replica {m.replica} has promised epoch {m.promised}")
        return
    _evaluate(r)


def _evaluate(r: Replica) -> None:
    """Close the quorum when all have answered or the short wait is over; then lead, or fetch what is newer."""
    c = r.candidacy
    assert c is not None
    if c.phase != "gather":
        return
    supporters = set(c.supporters)
    if not _is_quorum(r, supporters):
        r.why = explain(r)
        return
    now = r.node.now
    if c.closes_at == NEVER:
        c.closes_at = now if c.release else now + r.node.settings.gather_wait
        r.wake(c.closes_at)
    answered = supporters | set(c.refusals)
    if now < c.closes_at and not all(m.replica in answered for m in r.peers() if m.voter):
        return
    newest = newest_supporter(r)
    if newest != r.id:
        _fetch(r, newest)
    elif not can_stand(r):
        give_up(r, "not a full voter by the log that was fetched")
    elif r.log.durable_lsn == r.log.last_lsn:
        master.begin(r)


def newest_supporter(r: Replica) -> ReplicaId:
    """Newer = higher (epoch of the last record, last LSN), nothing else; ourselves where nobody is newer."""
    c = r.candidacy
    assert c is not None
    c.supporters[r.id] = newness(r.log.last_epoch, r.log.last_lsn, 0)
    best = max(c.supporters.values())
    if c.supporters[r.id] == best:
        return r.id
    return min(replica for replica, last in c.supporters.items() if last == best)


def newness(last_epoch: Epoch, last_lsn: Lsn, membership_version: int) -> tuple[int, int]:
    return (last_epoch, last_lsn)


def _fetch(r: Replica, supporter: ReplicaId) -> None:
    c = r.candidacy
    assert c is not None
    c.phase, c.fetching = "fetch", supporter
    _fetch_behind(r, c, r.commit_lsn)
    r.wake(c.phase_ends)


def _fetch_behind(r: Replica, c: Candidacy, lsn: Lsn) -> None:
    c.phase_ends = r.node.now + suspicion.patience(r, c.epoch)
    c.fetching_after = lsn
    after = r.log.point_at(lsn)
    assert after is not None
    r.send(c.fetching, FetchLog(r.partition, r.id, r.node.boot, c.epoch, after))


def on_log_fetched(r: Replica, m: LogFetched) -> None:
    """A newer log's records: they replace our conflicting tail; the quorum is counted again under what they say."""
    c = r.candidacy
    if c is None or c.phase != "fetch" or m.epoch != c.epoch or m.replica != c.fetching:
        return
    if m.records and m.prev.lsn != c.fetching_after:
        return  # It came twice. To ask again for each would be a storm where a network doubles messages.
    try:
        records = decode_records(m.records)
    except RecordError:
        return
    point = r.log.point_at(m.prev.lsn)
    if not records or point is None or point.hash != m.prev.hash:
        give_up(r, f"too far behind replica {m.replica}")
        # Whoever has the log, or can fetch it, goes first: a master of theirs sends us a copy.
        suspicion.suspect(r, 2 * suspicion.patience(r, r.promised))
        return
    new = follower.integrate(r, records)
    if new:
        r.log.append(new, r.node.persist(AppendEntry(r.partition, r.commit_lsn, new)))
        r.node.after_sync(r)
    if records[-1].lsn < m.last_lsn:
        _fetch_behind(r, c, records[-1].lsn)
        return
    c.phase, c.fetching = "gather", NO_REPLICA
    _request(r)  # The membership may be another now.
    if r.log.durable_lsn == r.log.last_lsn:
        _evaluate(r)


def on_log_synced(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    if c.phase == "promise":
        if own_promise_is_durable(r):
            on_own_promise_synced(r)
    else:
        _evaluate(r)


def on_timer(r: Replica, now: Micros) -> None:
    c = r.candidacy
    assert c is not None
    if c.phase_ends <= now:
        match c.phase:
            case "probe":
                _probe_ended(r)
            case "lock" if r.node.settings.lock == "preferred":
                _promise_self(r)
            case _:
                give_up(r, explain(r))
    if r.candidacy is c and c.phase == "gather":
        if c.resend_at <= now:
            _request(r)
        _evaluate(r)
    if r.candidacy is c:
        resend_at = c.resend_at if c.phase == "gather" else NEVER
        r.wake(min(c.phase_ends, resend_at, c.closes_at if c.closes_at > now else NEVER))


def _probe_ended(r: Replica) -> None:
    c = r.candidacy
    assert c is not None
    if _is_quorum(r, c.lapsed):
        _take_lock(r)
        return
    waits = [text for text in c.refusals.values() if text.startswith("supported in")]
    why = explain(r)
    r.role, r.candidacy, r.epoch = FOLLOWER, None, 0
    r.why = why
    pause = 5 * MILLISECOND if waits else r.node.settings.heartbeat // 2
    r.election_at = r.node.now + pause + r.node.jitter(20 * MILLISECOND)
    r.wake(r.election_at)


def give_up(r: Replica, why: str) -> None:
    """Back to follower; a later try follows after a pause that differs from node to node."""
    pause = suspicion.patience(r, r.promised)
    r.role, r.candidacy, r.epoch = FOLLOWER, None, 0
    r.why = why
    r.election_at = r.node.now + pause // 4 + r.node.jitter(pause // 2)
    r.wake(r.election_at)


def explain(r: Replica) -> str:
    """Who supports, who does not and why: one sentence for `keystead why`."""
    c = r.candidacy
    if c is None or r.membership is None:
        return "no membership is known here"
    heard = c.supporters.keys() if c.phase not in ("probe", "lock") else c.lapsed
    parts = []
    for member in r.membership.voters:
        if member.replica in heard:
            parts.append(f"{member.node} supports")
        elif member.replica in c.refusals:
            parts.append(f"{member.node}: {c.refusals[member.replica]}")
        else:
            parts.append(f"{member.node} did not answer")
    need = len(r.membership.voters) // 2 + 1
    return f"failover needs {need} of {len(r.membership.voters)} voters: " + ", ".join(parts)
