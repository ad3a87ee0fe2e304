"""DescribeEndpoints: the address that the client has just used, so that clients which ask stay where they are."""

from typing import Final

import msgspec

from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import EmptyRequest

CACHE_MINUTES: Final = 1440
READER: RequestReader[EmptyRequest, None] = RequestReader("DescribeEndpoints", EmptyRequest, lambda _: None, fast=False)


async def describe_endpoints(context: Context, body: bytes) -> bytes:
    """Raises ApiError for what is no request."""
    READER.read(body)
    return msgspec.json.encode({"Endpoints": [{"Address": context.host, "CachePeriodInMinutes": CACHE_MINUTES}]})
