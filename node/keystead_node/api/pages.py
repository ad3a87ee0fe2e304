"""Pages of a Query or Scan: the rows of a range, read until Limit, the range's end or 1 MB, and what is shown of them.

Limit and the 1 MB are of what is read, before the filter. The item that brings a page to 1 MB is its last one. Where
every row is looked into anyway (a filter, a projection, consumed capacity) the 1 MB are of item sizes, as the service
counts them; a page of whole items is measured by the stored JSON, which is longer, so that no row has to be decoded.

A page that ends at Limit or 1 MB has a LastEvaluatedKey, as the service's has, also if nothing lies behind it.
"""

import asyncio
from typing import Final, NamedTuple

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.expressions import matches
from keystead_core.item_keys import key_of_item
from keystead_core.items import Item, check_attributes, decode_row, row_json
from keystead_core.keyspace import KeyRange, next_key
from keystead_node.api.backend import Backend
from keystead_node.api.capacity import consumed, read_units
from keystead_node.api.requests import PageRequest
from keystead_node.api.selections import Selection, projected_json

PAGE_BYTES_MAX: Final = 1024 * 1024
TURN_BYTES: Final = 64 * 1024
ROW_BYTES: Final = 1024
"""Others get a turn when so many bytes of rows were looked into, each row counted as ROW_BYTES more: a filter may have
300 operators."""
_ROWS_MAX: Final = 1 << 31


class Page(NamedTuple):
    """`items`: JSON of each, unless they are only counted; `size`: of all that was read, where it was measured;
    `last_key`: behind which to go on, None at the end."""

    items: list[bytes | memoryview]
    matched: int
    scanned: int
    size: int
    last_key: Item | None


class _Cursor:
    """Where in a range the reading is."""

    def __init__(
        self, backend: Backend, table: TableDefinition, key_range: KeyRange, consistent: bool, backwards: bool
    ) -> None:
        self.is_at_end = False
        self._backend = backend
        self._table = table
        self._left = key_range
        self._consistent = consistent
        self._backwards = backwards

    async def read(self, max_rows: int, max_bytes: int) -> list[bytes]:
        """The next row values, some or all of those asked for. Raises ApiError."""
        low, high = self._left
        if high is not None and low >= high:
            self.is_at_end = True
            return []
        rows, last = await self._backend.scan(
            self._table, low, high, self._consistent, max_rows, max_bytes, self._backwards
        )
        if last is None:
            self.is_at_end = True
        else:
            self._left = KeyRange(low, last) if self._backwards else KeyRange(next_key(last), high)
        return [value for _, value in rows]


async def read_page(
    backend: Backend,
    table: TableDefinition,
    key_range: KeyRange,
    request: PageRequest,
    selection: Selection,
    backwards: bool = False,
) -> Page:
    """One page of the rows in `key_range`, from its end if `backwards`. Raises ApiError."""
    cursor = _Cursor(backend, table, key_range, request.ConsistentRead, backwards)
    limit = request.Limit or _ROWS_MAX
    is_plain = selection.condition is None and selection.projection is None
    if is_plain and request.ReturnConsumedCapacity == "NONE":
        return await _whole_items(cursor, table, limit, selection.is_count)
    return await _selected_items(cursor, table, limit, selection)


async def _whole_items(cursor: _Cursor, table: TableDefinition, limit: int, is_count: bool) -> Page:
    values: list[bytes] = []
    stored = 0
    while not cursor.is_at_end and len(values) < limit and stored < PAGE_BYTES_MAX:
        found = await cursor.read(limit - len(values), PAGE_BYTES_MAX - stored)
        values += found
        stored += sum(map(len, found))
    is_full = len(values) >= limit or stored >= PAGE_BYTES_MAX
    last_key = key_of_item(table, decode_row(values[-1])) if is_full else None
    items: list[bytes | memoryview] = [] if is_count else [row_json(value) for value in values]
    return Page(items, len(values), len(values), 0, last_key)


async def _selected_items(cursor: _Cursor, table: TableDefinition, limit: int, selection: Selection) -> Page:
    items: list[bytes | memoryview] = []
    matched = scanned = size = stored = turn = 0
    item: Item = {}
    while not cursor.is_at_end and scanned < limit and size < PAGE_BYTES_MAX:
        # An item's size is below that of its JSON: what the rows so far make likely to fill the page is asked for.
        wanted = (PAGE_BYTES_MAX - size) * stored // size + 1 if size else PAGE_BYTES_MAX
        for value in await cursor.read(limit - scanned, min(wanted, PAGE_BYTES_MAX)):
            if size >= PAGE_BYTES_MAX:
                break
            scanned += 1
            turn += len(value) + ROW_BYTES
            if turn >= TURN_BYTES:
                turn = 0
                await asyncio.sleep(0)
            item = decode_row(value)
            size += check_attributes(item)
            stored += len(value)
            if selection.condition is None or matches(selection.condition, item):
                matched += 1
                if not selection.is_count:
                    projection = selection.projection
                    items.append(row_json(value) if projection is None else projected_json(projection, item))
    is_full = scanned >= limit or size >= PAGE_BYTES_MAX
    return Page(items, matched, scanned, size, key_of_item(table, item) if is_full else None)


def page_response(table_name: str, page: Page, request: PageRequest) -> bytes:
    """The body of the answer to a Query or Scan."""
    members = [b'"Count":%d,"ScannedCount":%d' % (page.matched, page.scanned)]
    if request.Select != "COUNT":
        members.append(b'"Items":[' + b",".join(page.items) + b"]")
    if page.last_key is not None:
        members.append(b'"LastEvaluatedKey":' + msgspec.json.encode(page.last_key))
    if request.ReturnConsumedCapacity != "NONE":
        units = read_units(page.size, request.ConsistentRead)
        capacity = consumed(table_name, units, request.ReturnConsumedCapacity)
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(capacity))
    return b"{" + b",".join(members) + b"}"
