"""The TableDescription of a table, as CreateTable, UpdateTable, DescribeTable and DeleteTable answer it."""

from collections.abc import Mapping
from typing import Any, Final

from keystead_core.cluster_map import TableDefinition, index_table
from keystead_node.api.actions.index_descriptions import (
    global_description,
    key_schema,
    local_description,
    provisioned_throughput,
    throughput_limits,
)
from keystead_node.api.backend import Backend
from keystead_node.api.table_names import table_arn

_KEY_ARN: Final = "arn:aws:kms:keystead:000000000000:"


Sizes = Mapping[str, tuple[int, int]]
"""(items, bytes), approximate: of the table under "", of a global index under its name; what is missing has none."""
_NONE: Final = (0, 0)


async def sizes_of(backend: Backend, table: TableDefinition) -> Sizes:
    sizes = {"": await backend.table_sizes(table.name)}
    for index in table.indexes:
        if index.is_global:
            sizes[index.name] = await backend.table_sizes(index_table(table.name, index.name))
    return sizes


def table_description(table: TableDefinition, sizes: Sizes | None = None) -> dict[str, Any]:
    """`sizes` None: all are empty."""
    sizes = sizes or {}
    item_count, size_bytes = sizes.get("", _NONE)
    description: dict[str, Any] = {
        "TableName": table.name,
        "TableArn": table_arn(table.name),
        "TableId": table.table_id,
        "TableStatus": table.status,
        "CreationDateTime": table.created_at,
        "AttributeDefinitions": _attribute_definitions(table),
        "KeySchema": key_schema([table.hash_key], [] if table.range_key is None else [table.range_key]),
        "ProvisionedThroughput": provisioned_throughput(table),
        "ItemCount": item_count,
        "TableSizeBytes": size_bytes,
        "DeletionProtectionEnabled": table.deletion_protection,
    }
    local = [local_description(table, index) for index in table.indexes if not index.is_global]
    of_all = [
        global_description(table, index, *sizes.get(index.name, _NONE)) for index in table.indexes if index.is_global
    ]
    indexes = {"LocalSecondaryIndexes": local, "GlobalSecondaryIndexes": of_all}
    description |= {name: found for name, found in indexes.items() if found}
    return description | _billing(table) | _stream(table) | _storage(table)


def _attribute_definitions(table: TableDefinition) -> list[dict[str, str]]:
    """All that is part of a key, by name, as the service sorts them."""
    types = {key.name: key.type for key in (table.hash_key, table.range_key) if key is not None}
    types |= {key.name: key.type for index in table.indexes for key in (*index.hash, *index.range)}
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in sorted(types.items())]


def _billing(table: TableDefinition) -> dict[str, Any]:
    options = table.options
    found: dict[str, Any] = {}
    if table.billing_mode == "PAY_PER_REQUEST" or options.on_demand_at:
        since = {"LastUpdateToPayPerRequestDateTime": options.on_demand_at} if options.on_demand_at else {}
        found["BillingModeSummary"] = {"BillingMode": table.billing_mode, **since}
        found["TableThroughputModeSummary"] = {"TableThroughputMode": table.billing_mode, **since}
    return found | throughput_limits(options, table.billing_mode)


def _stream(table: TableDefinition) -> dict[str, Any]:
    options = table.options
    found: dict[str, Any] = {}
    if options.stream_view:
        found["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": options.stream_view}
    if options.stream_label:
        found["LatestStreamLabel"] = options.stream_label
        found["LatestStreamArn"] = f"{table_arn(table.name)}/stream/{options.stream_label}"
    return found


def _storage(table: TableDefinition) -> dict[str, Any]:
    options = table.options
    found: dict[str, Any] = {}
    if options.table_class:
        since = {"LastUpdateDateTime": options.table_class_at} if options.table_class_at else {}
        found["TableClassSummary"] = {"TableClass": options.table_class, **since}
    if options.encryption:
        key = options.encryption_key or "alias/aws/dynamodb"
        if not key.startswith("arn:"):
            key = _KEY_ARN + (key if key.startswith("alias/") else f"key/{key}")
        found["SSEDescription"] = {"Status": "ENABLED", "SSEType": options.encryption, "KMSMasterKeyArn": key}
    return found
