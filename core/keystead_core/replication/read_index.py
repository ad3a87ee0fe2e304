"""Reads without clocks (`reads: quorum`): served once a heartbeat round that began after the request has confirmed us.

All reads that wait share the round under way or the next one. No lease and no rate of any clock is trusted, so a
machine that was frozen cannot serve what others have overwritten meanwhile.
"""

from __future__ import annotations

from keystead_core.ids import NodeId
from keystead_core.replication import master
from keystead_core.replication.effects import ReadReady, ReadRefused
from keystead_core.replication.membership import Membership
from keystead_core.replication.replica import Mastership, Replica


def want(r: Replica, token: int) -> None:
    """A strongly consistent read has arrived."""
    ship = r.mastership
    if ship is None or not ship.serving:
        reason = "not the master" if ship is None else "the new master is not ready yet"
        r.node.emit(ReadRefused(r.partition, [token], reason, r.node.node_of_master(r)))
        return
    ship.reads_next.append(token)
    if not ship.reads:
        _begin(r, ship)


def _begin(r: Replica, ship: Mastership) -> None:
    """Starts a round: only heartbeats sent from now on count."""
    ship.reads, ship.reads_next = ship.reads_next, []
    ship.read_barrier = {}
    for member in r.peers():
        holder = r.node.leases.grants_from.get(member.node)
        if holder is not None:
            ship.read_barrier[member.node] = holder.sequence
            holder.dirty = True
    r.node.leases.reading[r.partition] = None
    proceed(r)


def proceed(r: Replica) -> None:
    """A heartbeat was answered: is the round complete?"""
    ship = r.mastership
    if ship is None or not ship.reads or not all(_is_confirmed(r, ship, m) for m in r.rules()):
        return
    r.node.emit(ReadReady(r.partition, ship.reads))
    ship.reads = []
    del r.node.leases.reading[r.partition]
    if ship.reads_next:
        _begin(r, ship)


def _is_confirmed(r: Replica, ship: Mastership, membership: Membership) -> bool:
    granters = [r.id] if not r.unfit else []
    for member in membership.voters:
        progress = ship.progress.get(member.replica)
        if progress is not None and master.ack_counts(progress) and granted_after(r, ship, member.node):
            granters.append(member.replica)
    return membership.blocks_failover(granters)


def granted_after(r: Replica, ship: Mastership, node: NodeId) -> bool:
    """Has the node granted this group in answer to a heartbeat that was sent after the reads arrived?"""
    holder = r.node.leases.grants_from.get(node)
    barrier = ship.read_barrier.get(node)
    if holder is None or barrier is None or holder.granted_since(r.partition) < 0:
        return False
    return holder.confirmed_sequence > barrier


def refuse_all(r: Replica) -> None:
    """The mastership ends: whoever waits looks for the next master."""
    ship = r.mastership
    if ship is None or not (ship.reads or ship.reads_next):
        return
    r.node.emit(ReadRefused(r.partition, [*ship.reads, *ship.reads_next], "the master changed", NodeId("")))
    ship.reads, ship.reads_next = [], []
    r.node.leases.reading.pop(r.partition, None)
