"""BatchWriteItem: up to 25 puts and deletes, each atomic, none together."""

import asyncio
from collections import defaultdict
from typing import Any, Final

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.indexes.key_values import check_index_keys, index_keys_of
from keystead_core.item_keys import row_key_of_key
from keystead_core.items import Item, ItemError, ItemShapeError, check_attributes, encode_row, row_size
from keystead_node.api.capacity import write_units
from keystead_node.api.context import Context
from keystead_node.api.errors import ApiError, Throttled, Unavailable
from keystead_node.api.index_capacity import consumed_with_indexes, index_write_units
from keystead_node.api.item_collections import collection_metrics
from keystead_node.api.requests import BatchWriteItemRequest, RequestReader, WriteRequest

REQUESTS_MAX: Final = 25


class _Write(msgspec.Struct):
    """One row to write; `value` None deletes it. `asked`: what the request calls the table, its name or ARN."""

    asked: str
    request: WriteRequest
    attributes: Item
    value: bytes | None
    size: int


_Row = tuple[TableDefinition, bytes, _Write]
_Outcome = bytes | BaseException | None


def _prepare(request: BatchWriteItemRequest) -> dict[str, list[_Write]]:
    if not request.RequestItems or not all(request.RequestItems.values()):
        raise ItemShapeError("a batch is empty")
    if max(map(len, request.RequestItems.values())) > REQUESTS_MAX:
        raise ItemShapeError("a table's batch is too long")
    if sum(map(len, request.RequestItems.values())) > REQUESTS_MAX:
        raise ItemError("Too many items requested for the BatchWriteItem call")
    return {name: [_prepare_write(name, write) for write in writes] for name, writes in request.RequestItems.items()}


def _prepare_write(asked: str, request: WriteRequest) -> _Write:
    put, delete = request.PutRequest, request.DeleteRequest
    if put is not None and delete is None:
        value, size = encode_row(put.Item)
        return _Write(asked, request, put.Item, value, size)
    if delete is not None and put is None:
        check_attributes(delete.Key)
        return _Write(asked, request, delete.Key, None, 0)
    raise ItemError(
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
    )


READER = RequestReader("BatchWriteItem", BatchWriteItemRequest, _prepare)


async def batch_write_item(context: Context, body: bytes) -> bytes:
    """Writes a batch. Rows that were surely not written come back as UnprocessedItems, unless none was written.

    Raises ApiError (OutcomeUnknown if it is unknown for any row) and ItemError.
    """
    request, batches = READER.read(body)
    rows: list[_Row] = []
    tables: list[list[_Row]] = []
    for name, writes in batches.items():
        table = await context.active_table(name, READER, body)
        keyed = [(table, _row_key(table, write), write) for write in writes]
        _check_index_keys(table, writes)
        if len({row_key for _, row_key, _ in keyed}) != len(keyed):
            raise ItemError("Provided list of item keys contains duplicates")
        rows += keyed
        tables.append(keyed)
    want_old = request.ReturnConsumedCapacity != "NONE"
    outcomes = await (_write_each(context, rows) if want_old else _write_tables(context, tables))
    _raise_failure(outcomes)
    unprocessed: dict[str, list[WriteRequest]] = {}
    spent = _Spent()
    written: dict[str, list[tuple[TableDefinition, _Write]]] = {}
    for (table, row_key, write), outcome in zip(rows, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            unprocessed.setdefault(write.asked, []).append(write.request)
            continue
        written.setdefault(write.asked, []).append((table, write))
        if want_old:
            spent.add(table, row_key, write, outcome)
    response: dict[str, object] = {"UnprocessedItems": unprocessed}
    if want_old:
        response["ConsumedCapacity"] = spent.consumed(request.ReturnConsumedCapacity)
    if request.ReturnItemCollectionMetrics == "SIZE":
        metrics = {asked: await _metrics(context, writes) for asked, writes in written.items()}
        response["ItemCollectionMetrics"] = {asked: found for asked, found in metrics.items() if found}
    return msgspec.json.encode(response)


async def _write_each(context: Context, rows: list[_Row]) -> list[_Outcome]:
    """With the rows before: what they cost depends on those too."""
    writes = (context.backend.write(table, row_key, write.value, True) for table, row_key, write in rows)
    return await asyncio.gather(*writes, return_exceptions=True)


async def _write_tables(context: Context, tables: list[list[_Row]]) -> list[_Outcome]:
    if len(tables) == 1:
        return await _write_table(context, tables[0])
    found = await asyncio.gather(*(_write_table(context, rows) for rows in tables))
    return [outcome for outcomes in found for outcome in outcomes]


async def _write_table(context: Context, rows: list[_Row]) -> list[_Outcome]:
    changes = [(row_key, write.value) for _, row_key, write in rows]
    try:
        return [*await context.backend.write_rows(rows[0][0], changes)]
    except Exception as error:
        return [error] * len(rows)


class _Spent:
    """The capacity units of a batch, by table."""

    def __init__(self) -> None:
        self._tables: dict[str, TableDefinition] = {}
        self._units: defaultdict[str, float] = defaultdict(float)
        self._index_units: dict[str, defaultdict[str, float]] = {}

    def add(self, table: TableDefinition, row_key: bytes, write: _Write, old: bytes | None) -> None:
        size = max(write.size, row_size(old) if old is not None else 0)
        self._tables[table.name] = table
        self._units[table.name] += write_units(size)
        by_index = self._index_units.setdefault(table.name, defaultdict(float))
        for index, units in index_write_units(table, row_key, old, write.value).items():
            by_index[index] += units

    def consumed(self, wanted: str) -> list[dict[str, Any]]:
        return [
            consumed_with_indexes(table, self._units[name], self._index_units[name], wanted)
            for name, table in self._tables.items()
        ]


async def _metrics(context: Context, writes: list[tuple[TableDefinition, _Write]]) -> list[dict[str, Any]]:
    """One for each partition key of a table that was written to."""
    found: list[dict[str, Any]] = []
    seen = set()
    for table, write in writes:
        key = table.hash_key
        content = write.attributes[key.name][key.type]
        if content not in seen:
            seen.add(content)
            metrics = await collection_metrics(context.backend, table, write.attributes, "SIZE")
            found += [metrics] if metrics is not None else []
    return found


def _check_index_keys(table: TableDefinition, writes: list[_Write]) -> None:
    """Raises ItemError."""
    keys = index_keys_of(table)
    for write in writes if keys else ():
        if write.value is not None:
            check_index_keys(keys, write.attributes)


def _row_key(table: TableDefinition, write: _Write) -> bytes:
    if write.value is None:
        return row_key_of_key(table, write.attributes)
    names = [table.hash_key.name, *([table.range_key.name] if table.range_key is not None else [])]
    return row_key_of_key(table, {name: write.attributes[name] for name in names if name in write.attributes})


def _raise_failure(outcomes: list[_Outcome]) -> None:
    """Raises the failure that is the whole call's: the gravest of those that are no reason to try rows again, or, if
    nothing was written at all, the first."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    grave = [failure for failure in failures if not isinstance(failure, Throttled | Unavailable)]
    grave.sort(key=lambda failure: failure.status if isinstance(failure, ApiError) else 1000, reverse=True)
    if grave:
        raise grave[0]
    if failures and len(failures) == len(outcomes):
        raise failures[0]
