"""What a valid manifest means, as typed values: what plan/ works with.

Both take an object with its defaults (validation.with_defaults) that was found valid.
"""

import re
from typing import Any, Final

import msgspec

from keystead_core.cluster_map import IndexSpec, KeyAttribute
from keystead_operator.spec.capacity import capacity_settings
from keystead_operator.spec.copies import copies_settings
from keystead_operator.spec.indexes import global_index_specs, local_index_specs

_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A StorageCluster. `write_quorum` 0 means a majority. Times are in seconds. `capacity`, `copies`: settings of the
    nodes."""

    name: str
    nodes: int
    remove_nodes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    replicas: int = 3
    write_quorum: int = 0
    durable_zones: int = 1
    lease_seconds: float = 1.0
    lock: str = "preferred"
    reads: str = "lease"
    audit_log: str = "off"
    node_loss_grace_seconds: float = 300.0
    suspend: bool = False
    capacity: dict[str, Any] = {}
    copies: dict[str, Any] = {}


class DeclaredTable(msgspec.Struct, frozen=True, kw_only=True):
    """A Table, with what it leaves open taken from its cluster. `read_units` 0: on demand.

    `partitions`: how many to create it with. `partitions_fixed`: the spec names a count. `partitions_max`: 0
    for none. `resource`: the name of the object. `deleting`: the object is being deleted. `write_quorum` is a number
    here, never 0. `global_indexes`: None where the spec says nothing of them.
    """

    resource: str
    name: str
    hash_key: KeyAttribute
    range_key: KeyAttribute | None
    replicas: int
    write_quorum: int
    durable_zones: int
    read_units: int = 0
    write_units: int = 0
    partitions: int = 1
    partitions_fixed: bool = False
    partitions_max: int = 0
    deletion_protection: bool = False
    retain: bool = False
    tags: dict[str, str] = {}
    deleting: bool = False
    global_indexes: tuple[IndexSpec, ...] | None = None
    local_indexes: tuple[IndexSpec, ...] = ()

    @property
    def managed_by(self) -> str:
        return f"Table/{self.resource}"


def duration_seconds(text: str) -> float:
    """5m30s -> 330.0"""
    return sum(int(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(text))


def cluster_spec(manifest: dict[str, Any]) -> ClusterSpec:
    spec = manifest["spec"]
    replication, failover = spec["replication"], spec["failover"]
    return ClusterSpec(
        name=manifest["metadata"]["name"],
        nodes=spec["nodes"],
        remove_nodes=tuple(spec.get("removeNodes", ())),
        zones=tuple(spec["zones"].get("names", ())),
        replicas=replication["replicas"],
        write_quorum=replication.get("writeQuorum", 0),
        durable_zones=replication["durableZones"],
        lease_seconds=float(failover["leaseSeconds"]),
        lock=failover["lock"],
        reads=failover["reads"],
        audit_log=spec.get("auditLog", "off"),
        node_loss_grace_seconds=duration_seconds(spec["nodeLossGrace"]),
        suspend=spec["suspend"],
        capacity=capacity_settings(spec),
        copies=copies_settings(spec),
    )


def declared_table(manifest: dict[str, Any], cluster: ClusterSpec) -> DeclaredTable:
    """The table as `cluster` is to hold it. A table with its own replica count has its own majority too."""
    spec, metadata = manifest["spec"], manifest["metadata"]
    types = {attribute["name"]: attribute["type"] for attribute in spec["attributes"]}
    keys, capacity, partitions = spec["keySchema"], spec["capacity"], spec.get("partitions", {})
    range_name = keys.get("rangeKey")
    replicas = spec.get("replicas", cluster.replicas)
    inherited_quorum = cluster.write_quorum if replicas == cluster.replicas else 0
    return DeclaredTable(
        resource=metadata["name"],
        name=spec.get("tableName", metadata["name"]),
        hash_key=KeyAttribute(keys["hashKey"], types[keys["hashKey"]]),
        range_key=None if range_name is None else KeyAttribute(range_name, types[range_name]),
        replicas=replicas,
        write_quorum=spec.get("writeQuorum", inherited_quorum) or replicas // 2 + 1,
        durable_zones=spec.get("durableZones", min(cluster.durable_zones, replicas)),
        read_units=capacity.get("read", 0),
        write_units=capacity.get("write", 0),
        partitions=partitions.get("count", partitions.get("min", 1)),
        partitions_fixed="count" in partitions,
        partitions_max=partitions.get("max", 0),
        deletion_protection=spec["deletionProtection"],
        retain=spec["deletionPolicy"] == "Retain",
        tags=spec.get("tags", {}),
        deleting="deletionTimestamp" in metadata,
        global_indexes=global_index_specs(spec, types),
        local_indexes=local_index_specs(spec, types),
    )
