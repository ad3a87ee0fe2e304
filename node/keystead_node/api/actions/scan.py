"""Scan: a table, or one of equal segments of its hash space, page by page."""

import re
from typing import Final

import msgspec

from keystead_core.item_keys import key_of_item, range_behind, row_key_of_key
from keystead_core.items import ItemError, ItemShapeError, check_attributes, decode_row, row_json, row_size
from keystead_core.keyspace import KeyRange, hash_range, next_key
from keystead_node.api.capacity import consumed, read_units
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader, ScanRequest

PAGE_BYTES_MAX: Final = 1024 * 1024
_ROWS_MAX: Final = 1 << 31
_SEGMENTS_MAX: Final = 1_000_000
_BAD_START: Final = "The provided starting key is invalid: "
_UNPREFIXED: Final = re.compile("contains duplicates|number set|numeric value|significant digits|number with magnitude")


def _prepare(request: ScanRequest) -> KeyRange:
    """The range of row keys to scan, before ExclusiveStartKey."""
    segment, total = request.Segment, request.TotalSegments
    if request.IndexName is not None:
        raise ItemError(f"The table does not have the specified index: {request.IndexName}")
    if request.Select == "ALL_PROJECTED_ATTRIBUTES":
        raise ItemError("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if request.Select == "SPECIFIC_ATTRIBUTES":
        raise ItemError(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if request.ExclusiveStartKey is not None:
        try:
            check_attributes(request.ExclusiveStartKey)
        except ItemError as error:
            raise ItemError(("" if _UNPREFIXED.search(str(error)) else _BAD_START) + str(error)) from None
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
    """One page: at most `Limit` items and about 1 MB. Raises ApiError and ItemError."""
    request, key_range = READER.read(body)
    table = await context.active_table(request.TableName, READER, body)
    if request.ExclusiveStartKey is not None:
        try:
            start = row_key_of_key(table, request.ExclusiveStartKey)
        except ItemError as error:
            raise ItemError(_BAD_START + str(error)) from None
        behind = range_behind(start, key_range)
        if behind is None:
            raise ItemError(
                f"{_BAD_START}Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
                f"TotalSegments: {request.TotalSegments} Segment: {request.Segment}"
            )
        key_range = behind
    rows: list[bytes] = []
    rows_left, bytes_left = request.Limit or _ROWS_MAX, PAGE_BYTES_MAX
    low, more = key_range.low, True
    while more and rows_left > 0 and bytes_left > 0:
        page, last = await context.backend.scan(
            table, low, key_range.high, request.ConsistentRead, rows_left, bytes_left
        )
        rows += [value for _, value in page]
        rows_left -= len(page)
        bytes_left -= sum(len(value) for _, value in page)
        more = last is not None
        low = next_key(last) if last is not None else low
    return _response(request, table.name, rows, key_of_item(table, decode_row(rows[-1])) if more else None)


def _response(request: ScanRequest, table_name: str, rows: list[bytes], last_key: object) -> bytes:
    members = [b'"Count":%d,"ScannedCount":%d' % (len(rows), len(rows))]
    if request.Select != "COUNT":
        members.append(b'"Items":[' + b",".join(map(row_json, rows)) + b"]")
    if last_key is not None:
        members.append(b'"LastEvaluatedKey":' + msgspec.json.encode(last_key))
    if request.ReturnConsumedCapacity != "NONE":
        units = read_units(sum(map(row_size, rows)), request.ConsistentRead)
        capacity = consumed(table_name, units, request.ReturnConsumedCapacity)
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(capacity))
    return b"{" + b",".join(members) + b"}"
