"""`spec.capacity` of a StorageCluster: how tables are held to their units, and what the nodes are told of it."""

from typing import Any, Final

from keystead_operator.spec.schema import Schema, choice, integer, struct

UNITS_MAX: Final = 1_000_000_000
SETTINGS: Final = {
    "mode": "capacity_mode",
    "burstSeconds": "burst_seconds",
    "partitionReadUnits": "partition_read_units",
    "partitionWriteUnits": "partition_write_units",
    "onDemandPartitionReadUnits": "on_demand_partition_read_units",
    "onDemandPartitionWriteUnits": "on_demand_partition_write_units",
}
"""The field, and the node's setting."""


def capacity_schema() -> Schema:
    """Without defaults: what is absent is as the nodes have it."""

    def units(what: str, default: int) -> Schema:
        return integer(f"{what} a second; 0 for no limit, {default} if absent.", 0, UNITS_MAX)

    return struct(
        "How tables are held to their capacity units. A node takes a change at its next start.",
        {
            "mode": choice(
                "Whether what is beyond a table's units is refused, or only counted; enforce if absent.",
                "enforce",
                "observe",
            ),
            "burstSeconds": integer(
                "For how long a table saves units that it leaves unused; 300 if absent.", 1, 86_400
            ),
            "partitionReadUnits": units("Read units of a partition of a provisioned table", 3000),
            "partitionWriteUnits": units("Write units of a partition of a provisioned table", 1000),
            "onDemandPartitionReadUnits": units("Read units of a partition of a table on demand", 0),
            "onDemandPartitionWriteUnits": units("Write units of a partition of a table on demand", 0),
        },
    )


def capacity_settings(spec: dict[str, Any]) -> dict[str, Any]:
    """The settings of nodes that a StorageCluster's spec asks for."""
    given = spec.get("capacity", {})
    return {SETTINGS[field]: given[field] for field in SETTINGS if field in given}
