"""The TableDescription of a table, as CreateTable, UpdateTable, DescribeTable and DeleteTable answer it."""

from typing import Any, Final

from keystead_core.cluster_map import TableDefinition
from keystead_node.api.table_names import table_arn

_KEY_ARN: Final = "arn:aws:kms:keystead:000000000000:"


def table_description(table: TableDefinition, item_count: int, size_bytes: int) -> dict[str, Any]:
    """`item_count` and `size_bytes` may be approximate."""
    keys = [table.hash_key] if table.range_key is None else [table.hash_key, table.range_key]
    description: dict[str, Any] = {
        "TableName": table.name,
        "TableArn": table_arn(table.name),
        "TableId": table.table_id,
        "TableStatus": table.status,
        "CreationDateTime": table.created_at,
        "AttributeDefinitions": [{"AttributeName": key.name, "AttributeType": key.type} for key in keys],
        "KeySchema": [
            {"AttributeName": key.name, "KeyType": role} for key, role in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": table.read_units,
            "WriteCapacityUnits": table.write_units,
        },
        "ItemCount": item_count,
        "TableSizeBytes": size_bytes,
        "DeletionProtectionEnabled": table.deletion_protection,
    }
    return description | _billing(table) | _stream(table) | _storage(table)


def _billing(table: TableDefinition) -> dict[str, Any]:
    options = table.options
    found: dict[str, Any] = {}
    if table.billing_mode == "PAY_PER_REQUEST" or options.on_demand_at:
        since = {"LastUpdateToPayPerRequestDateTime": options.on_demand_at} if options.on_demand_at else {}
        found["BillingModeSummary"] = {"BillingMode": table.billing_mode, **since}
        found["TableThroughputModeSummary"] = {"TableThroughputMode": table.billing_mode, **since}
    limits = {"MaxReadRequestUnits": options.read_requests_max, "MaxWriteRequestUnits": options.write_requests_max}
    if table.billing_mode == "PAY_PER_REQUEST" and any(limits.values()):
        found["OnDemandThroughput"] = {name: value or -1 for name, value in limits.items()}
    warm = {"ReadUnitsPerSecond": options.warm_reads, "WriteUnitsPerSecond": options.warm_writes}
    if any(warm.values()):
        found["WarmThroughput"] = {name: value for name, value in warm.items() if value} | {"Status": "ACTIVE"}
    return found


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
