"""Hand-over of a mastership: stop taking writes, bring the successor level, release the lease, let it start.

The release names (epoch, boot, last LSN, successor) and is void for any other. Having sent it, the old master serves
nothing more in that epoch, even if the hand-over fails.
"""

from __future__ import annotations

from collections.abc import Collection

from keystead_core.ids import NO_REPLICA, Epoch, NodeId, ReplicaId
from keystead_core.replication import election, read_lease, suspicion
from keystead_core.replication.messages import Release
from keystead_core.replication.replica import FOLLOWER, Mastership, Replica


def begin(r: Replica, successor: ReplicaId) -> str:
    """Starts a hand-over; returns why it is refused, or ''. It is given up after half a lease."""
    ship = r.mastership
    if ship is None or not ship.serving:
        return "not the serving master"
    if ship.handing_to:
        return "already handing over"
    chosen = successor or most_level(r)
    member = r.membership.member(chosen) if r.membership else None
    if member is None or not member.voter or member.log_only or chosen == r.id:
        return "no other full voter can take over"
    ship.handing_to = chosen
    ship.handover_until = r.node.now + r.node.settings.lease // 2
    r.wake(ship.handover_until)
    proceed(r)
    return ""


def meet_higher_promise(r: Replica, promised: Epoch) -> None:
    """A member has promised a higher epoch. A master that still has its quorum stands above it; one whose lease has
    run out has been followed by another, or will be: it waits no longer for writes to fail."""
    r.epoch_seen = max(r.epoch_seen, promised)
    ship = r.mastership
    if ship is None or not ship.serving:
        return
    now, lease = r.node.now, r.node.settings.lease
    if read_lease.lease_holds(read_lease.lease_until(r), now):
        _stand_again(r, ship)
    elif now - ship.serving_since > lease:
        r.step_down("its lease has run out, and a member has promised a higher epoch")
        suspicion.suspect(r, lease // 2)


def _stand_again(r: Replica, ship: Mastership) -> None:
    """Finishes the writes under way and stands above the promise, so that one flapping follower cannot shut itself
    out."""
    if ship.handing_to:
        return
    ship.handing_to = r.id
    ship.handover_until = r.node.now + r.node.settings.lease // 2
    r.wake(ship.handover_until)
    proceed(r)


def give_way_for_room(r: Replica) -> None:
    """A master on a full disk refuses writes that grow: it hands over to a replica whose node reports room.

    If none does, it stays and serves reads and deletes.
    """
    if r.mastership is None or r.node.leases.room != 0:
        return
    rooms = r.node.leases.rooms
    successor = most_level(r, [node for node, room in rooms.items() if room > 0])
    if successor:
        begin(r, successor)


def most_level(r: Replica, among: Collection[NodeId] | None = None) -> ReplicaId:
    """The other full voter with the longest acked log, of those not known to be gone; `among` these nodes."""
    ship = r.mastership
    assert ship is not None and r.membership is not None
    best, best_lsn = NO_REPLICA, -1
    for member in r.membership.voters:
        progress = ship.progress.get(member.replica)
        if member.log_only or progress is None or not progress.level or not progress.eligible:
            continue
        if r.node.peers.is_lost(member.node) or (among is not None and member.node not in among):
            continue
        if progress.match_lsn > best_lsn:
            best, best_lsn = member.replica, progress.match_lsn
    return best


def proceed(r: Replica) -> None:
    """Once everything is committed and the successor has it all: release."""
    ship = r.mastership
    if ship is None or not ship.handing_to or r.commit_lsn != r.log.last_lsn:
        return
    if ship.handing_to == r.id:
        r.step_down("stands again above a member's higher promise")
        election.begin(r)
        return
    progress = ship.progress.get(ship.handing_to)
    if progress is None or progress.match_lsn != r.log.last_lsn:
        return
    successor = ship.handing_to
    release = Release(r.partition, r.id, r.node.boot, r.epoch, r.log.last, successor)
    r.send(successor, release)
    resign(r, successor)


def resign(r: Replica, successor: ReplicaId) -> None:
    """The old master serves nothing more in this epoch, and has released its own grant too."""
    r.step_down(f"handed over to replica {successor}")
    r.master = NO_REPLICA
    suspicion.suspect(r, r.node.settings.lease // 2)


def on_release(r: Replica, m: Release) -> None:
    """The successor starts at once, unless the release is not for its present state."""
    if not release_is_for(r, m) or r.unfit or r.is_log_only or not election.is_admitted(r):
        return
    election.begin_with_release(r, m)


def release_is_for(r: Replica, m: Release) -> bool:
    return (
        r.role == FOLLOWER
        and m.successor == r.id
        and m.epoch == r.promised == r.log.last_epoch
        and (m.replica, m.boot) == (r.promised_to, r.promised_boot)
        and m.last == r.log.last
        and r.log.durable_lsn == r.log.last_lsn
    )


def voids_grant(r: Replica, release: Release | None, candidate: ReplicaId) -> bool:
    """Does the release that a candidate carries end the grant that binds us?"""
    return (
        release is not None
        and release.successor == candidate
        and release.epoch == r.promised
        and (release.replica, release.boot) == (r.promised_to, r.promised_boot)
    )
