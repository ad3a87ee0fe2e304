"""The status of the custom resources, from what was seen. Pure.

Available is the AND of its parts, Degraded the OR of its; Unknown is said where nothing could be read.
"""

from typing import Any

import msgspec

from keystead_operator.cluster_view import ClusterView, PartitionView, TableView


class Condition(msgspec.Struct, frozen=True):
    """One condition, without its times. `status`: True | False | Unknown."""

    type: str
    status: str
    reason: str
    message: str


def table_conditions(view: ClusterView, table: TableView | None, note: str = "") -> list[Condition]:
    """`note`: why nothing was done for a table that does not exist yet."""
    if view.map_version is None:
        return _unknown("no node answers")
    if table is None:
        message = note or "the table is about to be created"
        return [
            Condition("Available", "False", "NotCreated", message),
            Condition("Progressing", "True", "Creating", message),
            Condition("Degraded", "False", "NotCreated", message),
        ]
    headless = [str(partition.id) for partition in table.partitions if partition.master is None]
    moving = [str(partition.id) for partition in table.partitions if not _level(partition, table.desired_replicas)]
    if table.state != "ACTIVE":
        available = Condition("Available", "False", table.state.capitalize(), f"the table is {table.state}")
    elif headless or not table.partitions:
        message = f"no master: partition {', '.join(headless)}" if headless else "its partitions are not known yet"
        available = Condition("Available", "False", "NoMaster", message)
    else:
        available = Condition("Available", "True", "Serving", "every partition has a master")
    if moving:
        message = f"not all replicas are level and eligible: partition {', '.join(moving)}"
        degraded = Condition("Degraded", "True", "ReplicasMissing", message)
    else:
        degraded = Condition("Degraded", "False", "ReplicasLevel", "all replicas are level and eligible")
    busy = bool(moving) or table.state != "ACTIVE"
    progressing = Condition("Progressing", "True" if busy else "False", degraded.reason, degraded.message)
    return [available, progressing, degraded]


def cluster_conditions(view: ClusterView) -> list[Condition]:
    if view.map_version is None:
        return _unknown("no node answers")
    away = [node.name for node in view.nodes if node.state != "active"]
    if view.catalog is None or view.catalog.master is None:
        available = Condition("Available", "False", "CatalogAway", "the catalog has no master")
    elif not view.serving:
        available = Condition("Available", "False", "NoMaster", "some partitions have no master")
    else:
        available = Condition("Available", "True", "Serving", "the catalog and every partition have a master")
    if away:
        degraded = Condition("Degraded", "True", "NodesAway", f"not active: {', '.join(away)}")
    else:
        degraded = Condition("Degraded", "False", "NodesActive", "every node is active")
    return [available, degraded]


def table_status(view: ClusterView, table: TableView | None, conditions: list[Condition]) -> dict[str, Any]:
    """The status of a Table, but for times, ids and generation."""
    status: dict[str, Any] = {"conditions": [msgspec.to_builtins(condition) for condition in conditions]}
    if table is None:
        return status
    partitions = table.partitions
    desired = table.desired_replicas * len(partitions)
    level = sum(_level_replicas(partition) for partition in partitions)
    masters = {node.name: 0 for node in view.nodes}
    for partition in partitions:
        if partition.master is not None:
            masters[partition.master] = masters.get(partition.master, 0) + 1
    return status | {
        "state": table.state,
        "partitions": len(partitions),
        "partitionsServing": sum(partition.master is not None for partition in partitions),
        "replicas": f"{min(level, desired)}/{desired}",
        "mastersBalanced": f"{max(masters.values(), default=0)}-{min(masters.values(), default=0)}",
    }


def cluster_status(view: ClusterView) -> dict[str, Any]:
    """The status of a StorageCluster, but for times and generation."""
    ready = [node for node in view.nodes if node.state == "active"]
    return {
        "conditions": [msgspec.to_builtins(condition) for condition in cluster_conditions(view)],
        "clusterId": view.cluster,
        "nodes": len(view.nodes),
        "readyNodes": len(ready),
        "zones": len({node.zone for node in ready}),
        "tables": len(view.tables),
        "partitions": sum(len(table.partitions) for table in view.tables),
        "endpoint": view.endpoint,
    }


def _unknown(message: str) -> list[Condition]:
    return [Condition(kind, "Unknown", "Unreadable", message) for kind in ("Available", "Progressing", "Degraded")]


def _level_replicas(partition: PartitionView) -> int:
    return sum(one.eligible and one.role in ("master", "follower") for one in partition.replicas)


def _level(partition: PartitionView, desired: int) -> bool:
    return partition.master is not None and _level_replicas(partition) >= desired
