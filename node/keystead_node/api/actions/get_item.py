"""GetItem."""

import msgspec

from keystead_core.expressions import Projection, check_parameters, schema_of_table
from keystead_core.item_keys import row_key_of_key
from keystead_core.items import check_attributes, decode_row, row_json, row_size
from keystead_node.api.capacity import consumed, read_units
from keystead_node.api.context import Context, is_served
from keystead_node.api.requests import GetItemRequest, RequestReader
from keystead_node.api.selections import check_projection, projected_json, projection_of, returns_whole_items


def _prepare(request: GetItemRequest) -> Projection | None:
    if returns_whole_items(request):
        check_attributes(request.Key)
        return None
    check_parameters("GetItem", msgspec.structs.asdict(request))
    check_attributes(request.Key)
    return projection_of(request)


READER = RequestReader("GetItem", GetItemRequest, _prepare)


async def get_item(context: Context, body: bytes) -> bytes:
    """Reads an item. Raises ApiError, ItemError and ExpressionError."""
    request, projection = READER.read(body)
    table = context.backend.table(request.TableName)
    if table is None or not is_served(table):
        table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_key(table, request.Key)
    if projection is not None:
        check_projection(projection, schema_of_table(table))
    value = await context.backend.read(table, row_key, request.ConsistentRead)
    members = []
    if value is not None:
        item = row_json(value) if projection is None else projected_json(projection, decode_row(value))
        members.append(b'"Item":' + item)
    if request.ReturnConsumedCapacity != "NONE":
        units = read_units(row_size(value) if value is not None else 0, request.ConsistentRead)
        capacity = consumed(table.name, units, request.ReturnConsumedCapacity)
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(capacity))
    return b"{" + b",".join(members) + b"}"
