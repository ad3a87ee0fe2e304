"""DeleteItem."""

import msgspec

from keystead_core.expressions import check_parameters
from keystead_core.item_keys import row_key_of_key
from keystead_core.items import check_attributes
from keystead_core.row_changes import DELETE
from keystead_node.api.actions.judged_write import (
    Clauses,
    change_of,
    check_keys,
    is_plain,
    judged,
    read_clauses,
)
from keystead_node.api.actions.write_response import check_return_values, judged_response, write_response
from keystead_node.api.context import Context
from keystead_node.api.requests import DeleteItemRequest, RequestReader


def _prepare(request: DeleteItemRequest) -> Clauses:
    plain = is_plain(request)
    if not plain:
        check_parameters("DeleteItem", msgspec.structs.asdict(request))
    check_attributes(request.Key)
    check_return_values(request.ReturnValues)
    return Clauses() if plain else read_clauses(request)


READER = RequestReader("DeleteItem", DeleteItemRequest, _prepare)


async def delete_item(context: Context, body: bytes) -> bytes:
    """Deletes an item; one that is not there is no error. Raises ApiError, ItemError and ExpressionError."""
    request, clauses = READER.read(body)
    table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_key(table, request.Key)
    if clauses.condition is not None:
        check_keys(table, clauses)
        outcome = await judged(context, table, row_key, change_of(DELETE, table, request, clauses, len(body)))
        return await judged_response(context, table, row_key, request, outcome)
    want_old = request.ReturnValues != "NONE" or request.ReturnConsumedCapacity != "NONE"
    old = await context.backend.write(table, row_key, None, want_old)
    return await write_response(context, table, row_key, request, old)
