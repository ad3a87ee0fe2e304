"""Going on with a minority: the old group is given up, replica by replica (docs/decisions/0012).

    retire     it acks, grants, supports and stands for nothing any more, durably; then it tells how far its log goes
    conclude   the newest of them: all of its log goes into its rows, of which another group is made

What stands behind the commit LSN that it knows of may have been acknowledged: it is kept, as a new master would do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead_core.ids import NO_REPLICA
from keystead_core.log.entries import EMPTY_LOG, ReplicaState, StateEntry
from keystead_core.replication import eligibility
from keystead_core.replication.effects import Retired
from keystead_core.replication.events import Retire
from keystead_core.replication.replica import RETIRED, Replica

if TYPE_CHECKING:
    from keystead_core.replication.node import Node


def retire(node: Node, event: Retire) -> None:
    """Answered with Retired as soon as it is durable, each time; not while a copy is being put in place."""
    r = node.replicas.get(event.partition)
    if r is None:
        _never_make(node, event)
        node.emit_after_sync(Retired(event.partition, NO_REPLICA, EMPTY_LOG, False))
        return
    if r.ineligible != RETIRED:
        eligibility.enter(r, RETIRED)
    if not r.staged:
        has_rows = r.own_last_member is not None and not r.is_log_only and r.log.last_lsn > 0
        node.emit_after_sync(Retired(r.partition, r.id, r.log.last, has_rows))


def _never_make(node: Node, event: Retire) -> None:
    """A node that comes back with an older map would found the group once more."""
    if event.partition in node.dropping:
        node.dropping[event.partition] = None
    if event.replica <= node.tombstones.get(event.partition, NO_REPLICA):
        return
    node.tombstones[event.partition] = event.replica
    state = ReplicaState(event.replica, 0, NO_REPLICA, 0, "", EMPTY_LOG, b"", True)
    node.persist(StateEntry(event.partition, state))


def conclude(r: Replica) -> None:
    if r.ineligible == RETIRED and r.state_is_durable and not r.staged:
        r.advance_commit(r.log.last_lsn)
