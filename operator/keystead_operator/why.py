"""Why a table is not as it should be: one sentence for each partition in trouble. Pure."""

import msgspec

from keystead_operator.cluster_view import ClusterView, PartitionView, ReplicaView, TableView


class Explanation(msgspec.Struct, frozen=True):
    """One partition. `healthy`: it has a master and all its replicas are level and eligible."""

    partition: int
    healthy: bool
    sentence: str


def explain(view: ClusterView, table: TableView) -> list[Explanation]:
    """A sentence for every partition of the table, in the order of their ranges."""
    return [_explain(view, table, partition) for partition in table.partitions]


def _explain(view: ClusterView, table: TableView, partition: PartitionView) -> Explanation:
    voters = [replica for replica in partition.replicas if replica.role != "learner"]
    name = f"Partition {partition.id} of {table.name}"
    if partition.master is None and partition.recovering:
        return Explanation(partition.id, False, f"{name} is {partition.recovery}.")
    if partition.master is None:
        return Explanation(partition.id, False, f"{name} has no master: {_no_master(view, partition, voters)}.")
    trouble = [text for replica in partition.replicas if (text := _trouble(replica)) is not None]
    standing = [replica.node for replica in partition.replicas if replica.role == "candidate"]
    if standing:
        trouble.append(f"{_listed(standing)} {'does' if len(standing) == 1 else 'do'} not follow it yet")
    if partition.way_back:
        trouble.append(f"it takes no write without the volume of {partition.way_back}")
    missing = table.desired_replicas - len(voters)
    if missing > 0:
        trouble.append(f"{_counted(missing, 'replica')} of {table.desired_replicas} not placed yet")
    if not trouble:
        sentence = f"{name} is served by {partition.master} with all {_counted(len(voters), 'replica')}."
        return Explanation(partition.id, True, sentence + _recovered(partition))
    sentence = f"{name} is served by {partition.master}, but {_listed(trouble)}."
    return Explanation(partition.id, False, sentence + _recovered(partition))


def _recovered(partition: PartitionView) -> str:
    """What was lost is said for as long as the partition is there."""
    return f" It was {partition.recovery}." if partition.recovery else ""


def _no_master(view: ClusterView, partition: PartitionView, voters: list[ReplicaView]) -> str:
    able = [replica for replica in voters if replica.eligible and replica.last_lsn is not None]
    quorum = len(voters) - partition.write_quorum + 1
    parts = []
    if len(able) < quorum:
        have = f"only {able[0].node} can" if len(able) == 1 else f"{len(able)} of {len(voters)} replicas can"
        parts.append(f"{quorum} replicas must support a new one and {have if able else 'none can'}")
        if partition.way_back:
            parts.append(f"with the volume of {partition.way_back} it comes back by itself")
    elif view.catalog is not None and view.catalog.master is None and partition.id != view.catalog.id:
        parts.append("the catalog, which hands out locks, has no master either")
    else:
        parts.append(f"{_names(able)} can support one, and the election is not over")
    parts += [text for replica in voters if (text := _trouble(replica)) is not None]
    candidates = [replica.node for replica in voters if replica.role == "candidate"]
    if candidates:
        parts.append(f"{_listed(candidates)} {'stands' if len(candidates) == 1 else 'stand'} for it")
    parts += partition.notes
    return "; ".join(parts)


def _trouble(replica: ReplicaView) -> str | None:
    where = f"{replica.node} ({replica.zone})" if replica.zone else replica.node
    match replica.role:
        case "unreachable":
            return f"{where} does not answer"
        case "lost":
            return f"the volume of {where} that held a replica is gone"
        case "absent":
            return f"{where} has not made its replica yet"
        case "learner":
            return f"{where} is catching up{_behind(replica)}"
        case "log-only":
            return f"{where} stands in with the log alone"
    if not replica.eligible:
        return f"{where} takes no part: {replica.why_not}"
    return None


def _behind(replica: ReplicaView) -> str:
    return f", {replica.lag} records behind" if replica.lag else ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _names(replicas: list[ReplicaView]) -> str:
    return _listed([replica.node for replica in replicas])


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
