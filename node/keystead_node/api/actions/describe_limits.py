"""DescribeLimits: the numbers that the service gives a new account. No account is held to them."""

from typing import Final

import msgspec

from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import EmptyRequest

LIMITS: Final = {
    "AccountMaxReadCapacityUnits": 80_000,
    "AccountMaxWriteCapacityUnits": 80_000,
    "TableMaxReadCapacityUnits": 40_000,
    "TableMaxWriteCapacityUnits": 40_000,
}
READER: RequestReader[EmptyRequest, None] = RequestReader("DescribeLimits", EmptyRequest, lambda _: None, fast=False)


async def describe_limits(_context: Context, body: bytes) -> bytes:
    """Raises ApiError for what is no request."""
    READER.read(body)
    return msgspec.json.encode(LIMITS)
