"""The lease of one mastership: until when its grants meet every possible failover quorum, and so may serve reads."""

from __future__ import annotations

from keystead_core.ids import Micros, ReplicaId
from keystead_core.replication import master
from keystead_core.replication.membership import Membership
from keystead_core.replication.replica import NEVER, Replica


def lease_until(r: Replica) -> Micros:
    """Until when this master's grants meet every possible failover quorum; -1 where they do not."""
    ship = r.mastership
    assert ship is not None
    generation = r.node.leases.generation
    if ship.lease_cache[0] == generation:
        return ship.lease_cache[1]
    until = min(_lease_under(r, membership) for membership in r.rules())
    ship.lease_cache = (generation, until)
    return until


def _lease_under(r: Replica, membership: Membership) -> Micros:
    granters: list[ReplicaId] = [r.id] if not r.unfit else []
    if membership.blocks_failover(granters):
        return NEVER
    for since, replica in sorted(_grants(r, membership), reverse=True):
        granters.append(replica)
        if membership.blocks_failover(granters):
            return since + membership.lease
    return -1


def _grants(r: Replica, membership: Membership) -> list[tuple[Micros, ReplicaId]]:
    """(since, replica) of each voter whose grant counts: it is level with this epoch and eligible."""
    assert r.mastership is not None
    grants = []
    for member in membership.voters:
        progress = r.mastership.progress.get(member.replica)
        if progress is None or not master.ack_counts(progress):
            continue
        since = r.node.leases.granted_since(member.node, r.partition)
        if since >= 0:
            grants.append((since, member.replica))
    return grants


def read_refusal(r: Replica, now: Micros) -> str:
    """Why no strongly consistent read may be served here at `now`; '' where it may."""
    ship = r.mastership
    if ship is None:
        return "not the master"
    if not ship.serving:
        return "the new master is not ready yet"
    if r.node.settings.reads == "quorum":
        return "reads need a round of heartbeats"
    if not lease_holds(lease_until(r), now):
        return "the lease has run out"
    return ""


def lease_holds(until: Micros, now: Micros) -> bool:
    return now < until
