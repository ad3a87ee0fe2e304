"""DescribeTimeToLive."""

import msgspec

from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import TableRequest

READER: RequestReader[TableRequest, None] = RequestReader(
    "DescribeTimeToLive", TableRequest, lambda _: None, fast=False
)


async def describe_time_to_live(context: Context, body: bytes) -> bytes:
    """By which attribute items expire, if they do. Raises ApiError."""
    request, _ = READER.read(body)
    attribute = (await context.named_table(request.TableName)).options.expiry_attribute
    described = {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute} if attribute else {}
    return msgspec.json.encode({"TimeToLiveDescription": described or {"TimeToLiveStatus": "DISABLED"}})
