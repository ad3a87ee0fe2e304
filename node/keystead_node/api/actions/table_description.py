"""The TableDescription of a table, as CreateTable, DescribeTable and DeleteTable answer it."""

from typing import Any, Final

from keystead_core.cluster_map import TableDefinition

ARN_PREFIX: Final = "arn:aws:dynamodb:keystead:000000000000:table/"


def table_description(table: TableDefinition, item_count: int, size_bytes: int) -> dict[str, Any]:
    """`item_count` and `size_bytes` may be approximate."""
    keys = [table.hash_key] if table.range_key is None else [table.hash_key, table.range_key]
    description: dict[str, Any] = {
        "TableName": table.name,
        "TableArn": ARN_PREFIX + table.name,
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
    if table.billing_mode == "PAY_PER_REQUEST":
        description["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
        description["TableThroughputModeSummary"] = {"TableThroughputMode": "PAY_PER_REQUEST"}
    return description
