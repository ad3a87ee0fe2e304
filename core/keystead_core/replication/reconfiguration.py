"""Membership changes: one record, one voter; committed by the old and the new membership (docs/protocol.md).

The catalog says where it wants the replicas (`SetTarget`); the serving master walks there one committed record at a
time. While a change is uncommitted, `Replica.rules()` names both memberships, and every quorum must meet both.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import NO_REPLICA, Epoch, ReplicaId
from keystead_core.log.record import Kind
from keystead_core.replication import handover, master, splitting
from keystead_core.replication.effects import MastershipChanged
from keystead_core.replication.membership import Member, Membership, encode_membership
from keystead_core.replication.membership_steps import next_steps
from keystead_core.replication.messages import StartLog
from keystead_core.replication.replica import Progress, Replica


def learn_committed(r: Replica, named: tuple[int, Epoch]) -> None:
    """The catalog was told that a membership, named by (version, epoch), is committed. The name stands for one record.

    Whom it removed may be gone by now, so that a master that inherited it could never count the old quorum again.
    """
    lsn = next((lsn for lsn, m in r.log.memberships if (m.version, m.epoch) == named), 0)
    if lsn <= r.commit_lsn:
        return
    r.advance_commit(lsn)
    r.node.leases.generation += 1
    if r.mastership is not None:
        master.advance(r)


def set_target(r: Replica, target: list[ReplicaTarget], rules: tuple[int, int]) -> None:
    r.target, r.target_rules = target, rules
    proceed(r)


def proceed(r: Replica) -> None:
    """Takes the next step towards the target, if one is due and possible."""
    ship = r.mastership
    if ship is None or not r.target:
        return
    membership = r.membership
    assert membership is not None
    if ship.reached is not None and ship.reached[0] is membership and ship.reached[1] is r.target:
        return
    if refusal_to_change(r):
        return
    steps = next_steps(membership, r.target, r.epoch, level_members(r), live_members(r), r.id)
    rules_change = _rules_change(r, membership)
    if rules_change is not None:
        steps.append(rules_change)
    if not steps and is_reached(membership, r.target):
        ship.reached = (membership, r.target)
    _take_first(r, membership, steps)


def _take_first(r: Replica, membership: Membership, steps: list[Membership]) -> None:
    """Of the steps that would lead on, the best that is allowed now; else it is known why the best is not."""
    refusals = []
    for new in steps:
        if membership.is_voter(r.id) and not new.is_voter(r.id) and _give_way(r):
            return
        refusal = propose(r, new)
        if not refusal:
            return
        refusals.append(refusal)
    if refusals:
        r.why = f"membership change waits: {refusals[0]}"


def is_reached(membership: Membership, target: list[ReplicaTarget]) -> bool:
    """Are the members just those of the target, in their roles?"""
    return {(m.replica, m.role) for m in membership.members} == {(t.replica, t.role) for t in target}


def preferred_successor(r: Replica) -> ReplicaId:
    """The replica that the catalog prefers as master, if it is another, level and alive; 0 if not.

    A mastership younger than ten leases stays where it is.
    """
    ship = r.mastership
    if ship is None or not ship.serving or not r.target or r.target[0].replica == r.id:
        return NO_REPLICA
    if r.target[0].role != "voter":
        return NO_REPLICA  # It would only give the mastership away again.
    if r.node.now - ship.serving_since < 10 * r.node.settings.lease:
        return NO_REPLICA
    wanted = r.target[0].replica
    progress = ship.progress.get(wanted)
    member = r.membership.member(wanted) if r.membership else None
    if member is None or not member.voter or member.log_only or progress is None:
        return NO_REPLICA
    if r.node.leases.rooms.get(member.node) == 0:
        return NO_REPLICA  # So it would.
    is_ready = wanted in live_members(r) and r.commit_lsn - progress.match_lsn <= r.node.settings.level_records
    return wanted if is_ready else NO_REPLICA


def refusal_to_change(r: Replica) -> str:
    """Why no membership record may be appended now: one at a time, and only by a master whose epoch has committed."""
    ship = r.mastership
    if ship is None or not ship.serving:
        return "the master does not serve yet"
    if r.log.memberships and r.log.memberships[-1][0] > r.commit_lsn:
        return "another change is uncommitted"
    if ship.handing_to:
        return "mastership is being handed over"
    return ""


def propose(r: Replica, new: Membership) -> str:
    """Appends a membership record unless a rule or the live members forbid it; returns why not, or ''."""
    membership = r.membership
    assert membership is not None and r.mastership is not None
    refusal = (
        refusal_to_change(r)
        or membership.refusal_of(new)
        or _unmet_by_live(r, new)
        or _known_to_nobody_who_could_stand(r, membership, new)
        or splitting.refusal_to_remove(r, membership, new)
    )
    if refusal:
        return refusal
    before = {m.replica for m in membership.members}
    r.mastership.changing_lsn = master.append(r, Kind.MEMBERSHIP, [encode_membership(new)], 0)
    for member in new.members:
        if member.replica != r.id and member.replica not in before:
            r.mastership.progress[member.replica] = Progress(r.log.last_lsn + 1)
            r.node.leases.enter_mastership(r, member.node)
    r.node.leases.generation += 1
    master.replicate(r)
    return ""


def _unmet_by_live(r: Replica, new: Membership) -> str:
    live = live_members(r)
    if not new.is_durable(live):
        return "its live members cannot meet the write quorum and zones"
    if not new.is_failover_quorum(live):
        return "its live members are no failover quorum"
    return ""


def _known_to_nobody_who_could_stand(r: Replica, membership: Membership, new: Membership) -> str:
    """A live full voter stays until another who stays has the last change of membership, besides the master.

    Else, with the master lost, the one full voter that is left asks members of former days, and a log-only one, which
    has everything, cannot stand.
    """
    live = live_members(r)
    full = [m for m in membership.voters if not m.log_only and m.replica != r.id]
    leaves = [m for m in full if m.replica in live and not new.is_voter(m.replica)]
    stays = [m for m in new.voters if not m.log_only and m.replica != r.id]
    if not leaves or not stays:
        return ""
    assert r.mastership is not None
    lsn = r.log.memberships[-1][0] if r.log.memberships else 0
    known = [r.mastership.progress[m.replica].match_lsn >= lsn for m in stays if m.replica in r.mastership.progress]
    return "" if any(known) else "no other full voter that stays has the last change yet"


def live_members(r: Replica) -> list[ReplicaId]:
    """Ourselves and the members whose nodes are heard of and whose acks count."""
    ship = r.mastership
    assert ship is not None
    live = [r.id]
    for member in r.peers():
        progress = ship.progress.get(member.replica)
        if progress and progress.level and progress.eligible and r.node.peers.is_live(member.node, r.node.now):
            live.append(member.replica)
    return live


def level_members(r: Replica) -> list[ReplicaId]:
    """Learners that may become voters: they have all but the last few records, and a log that starts early enough."""
    ship = r.mastership
    assert ship is not None
    return [m.replica for m in r.peers() if not m.voter and _is_level(r, m)]


def _is_level(r: Replica, member: Member) -> bool:
    assert r.mastership is not None
    progress = r.mastership.progress.get(member.replica)
    if progress is None or not progress.level or progress.copying or not progress.eligible:
        return False
    if r.commit_lsn - progress.match_lsn > r.node.settings.level_records:
        return False
    return not member.log_only or log_starts_early_enough(r, progress)


def log_starts_early_enough(r: Replica, progress: Progress) -> bool:
    """A log-only voter must be able to serve every full voter: its log starts at or below what each has durable."""
    return progress.log_start <= lowest_full_lsn(r)


def lowest_full_lsn(r: Replica) -> int:
    ship = r.mastership
    assert ship is not None and r.membership is not None
    lowest = r.log.durable_lsn
    for member in r.membership.voters:
        progress = ship.progress.get(member.replica)
        if member.replica != r.id and not member.log_only:
            lowest = min(lowest, progress.match_lsn if progress else 0)
    return lowest


def start_log_only(r: Replica, member: Member) -> bool:
    """Tells an empty log-only learner where its log starts: as low as our own log goes and some voter needs.

    False where nothing needs to be told: the log is here from its beginning.
    """
    start = max(r.log.base.lsn, min(lowest_full_lsn(r), r.commit_lsn))
    point, membership = r.log.point_at(start), r.log.membership_at(start)
    if start == 0 or point is None or membership is None:
        return False
    message = StartLog(r.partition, r.id, r.node.boot, r.epoch, point, encode_membership(membership))
    r.send(member.replica, message)
    return True


def on_commit(r: Replica) -> None:
    """A membership record may just have committed: forget who left, and step down if that is us."""
    ship = r.mastership
    if ship is None or not ship.changing_lsn or r.commit_lsn < ship.changing_lsn:
        return
    ship.changing_lsn = 0
    membership = r.membership
    assert membership is not None
    members: Collection[ReplicaId] = [m.replica for m in membership.members]
    for replica in [p for p in ship.progress if p not in members]:
        del ship.progress[replica]
    r.node.leases.leave_peers(r)
    r.node.leases.generation += 1
    r.node.emit(MastershipChanged(r.partition, r.epoch, encode_membership(membership)))
    if not membership.is_voter(r.id):
        r.step_down("removed itself from the group's voters")
        return
    proceed(r)


def _give_way(r: Replica) -> bool:
    """A master that is to be removed, or a learner, hands over first, where somebody who stays can take over.

    One who has to leave as well would hand it back at once.
    """
    successor = handover.most_level(r, [t.node for t in r.target if t.role == "voter"])
    return bool(successor) and handover.begin(r, successor) == ""


def _rules_change(r: Replica, membership: Membership) -> Membership | None:
    if r.target_rules is None:
        return None
    write_quorum_min, durable_zones = r.target_rules
    lease = r.node.settings.lease
    if (membership.write_quorum_min, membership.durable_zones, membership.lease) == (
        write_quorum_min,
        durable_zones,
        lease,
    ):
        return None
    return msgspec.structs.replace(
        membership,
        version=membership.version + 1,
        epoch=r.epoch,
        write_quorum_min=write_quorum_min,
        durable_zones=durable_zones,
        lease=lease,
    )
