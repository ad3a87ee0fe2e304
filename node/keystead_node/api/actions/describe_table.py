"""DescribeTable."""

import msgspec

from keystead_node.api.actions.table_description import table_description
from keystead_node.api.context import Context
from keystead_node.api.errors import named_table_not_found
from keystead_node.api.requests import RequestReader, TableRequest

READER: RequestReader[TableRequest, None] = RequestReader("DescribeTable", TableRequest, lambda _: None, fast=False)


async def describe_table(context: Context, body: bytes) -> bytes:
    """Describes a table, also one that is being created or deleted. Raises ApiError."""
    request, _ = READER.read(body)
    table = await context.backend.resolve_table(request.TableName)
    if table is None:
        raise named_table_not_found(request.TableName)
    item_count, size_bytes = await context.backend.table_sizes(request.TableName)
    return msgspec.json.encode({"Table": table_description(table, item_count, size_bytes)})
