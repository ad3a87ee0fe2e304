"""UpdateTimeToLive: items expire by the time in an attribute from now on, or no longer. Done when answered."""

import msgspec

from keystead_core.catalog.table_changes import Expiry, TableChange
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import UpdateTimeToLiveRequest


def _prepare(request: UpdateTimeToLiveRequest) -> TableChange:
    wanted = request.TimeToLiveSpecification
    return TableChange(expiry=Expiry(wanted.AttributeName, wanted.Enabled))


READER = RequestReader("UpdateTimeToLive", UpdateTimeToLiveRequest, _prepare, fast=False)


async def update_time_to_live(context: Context, body: bytes) -> bytes:
    """Raises ApiError."""
    request, change = READER.read(body)
    table = await context.changeable_table(request.TableName)
    await context.backend.change_table(table.name, change)
    return msgspec.json.encode({"TimeToLiveSpecification": request.TimeToLiveSpecification})
