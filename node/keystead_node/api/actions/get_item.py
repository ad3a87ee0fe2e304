"""GetItem."""

import msgspec

from keystead_core.item_keys import row_key_of_key
from keystead_core.items import check_attributes, row_json, row_size
from keystead_node.api.capacity import consumed, read_units
from keystead_node.api.context import Context
from keystead_node.api.requests import GetItemRequest, RequestReader

READER: RequestReader[GetItemRequest, int] = RequestReader(
    "GetItem", GetItemRequest, lambda request: check_attributes(request.Key)
)


async def get_item(context: Context, body: bytes) -> bytes:
    """Reads an item. Raises ApiError and ItemError."""
    request, _ = READER.read(body)
    table = context.backend.table(request.TableName)
    if table is None or table.status != "ACTIVE":
        table = await context.active_table(request.TableName, READER, body)
    row_key = row_key_of_key(table, request.Key)
    value = await context.backend.read(table, row_key, request.ConsistentRead)
    members = [b'"Item":' + row_json(value)] if value is not None else []
    if request.ReturnConsumedCapacity != "NONE":
        units = read_units(row_size(value) if value is not None else 0, request.ConsistentRead)
        capacity = consumed(table.name, units, request.ReturnConsumedCapacity)
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(capacity))
    return b"{" + b",".join(members) + b"}"
