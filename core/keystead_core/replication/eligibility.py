"""Ineligibility: a member's own durable flag. While it is set, it acks, grants, supports and stands for nothing.

By plan it is entered only with the master's word that W, K and F remain without it; for damage always. Leaving needs
the acks of a super-quorum without oneself; or, by plan and with log and promises intact, a failover quorum counting
oneself (docs/protocol.md, Membership).
"""

from __future__ import annotations

from keystead_core.ids import Micros, ReplicaId
from keystead_core.replication import handover, master, reconfiguration
from keystead_core.replication.effects import EligibilityChanged
from keystead_core.replication.messages import EligibilityReply, EligibilityRequest
from keystead_core.replication.replica import DAMAGED, NEVER, PLANNED, Mastership, Replica


def maintain(r: Replica) -> None:
    """Ask to become ineligible by plan; a master hands over first and asks its successor later."""
    if r.ineligible or r.membership is None:
        return
    if not r.membership.is_voter(r.id):
        return
    if r.mastership is not None:
        refusal = handover.begin(r, 0)  # type: ignore[arg-type]
        if refusal and refusal != "already handing over":
            r.node.emit(EligibilityChanged(r.partition, r.ineligible, refusal))
            return
        r.leaving_at = r.node.now + r.node.settings.heartbeat // 4
        r.wake(r.leaving_at)
        return
    if r.master and r.master != r.id:
        r.send(r.master, EligibilityRequest(r.partition, r.id, r.node.boot, True, PLANNED))
    r.leaving_at = r.node.now + r.node.settings.heartbeat
    r.wake(r.leaving_at)


def resume(r: Replica) -> None:
    """Ask every other member to count this one again."""
    r.leaving_at = NEVER
    if r.ineligible != PLANNED:
        return
    r.leaving_acks = set()
    _ask_to_resume(r)


def _ask_to_resume(r: Replica) -> None:
    for member in r.peers():
        standing = r.say_counts(False)
        r.node.send(member.node, EligibilityRequest(r.partition, r.id, r.node.boot, False, "", standing))
    r.leaving_at = r.node.now + r.node.settings.heartbeat
    r.wake(r.leaving_at)
    _leave_if_acked(r)


def on_timer(r: Replica, now: Micros) -> None:
    """An unanswered wish is repeated: to maintain while the node is in maintenance, to resume else."""
    if r.leaving_at > now:
        return
    r.leaving_at = NEVER
    if r.node.maintaining and not r.ineligible:
        maintain(r)
    elif not r.node.maintaining and r.ineligible == PLANNED:
        _ask_to_resume(r)


def on_request(r: Replica, m: EligibilityRequest) -> None:
    """The master answers a wish to enter; anybody answers a wish to leave."""
    refusal = ""
    if m.entering:
        refusal = _refusal_to_enter(r, m)
    elif r.mastership is not None:
        progress = r.mastership.progress.get(m.replica)
        if progress is not None and master.is_last_word(progress, m.boot, m.standing):
            progress.eligible = False  # Until its own acks say otherwise.
            r.node.leases.generation += 1
    r.node.send(r.node.sender, EligibilityReply(r.partition, r.id, r.node.boot, m.entering, refusal))


def _refusal_to_enter(r: Replica, m: EligibilityRequest) -> str:
    ship = r.mastership
    if ship is None or not ship.serving:
        return "not the serving master"
    others = [p for p in reconfiguration.live_members(r) if p != m.replica and not _is_excused(r, ship, p)]
    for membership in r.rules():
        if not membership.is_durable(others):
            return "without it writes could not reach their quorum and zones"
        if not membership.is_failover_quorum(others):
            return "without it no failover would be possible"
    progress = ship.progress.get(m.replica)
    if progress is not None:
        progress.excused_until = r.node.now + r.node.settings.lease
    return ""


def _is_excused(r: Replica, ship: Mastership, replica: ReplicaId) -> bool:
    """Was it allowed to become ineligible just now? Its acks say so only once it has."""
    progress = ship.progress.get(replica)
    return progress is not None and progress.excused_until > r.node.now


def on_reply(r: Replica, m: EligibilityReply) -> None:
    if m.entering:
        _on_entering_reply(r, m)
        return
    if r.ineligible == PLANNED and not r.node.maintaining and not m.refusal:
        r.leaving_acks.add(m.replica)
        _leave_if_acked(r)


def _on_entering_reply(r: Replica, m: EligibilityReply) -> None:
    if not r.node.maintaining or r.ineligible:
        return
    if m.refusal:
        r.node.emit(EligibilityChanged(r.partition, "", m.refusal))
        return
    enter(r, PLANNED)


def enter(r: Replica, reason: str) -> None:
    """Stop acking first, durably; then tell."""
    r.ineligible = reason
    r.leaving_at = NEVER
    if r.mastership is not None or r.candidacy is not None:
        r.step_down(f"ineligible: {reason}")
    r.node.leases.recheck(r)
    r.persist_state()
    r.node.emit_after_sync(EligibilityChanged(r.partition, reason, ""))


def _leave_if_acked(r: Replica) -> None:
    if may_leave(r):
        leave(r)


def may_leave(r: Replica) -> bool:
    """Acks of max(W, N - W + 1) others; or a failover quorum that counts oneself, log and promises being intact."""
    membership = r.membership
    if membership is None or r.ineligible == DAMAGED:
        return False
    n, w = len(membership.voters), membership.write_quorum
    acks = [m.replica for m in membership.voters if m.replica in r.leaving_acks and m.replica != r.id]
    return len(acks) >= max(w, n - w + 1) or membership.is_failover_quorum([r.id, *acks])


def leave(r: Replica) -> None:
    r.leaving_at = NEVER
    r.count_again()
    r.node.leases.recheck(r)
    r.node.emit_after_sync(EligibilityChanged(r.partition, "", ""))
    r.node.after_sync(r)
