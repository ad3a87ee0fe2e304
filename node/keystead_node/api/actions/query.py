"""Query: the items of one partition key, in the order of their sort keys or against it, page by page."""

from typing import NamedTuple

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.expressions import (
    Condition,
    KeyComparison,
    KeyCondition,
    Placeholders,
    attributes_to_get,
    check_filter,
    check_parameters,
    key_comparisons,
    key_condition,
    read_condition,
    schema_of_table,
    select_keys,
)
from keystead_core.item_keys import range_behind, row_key_of_key
from keystead_core.items import Item, ItemError
from keystead_core.keyspace import KeyRange
from keystead_core.query_ranges import query_range
from keystead_node.api.context import Context, is_served
from keystead_node.api.pages import page_response, read_page
from keystead_node.api.requests import QueryRequest, RequestReader
from keystead_node.api.selections import (
    BAD_START,
    Selection,
    check_projection,
    check_start_values,
    legacy_filter,
    plain_conditions,
    refuse_index,
    selection_of,
)


class _Prepared(NamedTuple):
    """`keys`: what the request says of them, which only the table's schema makes a part of the table."""

    keys: Condition | list[KeyComparison]
    selection: Selection


def _prepare(request: QueryRequest) -> _Prepared:
    check_parameters("Query", msgspec.structs.asdict(request))
    condition = legacy_filter(request.QueryFilter, request.ConditionalOperator, "QueryFilter")
    projection = None if request.AttributesToGet is None else attributes_to_get(request.AttributesToGet)
    check_start_values(request.ExclusiveStartKey)
    if request.KeyConditions is None and request.KeyConditionExpression is None:
        raise ItemError(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    placeholders = Placeholders(request.ExpressionAttributeNames, request.ExpressionAttributeValues)
    keys: Condition | list[KeyComparison] = []
    if request.KeyConditionExpression is not None:
        keys = read_condition(request.KeyConditionExpression, placeholders, "KeyConditionExpression")
    selection = selection_of(request, placeholders, condition, projection)
    if request.KeyConditions is not None:
        keys = key_comparisons(plain_conditions(request.KeyConditions))
    return _Prepared(keys, selection)


READER = RequestReader("Query", QueryRequest, _prepare)


async def query(context: Context, body: bytes) -> bytes:
    """One page. Raises ApiError, ItemError and ExpressionError."""
    request, prepared = READER.read(body)
    table = context.backend.table(request.TableName)
    if table is None or not is_served(table):
        table = await context.active_table(request.TableName, READER, body)
    refuse_index(request, READER, body)
    key_range = _rows_to_read(table, request, prepared)
    page = await read_page(context.backend, table, key_range, request, prepared.selection, not request.ScanIndexForward)
    return page_response(table.name, page, request)


def _rows_to_read(table: TableDefinition, request: QueryRequest, prepared: _Prepared) -> KeyRange:
    """Checks the request against the table's keys. Raises ItemError and ExpressionError."""
    keys, selection = prepared
    schema = schema_of_table(table)
    start = None if request.ExclusiveStartKey is None else _start(table, request.ExclusiveStartKey)
    condition = key_condition(keys, schema) if isinstance(keys, Condition) else select_keys(keys, schema)
    key_range = _range(table, condition)
    if request.ExclusiveStartKey is not None and start is not None:
        within = _row_key_within(table, condition, request.ExclusiveStartKey)
        key_range = _range_left(key_range, start, within, condition, not request.ScanIndexForward)
    check_projection(selection.projection, schema)
    if selection.condition is not None:
        parameter = "QueryFilter" if request.FilterExpression is None else "Filter Expression"
        check_filter(selection.condition, schema, parameter)
    return key_range


def _start(table: TableDefinition, key: Item) -> bytes:
    """The row key of an ExclusiveStartKey. Raises ItemError."""
    names = {table.hash_key.name} if table.range_key is None else {table.hash_key.name, table.range_key.name}
    if set(key) != names:
        raise ItemError(BAD_START)
    return row_key_of_key(table, key)


def _range(table: TableDefinition, condition: KeyCondition) -> KeyRange:
    """Raises ItemError for a value that is too long for a key."""
    if condition.last is None or table.range_key is None:
        return query_range(table.hash_key, condition.hash[0])
    kind = table.range_key.type
    operands = tuple(value[kind] for value in condition.last.values)
    return query_range(table.hash_key, condition.hash[0], table.range_key, condition.last.operator, operands)


def _row_key_within(table: TableDefinition, condition: KeyCondition, key: Item) -> bytes:
    """Where the start key would be if its partition key were that of the query."""
    return row_key_of_key(table, {**key, table.hash_key.name: {table.hash_key.type: condition.hash[0]}})


def _range_left(key_range: KeyRange, start: bytes, within: bytes, condition: KeyCondition, backwards: bool) -> KeyRange:
    """What is left of the query's range behind its start key. Raises ItemError if that is not in it."""
    left = range_behind(within, key_range)
    if left is None:
        raise ItemError("The provided starting key does not match the range key predicate")
    if start != within:
        raise ItemError(
            "The provided starting key is outside query boundaries based on provided conditions"
            if condition.last is None
            else "The query can return at most one row and cannot be restarted"
        )
    return KeyRange(key_range.low, start) if backwards else left
