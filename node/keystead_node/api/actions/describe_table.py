"""DescribeTable."""

import msgspec

from keystead_node.api.actions.table_description import sizes_of, table_description
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import TableRequest

READER: RequestReader[TableRequest, None] = RequestReader("DescribeTable", TableRequest, lambda _: None, fast=False)


async def describe_table(context: Context, body: bytes) -> bytes:
    """Describes a table, also one that is being created or deleted. Raises ApiError."""
    request, _ = READER.read(body)
    table = await context.named_table(request.TableName)
    sizes = await sizes_of(context.backend, table)
    return msgspec.json.encode({"Table": table_description(table, sizes)})
