"""How many nodes may be away at once, as the quorums are now. Pure."""

from keystead_operator.cluster_view import ClusterView, PartitionView


def disruptions_allowed(view: ClusterView) -> int:
    """Nodes that may go down together without any group losing its write quorum, while every replica is level; 0 while
    some group has nothing to spare, or while nobody knows. Groups of one voter do not count: whoever declares those
    accepts that each restart of a node interrupts them."""
    if view.map_version is None or view.catalog is None:
        return 0
    groups = [view.catalog, *(partition for table in view.tables for partition in table.partitions)]
    spares = [spare(group) for group in groups if len(voters(group)) > 1]
    return max(0, min(spares, default=1))


def unlevel(view: ClusterView) -> str:
    """Why a node should not go down now of our own will, or "": every group has a master and all its voters level."""
    if view.map_version is None or view.catalog is None:
        return "the catalog is away"
    wanted = {table.name: table.desired_replicas for table in view.tables}
    for group in [view.catalog, *(partition for table in view.tables for partition in table.partitions)]:
        if group.master is None:
            return f"partition {group.id} has no master"
        level = sum(replica.eligible and replica.role in ("master", "follower") for replica in group.replicas)
        if level < wanted.get(group.table, len(voters(group))):
            return f"partition {group.id} has {level} level replicas"
    return ""


def spare(partition: PartitionView) -> int:
    """Level voters beyond the write quorum; negative where the quorum is missing."""
    if partition.master is None:
        return 0
    level = sum(replica.eligible and replica.role in ("master", "follower") for replica in partition.replicas)
    return level - partition.write_quorum


def voters(partition: PartitionView) -> list[str]:
    """The nodes of the replicas that count in quorums, as far as is known."""
    return [replica.node for replica in partition.replicas if replica.role != "learner"]
