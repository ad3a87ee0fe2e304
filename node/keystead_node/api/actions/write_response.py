"""What PutItem, DeleteItem and UpdateItem answer."""

from typing import Any

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.items import Item, ItemError, row_json, row_size
from keystead_core.row_changes import Outcome
from keystead_node.api.capacity import write_units
from keystead_node.api.context import Context
from keystead_node.api.index_capacity import consumed_with_indexes, index_write_units
from keystead_node.api.item_collections import collection_metrics
from keystead_node.api.requests import DeleteItemRequest, PutItemRequest, UpdateItemRequest


def check_return_values(return_values: str) -> None:
    """Raises ItemError for what only UpdateItem may ask for."""
    if return_values not in ("NONE", "ALL_OLD"):
        raise ItemError("ReturnValues can only be ALL_OLD or NONE")


async def write_response(
    context: Context,
    table: TableDefinition,
    row_key: bytes,
    request: PutItemRequest | DeleteItemRequest,
    old: bytes | None,
    new: bytes | None = None,
    new_size: int = 0,
) -> bytes:
    """`old`: the row's value before, if it was asked for and there was one; `new`, `new_size`: of the item written."""
    attributes = row_json(old) if old is not None and request.ReturnValues == "ALL_OLD" else None
    capacity = None
    if request.ReturnConsumedCapacity != "NONE":
        units = write_units(max(new_size, row_size(old) if old is not None else 0))
        index_units = index_write_units(table, row_key, old, new)
        capacity = consumed_with_indexes(table, units, index_units, request.ReturnConsumedCapacity)
    return _response(attributes, capacity, await _metrics(context, table, request))


async def judged_response(
    context: Context,
    table: TableDefinition,
    row_key: bytes,
    request: PutItemRequest | DeleteItemRequest | UpdateItemRequest,
    outcome: Outcome,
) -> bytes:
    """The same of a change that the partition's master has made."""
    capacity = None
    if request.ReturnConsumedCapacity != "NONE":
        units = write_units(max(outcome.old_size, outcome.new_size))
        index_units = index_write_units(table, row_key, outcome.old_row, outcome.new_row)
        capacity = consumed_with_indexes(table, units, index_units, request.ReturnConsumedCapacity)
    return _response(outcome.attributes, capacity, await _metrics(context, table, request))


async def _metrics(
    context: Context, table: TableDefinition, request: PutItemRequest | DeleteItemRequest | UpdateItemRequest
) -> dict[str, Any] | None:
    attributes: Item = request.Item if isinstance(request, PutItemRequest) else request.Key
    return await collection_metrics(context.backend, table, attributes, request.ReturnItemCollectionMetrics)


def _response(
    attributes: bytes | memoryview | None, capacity: dict[str, Any] | None, metrics: dict[str, Any] | None
) -> bytes:
    """`attributes`: JSON; None for none."""
    members = []
    if attributes is not None:
        members.append(b'"Attributes":' + attributes)
    if capacity is not None:
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(capacity))
    if metrics is not None:
        members.append(b'"ItemCollectionMetrics":' + msgspec.json.encode(metrics))
    return b"{" + b",".join(members) + b"}"
