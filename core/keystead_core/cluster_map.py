"""The cluster map: which tables exist, which partition holds which range, and where its replicas should live.

The catalog's state machine makes it, every node keeps the last one it saw on its disk, and routers follow its deltas.
It is a hint to everyone but the catalog: a replica trusts only its own log about who its members are.
"""

import msgspec

from keystead_core.ids import NodeId, PartitionId, ReplicaId


class KeyAttribute(msgspec.Struct, frozen=True):
    """A key attribute: `type` is S, N or B."""

    name: str
    type: str


class TableDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A table as the catalog holds it. `managed_by`: "" (made through the API) or the custom resource that owns it.

    `write_quorum` 0 means a majority. `status`: CREATING | ACTIVE | DELETING. `created_at`: seconds since 1970.
    """

    name: str
    table_id: str
    hash_key: KeyAttribute
    range_key: KeyAttribute | None
    partitions: int
    replicas: int
    write_quorum: int
    durable_zones: int
    created_at: float
    status: str
    managed_by: str = ""
    deletion_protection: bool = False
    tags: dict[str, str] = {}
    billing_mode: str = "PAY_PER_REQUEST"
    read_units: int = 0
    write_units: int = 0


class ReplicaTarget(msgspec.Struct, frozen=True):
    """Where a replica should live. `role`: voter | learner | log-only."""

    replica: ReplicaId
    node: NodeId
    zone: str
    role: str


class PartitionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A range [low, high) of row keys of one table (`high` None: no end) and its replica group.

    `founders` are the members with which the group was made; `target` is where the group's master is to bring its
    membership; `members`, `epoch`, `membership_version` and `master` are what the group last reported.
    """

    id: PartitionId
    table: str
    low: bytes
    high: bytes | None
    generation: int
    founders: list[ReplicaTarget]
    target: list[ReplicaTarget]
    members: list[ReplicaTarget]
    write_quorum: int
    durable_zones: int
    epoch: int = 0
    membership_version: int = 1
    master: NodeId = NodeId("")


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A node that has registered. `state`: active | maintenance | left (irreversible). Addresses are host:port."""

    id: NodeId
    name: str
    zone: str
    host: str
    disk: str
    api_address: str
    peer_address: str
    admin_address: str
    boot: int
    state: str


class ClusterMap(msgspec.Struct, kw_only=True):
    """The whole map. `version` rises with every change."""

    version: int
    cluster: str
    nodes: dict[NodeId, NodeEntry]
    tables: dict[str, TableDefinition]
    partitions: dict[PartitionId, PartitionEntry]
