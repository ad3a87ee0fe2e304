"""Durability as the protocol page states it, for the checks: the core's own may be the one that is wrong."""

from collections.abc import Collection

from keystead_core.ids import ReplicaId
from keystead_core.replication.membership import Membership


def is_failover_quorum(membership: Membership, supporters: Collection[ReplicaId]) -> bool:
    """More than half of the voters, one with rows among them, and the others could not have acked alone."""
    voters = [m for m in membership.members if m.voter]
    inside = [m for m in voters if m.replica in supporters]
    outside = [m.replica for m in voters if m.replica not in supporters]
    has_rows = any(not m.log_only for m in inside)
    return 2 * len(inside) > len(voters) and has_rows and not is_durable(membership, outside)


def is_durable(membership: Membership, replicas: Collection[ReplicaId]) -> bool:
    """W voters, a majority at least, in K zones."""
    voters = [m for m in membership.members if m.voter]
    holders = [m for m in voters if m.replica in replicas]
    needed = max(membership.write_quorum_min, len(voters) // 2 + 1)
    return len(holders) >= needed and len({m.zone for m in holders}) >= membership.durable_zones
