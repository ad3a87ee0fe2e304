"""ListTables, in the order of names, up to 100 a page."""

import msgspec

from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import ListTablesRequest

READER: RequestReader[ListTablesRequest, None] = RequestReader(
    "ListTables", ListTablesRequest, lambda _: None, fast=False
)


async def list_tables(context: Context, body: bytes) -> bytes:
    """One page of names. Raises ApiError."""
    request, _ = READER.read(body)
    start = request.ExclusiveStartTableName
    names = sorted(name for name in await context.backend.list_tables() if start is None or name > start)
    response: dict[str, object] = {"TableNames": names[: request.Limit]}
    if len(names) > request.Limit:
        response["LastEvaluatedTableName"] = names[request.Limit - 1]
    return msgspec.json.encode(response)
