"""Query: what of a table or index has one partition key, in the order of the sort keys or against it, page by page."""

from typing import NamedTuple

import msgspec

from keystead_core.expressions import (
    Condition,
    KeyComparison,
    KeyCondition,
    Placeholders,
    attributes_to_get,
    check_parameters,
    key_comparisons,
    key_condition,
    read_condition,
    select_keys,
)
from keystead_core.item_keys import range_behind
from keystead_core.items import Item, ItemError
from keystead_core.keyspace import KeyRange
from keystead_core.query_ranges import query_range
from keystead_node.api.context import Context, is_served
from keystead_node.api.pages import page_response, read_page
from keystead_node.api.requests import QueryRequest, RequestReader
from keystead_node.api.selections import (
    Selection,
    check_projection,
    check_query_filter,
    check_start_values,
    legacy_filter,
    plain_conditions,
    selection_from,
    selection_of,
)
from keystead_node.api.targets import BAD_START, Target, target_of


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
    target = await target_of(context, table, request, READER, body)
    key_range = _rows_to_read(target, request, prepared)
    selection = selection_from(target, request, prepared.selection)
    page = await read_page(context.backend, target, key_range, request, selection, not request.ScanIndexForward)
    return page_response(target, page, request)


def _rows_to_read(target: Target, request: QueryRequest, prepared: _Prepared) -> KeyRange:
    """Checks the request against the keys of the table or index. Raises ItemError and ExpressionError."""
    keys, selection = prepared
    schema = target.schema
    start = None if request.ExclusiveStartKey is None else _start(target, request.ExclusiveStartKey)
    condition = key_condition(keys, schema) if isinstance(keys, Condition) else select_keys(keys, schema)
    key_range = query_range(schema, condition)
    if request.ExclusiveStartKey is not None and start is not None:
        within = target.start_within(request.ExclusiveStartKey, condition)
        key_range = _range_left(key_range, start, within, condition, not request.ScanIndexForward)
    check_projection(selection.projection, target.table_schema)
    if selection.condition is not None:
        parameter = "QueryFilter" if request.FilterExpression is None else "Filter Expression"
        check_query_filter(target, selection.condition, parameter)
    return key_range


def _start(target: Target, key: Item) -> bytes:
    """Where an ExclusiveStartKey is. Raises ItemError."""
    if set(key) != set(target.key_names):
        raise ItemError(BAD_START)
    return target.start(key)


def _range_left(key_range: KeyRange, start: bytes, within: bytes, condition: KeyCondition, backwards: bool) -> KeyRange:
    """What is left of the query's range behind its start key. Raises ItemError if that is not in it."""
    left = range_behind(within, key_range)
    if left is None:
        raise ItemError("The provided starting key does not match the range key predicate")
    if start != within:
        raise ItemError(
            "The provided starting key is outside query boundaries based on provided conditions"
            if condition.last is None and not condition.equal_range
            else "The query can return at most one row and cannot be restarted"
        )
    return KeyRange(key_range.low, start) if backwards else left
