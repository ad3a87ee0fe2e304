"""UpdateItem."""

import msgspec

from keystead_core.expressions import check_parameters
from keystead_core.item_keys import row_key_of_key
from keystead_core.items import check_attributes
from keystead_core.row_changes import UPDATE
from keystead_node.api.actions.judged_write import (
    Clauses,
    change_of,
    check_keys,
    judged,
    read_clauses,
)
from keystead_node.api.actions.write_response import judged_response
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader, UpdateItemRequest


def _prepare(request: UpdateItemRequest) -> Clauses:
    check_parameters("UpdateItem", msgspec.structs.asdict(request))
    check_attributes(request.Key)
    return read_clauses(request)


READER = RequestReader("UpdateItem", UpdateItemRequest, _prepare)


async def update_item(context: Context, body: bytes) -> bytes:
    """Changes attributes of an item, or makes it. Raises ApiError, ItemError and ExpressionError."""
    request, clauses = READER.read(body)
    table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_key(table, request.Key)
    check_keys(table, clauses)
    outcome = await judged(context, table, row_key, change_of(UPDATE, table, request, clauses, len(body)))
    return await judged_response(context, table, row_key, request, outcome)
