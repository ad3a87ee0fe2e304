"""The status of the custom resources, from what was seen. Pure.

Available is the AND of its parts, Degraded the OR of its; Unknown is said where nothing could be read.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from keystead_operator.cluster_view import ClusterView, PartitionView, TableView
from keystead_operator.plan.actions import Note
from keystead_operator.rescale_progress import RescaleProgress


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
        message = _headless(table) if headless else "its partitions are not known yet"
        available = Condition("Available", "False", "NoMaster", message)
    elif stuck := [partition for partition in table.partitions if partition.way_back]:
        numbers = ", ".join(str(partition.id) for partition in stuck)
        message = f"takes no write: partition {numbers}; it does with the volume of {stuck[0].way_back}"
        available = Condition("Available", "False", "NoWriteQuorum", message)
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


def _headless(table: TableView) -> str:
    headless = [partition for partition in table.partitions if partition.master is None]
    message = f"no master: partition {', '.join(str(partition.id) for partition in headless)}"
    ways = {partition.way_back: None for partition in headless if partition.way_back}
    if len(ways) > 1:
        return f"{message}; keystead why {table.name} says with which volumes each comes back"
    return f"{message}; it comes back by itself with the volume of {next(iter(ways))}" if ways else message


def cluster_conditions(view: ClusterView, notes: Sequence[Note] = (), busy: Sequence[str] = ()) -> list[Condition]:
    """`notes`: what the planner leaves alone about the cluster, and why. `busy`: what is being done, as sentences."""
    told = {note.reason: note.message for note in notes}
    blocked = _told("ScaleInBlocked", told, "NothingBlocked", "no node waits to be taken away")
    lost = _told("VolumeLost", told, "VolumesPresent", "no volume is missed")
    if view.map_version is None:
        waiting = "; ".join([*told.values(), *busy]) or "no node answers"
        unknown = [
            Condition(kind, "Unknown", "Unreadable", waiting)
            for kind in ("Available", "Progressing", "Degraded", "QuorumHealthy", "DataMoving")
        ]
        return [*unknown, blocked, lost]
    away = [node.name for node in view.nodes if node.state != "active"]
    quorum = _quorum_healthy(view)
    available = Condition(
        "Available", quorum.status, "Serving" if quorum.status == "True" else quorum.reason, quorum.message
    )
    worries = [f"not active: {', '.join(away)}"] if away else []
    worries += [message for reason, message in told.items() if reason in WORRYING]
    if worries:
        reason = "NodesAway" if away else next(reason for reason in told if reason in WORRYING)
        degraded = Condition("Degraded", "True", reason, "; ".join(worries))
    else:
        degraded = Condition("Degraded", "False", "NodesActive", "every node is active")
    if busy:
        progressing = Condition("Progressing", "True", "Working", "; ".join(busy))
    else:
        progressing = Condition("Progressing", "False", "Settled", "nothing is left to do")
    return [available, progressing, degraded, quorum, _data_moving(view), blocked, lost]


WORRYING: Final = (
    "VolumeLost",
    "NoSpareNode",
    "FoundersUnknown",
    "VolumesNotEmpty",
    "RolloutStopped",
    "VolumeGoing",
    "NodeStranded",
)


def _told(kind: str, told: dict[str, str], otherwise: str, message: str) -> Condition:
    """True with the planner's own words, if it said so."""
    if kind in told:
        return Condition(kind, "True", kind, told[kind])
    return Condition(kind, "False", otherwise, message)


def _quorum_healthy(view: ClusterView) -> Condition:
    if view.catalog is None or view.catalog.master is None:
        return Condition("QuorumHealthy", "False", "CatalogAway", "the catalog has no master")
    headless = sum(partition.master is None for table in view.tables for partition in table.partitions)
    if headless:
        return Condition("QuorumHealthy", "False", "NoMaster", f"{headless} partitions have no master")
    stuck = sum(bool(partition.ways_back) for table in view.tables for partition in table.partitions)
    if stuck:
        return Condition("QuorumHealthy", "False", "NoWriteQuorum", f"{stuck} partitions take no write")
    return Condition("QuorumHealthy", "True", "QuorumsHealthy", "the catalog and every partition have a master")


def _data_moving(view: ClusterView) -> Condition:
    moving = sum(
        any(replica.role in ("learner", "absent") for replica in partition.replicas)
        for table in view.tables
        for partition in table.partitions
    )
    if moving:
        return Condition("DataMoving", "True", "CatchingUp", f"{moving} partitions have a replica that catches up")
    return Condition("DataMoving", "False", "AllInPlace", "no replica is on the move")


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
    if table.indexes:
        status["indexes"] = [msgspec.to_builtins(index) for index in table.indexes]
    return status | {
        "state": table.state,
        "partitions": len(partitions),
        "partitionsServing": sum(partition.master is not None for partition in partitions),
        "replicas": f"{min(level, desired)}/{desired}",
        "mastersBalanced": f"{max(masters.values(), default=0)}-{min(masters.values(), default=0)}",
    }


def cluster_status(
    view: ClusterView, notes: Sequence[Note] = (), busy: Sequence[str] = (), rescale: RescaleProgress | None = None
) -> dict[str, Any]:
    """The status of a StorageCluster, but for times and generation. `notes` and `busy` as in cluster_conditions."""
    ready = [node for node in view.nodes if node.state == "active"]
    moving = {} if rescale is None else {"rescale": _rescale(rescale)}
    return {
        **moving,
        "conditions": [msgspec.to_builtins(condition) for condition in cluster_conditions(view, notes, busy)],
        "clusterId": view.cluster,
        "nodes": len(view.nodes),
        "readyNodes": len(ready),
        "zones": len({node.zone for node in ready}),
        "tables": len(view.tables),
        "partitions": sum(len(table.partitions) for table in view.tables),
        "endpoint": view.endpoint,
    }


def _rescale(rescale: RescaleProgress) -> dict[str, Any]:
    shown: dict[str, Any] = {"moved": rescale.moved, "toMove": rescale.to_move, "moving": rescale.moving}
    shown["bytesLeft"] = rescale.bytes_left
    if rescale.leaving:
        shown["leaving"] = list(rescale.leaving)
    return shown if rescale.seconds_left is None else {**shown, "secondsLeft": rescale.seconds_left}


def _unknown(message: str) -> list[Condition]:
    return [Condition(kind, "Unknown", "Unreadable", message) for kind in ("Available", "Progressing", "Degraded")]


def _level_replicas(partition: PartitionView) -> int:
    return sum(one.eligible and one.role in ("master", "follower") for one in partition.replicas)


def _level(partition: PartitionView, desired: int) -> bool:
    return partition.master is not None and _level_replicas(partition) >= desired
