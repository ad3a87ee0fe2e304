"""PutItem."""

import msgspec

from keystead_core.expressions import check_parameters
from keystead_core.indexes.key_values import check_index_keys, index_keys_of
from keystead_core.item_keys import row_key_of_item
from keystead_core.items import encode_row
from keystead_core.row_changes import PUT
from keystead_node.api.actions.judged_write import (
    Clauses,
    change_of,
    check_keys,
    is_plain,
    judged,
    read_clauses,
)
from keystead_node.api.actions.write_response import check_return_values, judged_response, write_response
from keystead_node.api.context import Context, is_served
from keystead_node.api.requests import PutItemRequest, RequestReader


def _prepare(request: PutItemRequest) -> tuple[bytes, int, Clauses]:
    plain = is_plain(request)
    if not plain:
        check_parameters("PutItem", msgspec.structs.asdict(request))
    value, size = encode_row(request.Item)
    check_return_values(request.ReturnValues)
    return value, size, _NO_CLAUSES if plain else read_clauses(request)


_NO_CLAUSES = Clauses()
READER = RequestReader("PutItem", PutItemRequest, _prepare)


async def put_item(context: Context, body: bytes) -> bytes:
    """Puts an item. Raises ApiError, ItemError and ExpressionError."""
    request, (value, size, clauses) = READER.read(body)
    table = context.backend.table(request.TableName)
    if table is None or not is_served(table):
        table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_item(table, request.Item)
    if table.indexes:
        check_index_keys(index_keys_of(table), request.Item)
    if clauses.condition is not None:
        check_keys(table, clauses)
        outcome = await judged(context, table, row_key, change_of(PUT, table, request, clauses, len(body), value))
        return await judged_response(context, table, row_key, request, outcome)
    if request.ReturnValues == "NONE" and request.ReturnConsumedCapacity == "NONE":
        await context.backend.write(table, row_key, value, False)
        if request.ReturnItemCollectionMetrics == "NONE":
            return b"{}"
        return await write_response(context, table, row_key, request, None)
    old = await context.backend.write(table, row_key, value, True)
    return await write_response(context, table, row_key, request, old, value, size)
