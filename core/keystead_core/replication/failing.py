"""When a master gives up: not over one slow write, but where nothing of its own has committed for a lease."""

from __future__ import annotations

from keystead_core.replication import master, suspicion
from keystead_core.replication.membership import Member
from keystead_core.replication.replica import NEVER, Mastership, Replica


def watch(r: Replica) -> None:
    """From now on a lease may pass until what is not committed is, be it a client's write or a change of membership."""
    ship = r.mastership
    assert ship is not None
    if ship.failing_at == NEVER and r.commit_lsn < r.log.last_lsn:
        ship.failing_at = r.node.now + r.node.settings.lease
        r.wake(ship.failing_at)


def gives_up(r: Replica, ship: Mastership) -> bool:
    """Steps down, unless all that is missing is on its way; then it waits another lease."""
    lease = r.node.settings.lease
    if r.commit_lsn == r.log.last_lsn:
        ship.failing_at = NEVER  # It has been learned otherwise that all is committed.
        return False
    if _waits_only_for_members_behind(r, ship):
        ship.failing_at = r.node.now + lease
        return False
    r.step_down("own records did not commit for a lease: " + ", ".join(_silent_members(r)))
    suspicion.suspect(r, lease // 2)
    return True


def _waits_only_for_members_behind(r: Replica, ship: Mastership) -> bool:
    """Would it commit if the members that are being brought level had acked? Whoever led instead would begin anew.

    A copy may take many leases, and is of no use to a master of a later epoch.
    """
    behind = {member.replica: r.log.last_lsn for member in r.peers() if _is_brought_level(r, ship, member)}
    acks = {**master.counted_acks(r), **behind}
    return bool(behind) and min(membership.durable_lsn(acks) for membership in master.commit_rules(r)) > r.commit_lsn


def _is_brought_level(r: Replica, ship: Mastership, member: Member) -> bool:
    """It is being sent a copy, or takes in one part of the log after another."""
    progress = ship.progress.get(member.replica)
    if progress is None or r.node.peers.is_lost(member.node):
        return False
    heard = progress.heard_at >= r.node.now - r.node.settings.lease
    return progress.copying or (heard and progress.eligible and not progress.level and progress.match_lsn > 0)


def _silent_members(r: Replica) -> list[str]:
    """The members that have not acked lately, as a person names them."""
    assert r.mastership is not None
    since = r.node.now - r.node.settings.lease
    silent = []
    for member in r.peers():
        progress = r.mastership.progress.get(member.replica)
        if progress is None or progress.heard_at < since:
            silent.append(f"{member.node} is silent")
        elif not progress.eligible:
            silent.append(f"{member.node} is ineligible")
    return silent
