"""PutItem."""

from keystead_core.item_keys import row_key_of_item
from keystead_core.items import encode_row
from keystead_node.api.actions.write_response import check_return_values, write_response
from keystead_node.api.context import Context
from keystead_node.api.requests import PutItemRequest, RequestReader


def _prepare(request: PutItemRequest) -> tuple[bytes, int]:
    row = encode_row(request.Item)
    check_return_values(request.ReturnValues)
    return row


READER = RequestReader("PutItem", PutItemRequest, _prepare)


async def put_item(context: Context, body: bytes) -> bytes:
    """Puts an item. Raises ApiError and ItemError."""
    request, (value, size) = READER.read(body)
    table = context.backend.table(request.TableName)
    if table is None or table.status != "ACTIVE":
        table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_item(table, request.Item)
    if request.ReturnValues == "NONE" and request.ReturnConsumedCapacity == "NONE":
        await context.backend.write(table, row_key, value, False)
        return b"{}"
    old = await context.backend.write(table, row_key, value, True)
    return write_response(table.name, request.ReturnValues, request.ReturnConsumedCapacity, old, size)
