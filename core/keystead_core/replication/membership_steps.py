"""From the membership that is to the one that is wanted: the single records that would lead on now, the best first.

Replicas are added as learners, promoted once level, and others removed, or made learners again, only when every target
has its role. A step may be refused (membership.refusal_of, or because live members cannot meet it); then the next one
is tried. So this order is never a dead end:

- a member on the very node of a wanted replica leaves first: a node holds one replica of a group
- of the others, those that are not live leave first, then log-only ones, the master last; so with those to be learners
- while targets are waited for, only those leave whose staying keeps a log-only replica out of its role
"""

from collections.abc import Collection, Iterable

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import Epoch, ReplicaId
from keystead_core.replication.membership import Member, Membership


def next_steps(
    current: Membership,
    target: Iterable[ReplicaTarget],
    epoch: Epoch,
    level: Collection[ReplicaId],
    live: Collection[ReplicaId],
    master: ReplicaId,
) -> list[Membership]:
    """`level`: learners that may be promoted. `live`: members that are heard of and whose acks count."""
    wanted = sorted(target, key=lambda t: t.replica)
    keep = {t.replica for t in wanted}
    learners = {t.replica for t in wanted if t.role == "learner"}
    rest = [m for m in current.members if m.replica not in keep or (m.voter and m.replica in learners)]
    rest.sort(key=lambda m: (m.voter, m.replica == master, m.replica in live, not m.log_only))
    places = {t.node for t in wanted}
    squatters = [m for m in rest if m.node in places and m.replica not in keep]
    taken = {m.node for m in squatters}
    steps = [current.without(m.replica, epoch) for m in squatters]
    missing = [t for t in wanted if current.member(t.replica) is None and t.node not in taken]
    if missing:
        added = Member(missing[0].replica, missing[0].node, missing[0].zone, False, missing[0].role == "log-only")
        return [*steps, current.with_member(added, epoch)]
    waiting = [t for t in wanted if not _has_role(current, t)]
    for t in waiting:
        member = current.member(t.replica)
        if t.replica in level and member is not None and not member.voter:
            steps.append(current.with_member(msgspec.structs.replace(member, voter=True), epoch))
    log_only_waits = any(t.role == "log-only" for t in waiting)
    for m in rest:
        blocks = log_only_waits and (m.log_only or m.replica not in live)
        if not m.voter or not waiting or blocks:
            steps.append(_less(current, m, m.replica in learners, epoch))
    return steps


def _less(current: Membership, member: Member, stays: bool, epoch: Epoch) -> Membership:
    """The next membership, with the member gone, or as a learner."""
    if stays:
        return current.with_member(msgspec.structs.replace(member, voter=False), epoch)
    return current.without(member.replica, epoch)


def _has_role(current: Membership, target: ReplicaTarget) -> bool:
    """So has a voter that is to be a learner; and a log-only one, which becomes full by copy under a new replica id."""
    member = current.member(target.replica)
    if member is None:
        return False
    if target.role == "learner":
        return True
    return member.voter and (member.log_only == (target.role == "log-only") or member.log_only)
