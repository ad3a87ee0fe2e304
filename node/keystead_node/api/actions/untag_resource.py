"""UntagResource: takes tags off a table; one that is not there is no error."""

from keystead_core.catalog.table_changes import TableChange
from keystead_core.items import ItemError
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import UntagResourceRequest
from keystead_node.api.tags import check_tag_keys, refuse_own_tags, resource_table


def _prepare(request: UntagResourceRequest) -> TableChange:
    if not request.TagKeys:
        raise ItemError("Atleast one Tag Key needs to be provided as Input.")
    check_tag_keys(request.TagKeys)
    refuse_own_tags(request.TagKeys)
    return TableChange(tags_removed=request.TagKeys)


READER = RequestReader("UntagResource", UntagResourceRequest, _prepare, fast=False)


async def untag_resource(context: Context, body: bytes) -> bytes:
    """Raises ApiError and ItemError."""
    request, change = READER.read(body)
    table = await resource_table(context, request.ResourceArn)
    await context.backend.change_table(table.name, change)
    return b""
