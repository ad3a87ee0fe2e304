"""Scan: a table or index, or one of equal segments of its hash space, page by page."""

from typing import Final, NamedTuple

import msgspec

from keystead_core.expressions import (
    Placeholders,
    attributes_to_get,
    check_parameters,
    check_scalar_keys,
    paths_of,
)
from keystead_core.item_keys import range_behind
from keystead_core.items import Item, ItemError, ItemShapeError
from keystead_core.keyspace import KeyRange, hash_range
from keystead_node.api.context import Context
from keystead_node.api.pages import page_response, read_page
from keystead_node.api.requests import RequestReader, ScanRequest
from keystead_node.api.selections import (
    Selection,
    check_projection,
    check_start_values,
    is_unselective,
    legacy_filter,
    selection_from,
    selection_of,
)
from keystead_node.api.targets import BAD_START, Target, target_of

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
    target = await target_of(context, table, request, READER, body)
    key_range = _rows_to_read(target, request, prepared)
    selection = selection_from(target, request, prepared.selection)
    page = await read_page(context.backend, target, key_range, request, selection)
    return page_response(target, page, request)


def _rows_to_read(target: Target, request: ScanRequest, prepared: _Prepared) -> KeyRange:
    """Checks the request against the keys of the table and its indexes. Raises ItemError and ExpressionError."""
    key_range, selection = prepared
    if request.ExclusiveStartKey is not None:
        key_range = _range_left(target, request, request.ExclusiveStartKey, key_range)
    check_projection(selection.projection, target.table_schema)
    if selection.condition is not None:
        check_scalar_keys(paths_of(selection.condition), target.table_schema)
    return key_range


def _range_left(target: Target, request: ScanRequest, start: Item, key_range: KeyRange) -> KeyRange:
    """What is left of the segment behind the start key. Raises ItemError if that is not in it."""
    try:
        row_key = target.start(start)
    except ItemError as error:
        raise ItemError(str(error) if target.index is not None else f"{BAD_START}: {error}") from None
    left = range_behind(row_key, key_range)
    if left is None:
        raise ItemError(
            f"{BAD_START}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
            f"TotalSegments: {request.TotalSegments} Segment: {request.Segment}"
        )
    return left
