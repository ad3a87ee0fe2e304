"""The descriptions of secondary indexes within their table's, and what both are described by."""

from collections.abc import Sequence
from typing import Any

from keystead_core.cluster_map import IndexDefinition, KeyAttribute, TableDefinition, TableOptions
from keystead_node.api.table_names import table_arn


def key_schema(hash_keys: Sequence[KeyAttribute], range_keys: Sequence[KeyAttribute]) -> list[dict[str, str]]:
    return [{"AttributeName": key.name, "KeyType": "HASH"} for key in hash_keys] + [
        {"AttributeName": key.name, "KeyType": "RANGE"} for key in range_keys
    ]


def local_description(table: TableDefinition, index: IndexDefinition) -> dict[str, Any]:
    """Nobody counts the entries of a local index: they lie among the table's rows."""
    return _common(table, index, 0, 0)


def global_description(
    table: TableDefinition, index: IndexDefinition, item_count: int, size_bytes: int
) -> dict[str, Any]:
    """`item_count` and `size_bytes` may be approximate."""
    description = _common(table, index, item_count, size_bytes)
    description["IndexStatus"] = index.status
    if index.status == "CREATING" and index.filling:
        description["Backfilling"] = True
    description["ProvisionedThroughput"] = provisioned_throughput(index)
    return description | throughput_limits(index, table.billing_mode)


def _common(table: TableDefinition, index: IndexDefinition, item_count: int, size_bytes: int) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = index.included
    return {
        "IndexName": index.name,
        "KeySchema": key_schema(index.hash, index.range),
        "Projection": projection,
        "IndexSizeBytes": size_bytes,
        "ItemCount": item_count,
        "IndexArn": f"{table_arn(table.name)}/index/{index.name}",
    }


def provisioned_throughput(metered: TableDefinition | IndexDefinition) -> dict[str, int]:
    return {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": metered.read_units,
        "WriteCapacityUnits": metered.write_units,
    }


def throughput_limits(options: TableOptions | IndexDefinition, billing_mode: str) -> dict[str, Any]:
    """The limits of on-demand requests, and warm throughput, where they were ever said."""
    found: dict[str, Any] = {}
    limits = {"MaxReadRequestUnits": options.read_requests_max, "MaxWriteRequestUnits": options.write_requests_max}
    if billing_mode == "PAY_PER_REQUEST" and any(limits.values()):
        found["OnDemandThroughput"] = {name: value or -1 for name, value in limits.items()}
    warm = {"ReadUnitsPerSecond": options.warm_reads, "WriteUnitsPerSecond": options.warm_writes}
    if any(warm.values()):
        found["WarmThroughput"] = {name: value for name, value in warm.items() if value} | {"Status": "ACTIVE"}
    return found
