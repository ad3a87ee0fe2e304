"""Maps to make pictures of."""

from keystead_core.cluster_map import ClusterMap, NodeEntry, PartitionEntry, ReplicaTarget, TableDefinition
from keystead_core.cluster_map import KeyAttribute as Key
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.keyspace import HASH_BYTES, HASH_SPACE


def make_node(number: int, zones: int = 3, state: str = "active") -> NodeEntry:
    return NodeEntry(
        id=NodeId(f"n{number}"),
        name=f"node-{number}",
        zone=f"zone-{number % zones}",
        host="",
        disk="",
        api_address="",
        peer_address="",
        admin_address="",
        boot=1,
        state=state,
    )


def make_table(name: str, units: tuple[int, int] = (0, 0), partitions_max: int = 0) -> TableDefinition:
    return TableDefinition(
        name=name,
        table_id=name,
        hash_key=Key("pk", "S"),
        range_key=None,
        partitions=1,
        replicas=3,
        write_quorum=0,
        durable_zones=1,
        created_at=0.0,
        status="ACTIVE",
        read_units=units[0],
        write_units=units[1],
        partitions_max=partitions_max,
    )


def places(partition: int, nodes: list[int], role: str = "voter") -> list[ReplicaTarget]:
    return [ReplicaTarget(ReplicaId(partition * 100 + n), NodeId(f"n{n}"), f"zone-{n % 3}", role) for n in nodes]


def make_partition(number: int, table: str, share: tuple[int, int] = (0, 1), nodes: int = 3) -> PartitionEntry:
    """`share`: the place'th of so many equal parts of the keys."""
    place, parts = share
    members = places(number, [(number + n) % nodes for n in range(min(3, nodes))])
    edge = lambda n: (n * HASH_SPACE // parts).to_bytes(HASH_BYTES, "big")  # noqa: E731
    return PartitionEntry(
        id=PartitionId(number),
        table=table,
        low=edge(place) if place else b"",
        high=edge(place + 1) if place + 1 < parts else None,
        generation=1,
        founders=members,
        target=members,
        members=members,
        write_quorum=2,
        durable_zones=1,
        epoch=1,
    )


def make_map(nodes: int, tables: list[TableDefinition], partitions: list[PartitionEntry]) -> ClusterMap:
    return ClusterMap(
        version=7,
        cluster="cluster",
        nodes={NodeId(f"n{n}"): make_node(n) for n in range(nodes)},
        tables={table.name: table for table in tables},
        partitions={entry.id: entry for entry in [make_partition(1, "", nodes=nodes), *partitions]},
    )
