"""TagResource: sets tags of a table."""

from keystead_core.catalog.table_changes import TableChange
from keystead_core.items import ItemError
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import TagResourceRequest
from keystead_node.api.tags import checked_tags, refuse_own_tags, resource_table


def _prepare(request: TagResourceRequest) -> TableChange:
    if not request.Tags:
        raise ItemError("Atleast one Tag needs to be provided as Input.")
    tags = checked_tags(request.Tags)
    refuse_own_tags(tags)
    return TableChange(tags=tags)


READER = RequestReader("TagResource", TagResourceRequest, _prepare, fast=False)


async def tag_resource(context: Context, body: bytes) -> bytes:
    """Raises ApiError and ItemError."""
    request, change = READER.read(body)
    table = await resource_table(context, request.ResourceArn)
    await context.backend.change_table(table.name, change)
    return b""
