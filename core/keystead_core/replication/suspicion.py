"""Suspecting that a group has lost its master: who stands for election first, and who takes the lock early."""

from __future__ import annotations

from keystead_core.ids import MILLISECOND, Epoch, Micros
from keystead_core.replication import election
from keystead_core.replication.replica import FOLLOWER, Replica

RANK_DELAY: Micros = 30 * MILLISECOND
RANK_DELAY_PER_GROUP: Micros = 200
FRUITLESS_EPOCHS_MAX = 8


def suspect(r: Replica, delay: Micros) -> None:
    """Stand for election after `delay`, the first in rank soonest."""
    node = r.node
    rank_delay = RANK_DELAY + len(node.replicas) * RANK_DELAY_PER_GROUP
    r.election_at = node.now + delay + rank(r) * rank_delay + node.jitter(20 * MILLISECOND)
    r.wake(r.election_at)


def suspect_without_grant(r: Replica) -> None:
    """It may stand again: while it could not, its master may have gone, which no grant that lapses would tell it."""
    if r.role == FOLLOWER and not r.node.leases.is_granting(r):
        suspect(r, r.node.settings.granted)


def patience(r: Replica, epoch: Epoch) -> Micros:
    """How long a step of an election for `epoch` may take: a lease for each epoch since the last that committed.

    Where disks or processors are overloaded for all, another candidate each lease would only add to the load, for ever.
    """
    fruitless = epoch - r.log.epoch_at(r.commit_lsn)
    return r.node.settings.lease * max(1, min(fruitless, FRUITLESS_EPOCHS_MAX))


def rank(r: Replica) -> int:
    """0 for the first of the full voters that are not the master."""
    membership = r.membership
    if membership is None:
        return 0
    able = [m.replica for m in membership.voters if not m.log_only and m.replica != r.promised_to]
    return able.index(r.id) if r.id in able else 0


def lock_early(r: Replica) -> None:
    """The lock never authorises anything: the first successor asks for it while the grants still run."""
    if election.can_stand(r) and rank(r) == 0 and r.lock_counter <= r.epoch_seen:
        election.ask_lock(r)
