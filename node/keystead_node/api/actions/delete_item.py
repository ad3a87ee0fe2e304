"""DeleteItem."""

from keystead_core.item_keys import row_key_of_key
from keystead_core.items import check_attributes
from keystead_node.api.actions.write_response import check_return_values, write_response
from keystead_node.api.context import Context
from keystead_node.api.requests import DeleteItemRequest, RequestReader


def _prepare(request: DeleteItemRequest) -> None:
    check_attributes(request.Key)
    check_return_values(request.ReturnValues)


READER = RequestReader("DeleteItem", DeleteItemRequest, _prepare)


async def delete_item(context: Context, body: bytes) -> bytes:
    """Deletes an item; one that is not there is no error. Raises ApiError and ItemError."""
    request, _ = READER.read(body)
    table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_key(table, request.Key)
    want_old = request.ReturnValues != "NONE" or request.ReturnConsumedCapacity != "NONE"
    old = await context.backend.write(table, row_key, None, want_old)
    return write_response(table.name, request.ReturnValues, request.ReturnConsumedCapacity, old, 0)
