"""Pages of a Query or Scan: the rows of a range, read until Limit, the range's end or 1 MB, and what is shown of them.

Limit and the 1 MB are of what is read, before the filter. The item that brings a page to 1 MB is its last one. Where
every row is looked into anyway (a filter, a projection, consumed capacity) the 1 MB are of item sizes, as the service
counts them; a page of whole items is measured by the stored JSON, which is longer, so that no row has to be decoded.

A page that ends at Limit or 1 MB has a LastEvaluatedKey, as the service's has, also if nothing lies behind it.

What a local index does not project is fetched from the table, an item at a time, and counts towards the 1 MB too. An
item that is gone by then is not returned.
"""

import asyncio
from typing import Final, NamedTuple

import msgspec

from keystead_core.expressions import matches
from keystead_core.items import Item, check_attributes, decode_row, row_json
from keystead_core.keyspace import KeyRange, next_key
from keystead_node.api.backend import Backend
from keystead_node.api.capacity import read_units
from keystead_node.api.index_capacity import consumed_with_indexes
from keystead_node.api.requests import PageRequest
from keystead_node.api.selections import Selection, projected_json
from keystead_node.api.targets import Target

PAGE_BYTES_MAX: Final = 1024 * 1024
TURN_BYTES: Final = 64 * 1024
ROW_BYTES: Final = 1024
"""Others get a turn when so many bytes of rows were looked into, each row counted as ROW_BYTES more: a filter may have
300 operators."""
_ROWS_MAX: Final = 1 << 31
_FETCHES: Final = 16
"""Items that are fetched from the table at the same time."""


class Page(NamedTuple):
    """`items`: JSON of each, unless they are only counted; `size`: of all that was read, where it was measured;
    `last_key`: behind which to go on, None at the end. `fetched_units`: for what was fetched from the table."""

    items: list[bytes | memoryview]
    matched: int
    scanned: int
    size: int
    last_key: Item | None
    fetched_units: float = 0.0


class _Cursor:
    """Where in a range the reading is."""

    def __init__(
        self, backend: Backend, target: Target, key_range: KeyRange, consistent: bool, backwards: bool
    ) -> None:
        self.is_at_end = False
        self._backend = backend
        self._target = target
        self._left = key_range
        self._consistent = consistent
        self._backwards = backwards

    async def read(self, max_rows: int, max_bytes: int) -> list[bytes]:
        """The next row values, some or all of those asked for. Raises ApiError."""
        low, high = self._left
        if high is not None and low >= high:
            self.is_at_end = True
            return []
        target = self._target
        rows, last = await self._backend.scan(
            target.rows, low, high, self._consistent, max_rows, max_bytes, self._backwards, target.space
        )
        if last is None:
            self.is_at_end = True
        else:
            self._left = KeyRange(low, last) if self._backwards else KeyRange(next_key(last), high)
        return [value for _, value in rows]

    async def fetch(self, values: list[bytes]) -> list[bytes | None]:
        """The rows of the table that entries were made of; None: it is gone. Raises ApiError."""
        target = self._target
        keys = [target.row_key_of(decode_row(value)) for value in values]
        return await asyncio.gather(*(self._backend.read(target.table, key, self._consistent) for key in keys))


async def read_page(
    backend: Backend,
    target: Target,
    key_range: KeyRange,
    request: PageRequest,
    selection: Selection,
    backwards: bool = False,
) -> Page:
    """One page of what is in `key_range`, from its end if `backwards`. Raises ApiError."""
    cursor = _Cursor(backend, target, key_range, request.ConsistentRead, backwards)
    limit = request.Limit or _ROWS_MAX
    is_plain = selection.condition is None and selection.projection is None and not selection.fetches
    if is_plain and request.ReturnConsumedCapacity == "NONE":
        return await _whole_items(cursor, target, limit, selection.is_count)
    reading = _Reading(selection, request.ConsistentRead)
    await _read_items(cursor, limit, reading)
    last_key = target.last_key(reading.item) if reading.is_full(limit) else None
    return Page(reading.items, reading.matched, reading.scanned, reading.size, last_key, reading.fetched_units)


async def _whole_items(cursor: _Cursor, target: Target, limit: int, is_count: bool) -> Page:
    values: list[bytes] = []
    stored = 0
    while not cursor.is_at_end and len(values) < limit and stored < PAGE_BYTES_MAX:
        found = await cursor.read(limit - len(values), PAGE_BYTES_MAX - stored)
        values += found
        stored += sum(map(len, found))
    is_full = len(values) >= limit or stored >= PAGE_BYTES_MAX
    last_key = target.last_key(decode_row(values[-1])) if is_full else None
    items: list[bytes | memoryview] = [] if is_count else [row_json(value) for value in values]
    return Page(items, len(values), len(values), 0, last_key)


class _Reading:
    """A page that is read item by item. `size`, `fetched_size`: of the items, or entries, and of what was fetched;
    `stored`: of the JSON; `item`: the last one that was read."""

    def __init__(self, selection: Selection, consistent: bool) -> None:
        self.items: list[bytes | memoryview] = []
        self.matched = self.scanned = self.size = self.fetched_size = self.stored = self.turn = 0
        self.fetched_units = 0.0
        self.item: Item = {}
        self.fetches = selection.fetches
        self._selection = selection
        self._consistent = consistent

    def is_full(self, limit: int) -> bool:
        return self.scanned >= limit or self.size + self.fetched_size >= PAGE_BYTES_MAX

    def wanted_bytes(self) -> int:
        """An item's size is below that of its JSON: what the rows so far make likely to fill the page is asked for."""
        size = self.size + self.fetched_size
        return min((PAGE_BYTES_MAX - size) * self.stored // size + 1, PAGE_BYTES_MAX) if size else PAGE_BYTES_MAX

    def is_turn_over(self, stored: int) -> bool:
        """Whether others are to get a turn before a row of so many bytes is looked into."""
        self.turn += stored + ROW_BYTES
        if self.turn < TURN_BYTES:
            return False
        self.turn = 0
        return True

    def take(self, value: bytes, fetched: bytes | None) -> None:
        """Looks into the next row or entry; `fetched`: the row of the table that it was made of, if that is wanted."""
        selection = self._selection
        self.scanned += 1
        self.item = item = decode_row(value)
        self.size += check_attributes(item)
        self.stored += len(value)
        if self.fetches:
            size = 0
            if fetched is not None:
                value, item = fetched, decode_row(fetched)
                size = check_attributes(item)
            self.fetched_size += size
            self.fetched_units += read_units(size, self._consistent)
            if fetched is None:
                return
        if selection.condition is None or matches(selection.condition, self.item):
            self.matched += 1
            if not selection.is_count:
                projection = selection.projection
                self.items.append(row_json(value) if projection is None else projected_json(projection, item))


async def _read_items(cursor: _Cursor, limit: int, reading: _Reading) -> None:
    while not cursor.is_at_end and not reading.is_full(limit):
        values = await cursor.read(limit - reading.scanned, reading.wanted_bytes())
        step = _FETCHES if reading.fetches else len(values)
        for first in range(0, len(values), step or 1):
            part = values[first : first + step]
            fetched = await cursor.fetch(part) if reading.fetches else [None] * len(part)
            for value, row in zip(part, fetched, strict=True):
                if reading.is_full(limit):
                    return
                if reading.is_turn_over(len(value) + len(row or b"")):
                    await asyncio.sleep(0)
                reading.take(value, row)


def page_response(target: Target, page: Page, request: PageRequest) -> bytes:
    """The body of the answer to a Query or Scan."""
    members = [b'"Count":%d,"ScannedCount":%d' % (page.matched, page.scanned)]
    if request.Select != "COUNT":
        members.append(b'"Items":[' + b",".join(page.items) + b"]")
    if page.last_key is not None:
        members.append(b'"LastEvaluatedKey":' + msgspec.json.encode(page.last_key))
    if request.ReturnConsumedCapacity != "NONE":
        units = read_units(page.size, request.ConsistentRead)
        index = target.index
        capacity = consumed_with_indexes(
            target.table,
            units if index is None else page.fetched_units,
            {} if index is None else {index.name: units},
            request.ReturnConsumedCapacity,
        )
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(capacity))
    return b"{" + b",".join(members) + b"}"
