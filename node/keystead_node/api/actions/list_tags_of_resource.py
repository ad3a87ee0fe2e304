"""ListTagsOfResource: the tags of a table by key, fifty a page: more than that a table has only from a manifest."""

import binascii
from base64 import b64decode, b64encode
from typing import Final

import msgspec

from keystead_core.items import ItemError
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import ListTagsOfResourceRequest
from keystead_node.api.tags import resource_table

PAGE_TAGS: Final = 50


def _prepare(request: ListTagsOfResourceRequest) -> str:
    """The key behind which the page begins: what the token of the page before says."""
    if request.NextToken is None:
        return ""
    try:
        return b64decode(request.NextToken, validate=True).decode()
    except (binascii.Error, ValueError):
        raise ItemError("Invalid NextToken") from None


READER = RequestReader("ListTagsOfResource", ListTagsOfResourceRequest, _prepare, fast=False)


async def list_tags_of_resource(context: Context, body: bytes) -> bytes:
    """One page. Raises ApiError and ItemError."""
    request, behind = READER.read(body)
    table = await resource_table(context, request.ResourceArn)
    keys = sorted(key for key in table.tags if key > behind)
    page = keys[:PAGE_TAGS]
    response: dict[str, object] = {"Tags": [{"Key": key, "Value": table.tags[key]} for key in page]}
    if len(keys) > len(page):
        response["NextToken"] = b64encode(page[-1].encode()).decode()
    return msgspec.json.encode(response)
