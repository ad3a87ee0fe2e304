"""Scan: a table, or one of equal segments of its hash space, page by page."""

from typing import Final, NamedTuple

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.expressions import (
    Placeholders,
    attributes_to_get,
    check_parameters,
    check_scalar_keys,
    paths_of,
    schema_of_table,
)
from keystead_core.item_keys import range_behind, row_key_of_key
from keystead_core.items import Item, ItemError, ItemShapeError
from keystead_core.keyspace import KeyRange, hash_range
from keystead_node.api.context import Context
from keystead_node.api.pages import page_response, read_page
from keystead_node.api.requests import RequestReader, ScanRequest
from keystead_node.api.selections import (
    BAD_START,
    Selection,
    check_projection,
    check_start_values,
    is_unselective,
    legacy_filter,
    refuse_index,
    selection_of,
)

_SEGMENTS_MAX: Final = 1_000_000


class _Prepared(NamedTuple):
    """`key_range`: the row keys to scan, before ExclusiveStartKey."""

    key_range: KeyRange
    selection: Selection


def _prepare(request: ScanRequest) -> _Prepared:
    if request.ScanFilter is None and is_unselective(request):
        check_start_values(request.ExclusiveStartKey)
        return _Prepared(_segment(request), Selection())
    check_parameters("Scan", msgspec.structs.asdict(request))
    projection = None if request.AttributesToGet is None else attributes_to_get(request.AttributesToGet)
    condition = legacy_filter(request.ScanFilter, request.ConditionalOperator, "ScanFilter")
    check_start_values(request.ExclusiveStartKey)
    key_range = _segment(request)
    placeholders = Placeholders(request.ExpressionAttributeNames, request.ExpressionAttributeValues)
    return _Prepared(key_range, selection_of(request, placeholders, condition, projection))


def _segment(request: ScanRequest) -> KeyRange:
    segment, total = request.Segment, request.TotalSegments
    if segment is None and total is None:
        return KeyRange(b"", None)
    if total is None:
        raise ItemError(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
            "present"
        )
    if segment is None:
        raise ItemError(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
            "present"
        )
    if segment < 0 or total > _SEGMENTS_MAX:
        raise ItemShapeError("a segment is out of range")
    if segment >= total:
        raise ItemError(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return hash_range(segment, total)


READER = RequestReader("Scan", ScanRequest, _prepare)


async def scan(context: Context, body: bytes) -> bytes:
    """One page. Raises ApiError, ItemError and ExpressionError."""
    request, prepared = READER.read(body)
    table = await context.active_table(request.TableName, READER, body)
    refuse_index(request, READER, body)
    key_range = _rows_to_read(table, request, prepared)
    page = await read_page(context.backend, table, key_range, request, prepared.selection)
    return page_response(table.name, page, request)


def _rows_to_read(table: TableDefinition, request: ScanRequest, prepared: _Prepared) -> KeyRange:
    """Checks the request against the table's keys. Raises ItemError and ExpressionError."""
    key_range, selection = prepared
    if request.ExclusiveStartKey is not None:
        key_range = _range_left(table, request, request.ExclusiveStartKey, key_range)
    schema = schema_of_table(table)
    check_projection(selection.projection, schema)
    if selection.condition is not None:
        check_scalar_keys(paths_of(selection.condition), schema)
    return key_range


def _range_left(table: TableDefinition, request: ScanRequest, start: Item, key_range: KeyRange) -> KeyRange:
    """What is left of the segment behind the start key. Raises ItemError if that is not in it."""
    try:
        row_key = row_key_of_key(table, start)
    except ItemError as error:
        raise ItemError(f"{BAD_START}: {error}") from None
    left = range_behind(row_key, key_range)
    if left is None:
        raise ItemError(
            f"{BAD_START}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
            f"TotalSegments: {request.TotalSegments} Segment: {request.Segment}"
        )
    return left
