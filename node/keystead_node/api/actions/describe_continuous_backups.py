"""DescribeContinuousBackups: as the service describes a table for which nobody has asked for recovery to a time."""

import msgspec

from keystead_node.api.context import Context
from keystead_node.api.errors import TableNotFound
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_names import table_name
from keystead_node.api.table_requests import TableRequest

READER: RequestReader[TableRequest, None] = RequestReader(
    "DescribeContinuousBackups", TableRequest, lambda _: None, fast=False
)


async def describe_continuous_backups(context: Context, body: bytes) -> bytes:
    """Raises ApiError."""
    request, _ = READER.read(body)
    name = table_name(request.TableName)
    if await context.backend.resolve_table(name) is None:
        raise TableNotFound(f"Table not found: {name}")
    recovery = {"PointInTimeRecoveryStatus": "DISABLED"}
    described = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
    return msgspec.json.encode({"ContinuousBackupsDescription": described})
