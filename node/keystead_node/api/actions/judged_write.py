"""What the conditional forms of PutItem and DeleteItem, and UpdateItem, have in common: their expressions and legacy
parameters, checked in the service's order, and the change that the partition's master judges."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.expressions import (
    Condition,
    ExpressionError,
    Placeholders,
    Update,
    attribute_updates,
    check_scalar_keys,
    check_update,
    expected_condition,
    paths_of,
    read_condition,
    read_update,
    schema_of_table,
)
from keystead_core.indexes.key_values import check_index_keys_set, index_keys_of
from keystead_core.row_changes import (
    CONDITION_FAILED,
    REFUSED,
    UPDATE,
    Outcome,
    RowChange,
    Texts,
    decode_outcome,
    encode_change,
)
from keystead_node.api.context import Context
from keystead_node.api.errors import ConditionalCheckFailed, ValidationException
from keystead_node.api.requests import DeleteItemRequest, ExpectedValue, PutItemRequest, UpdateItemRequest, ValueUpdate

BOUND_BYTES_MAX: Final = 8192
"""Of a larger request the texts of the expressions travel, not what they are bound to."""

Request = PutItemRequest | DeleteItemRequest | UpdateItemRequest


class Clauses(NamedTuple):
    """What a request says beside the item or key, bound."""

    condition: Condition | None = None
    update: Update | None = None


def is_plain(request: PutItemRequest | DeleteItemRequest) -> bool:
    """Whether the write does not depend on what the row holds."""
    return (
        request.ConditionExpression is None
        and request.Expected is None
        and request.ConditionalOperator is None
        and request.ExpressionAttributeNames is None
        and request.ExpressionAttributeValues is None
    )


def read_clauses(request: Request) -> Clauses:
    """Raises ExpressionError, and ItemShapeError for a value that is none. The parameters have been checked."""
    update = None
    if isinstance(request, UpdateItemRequest) and request.AttributeUpdates is not None:
        update = attribute_updates(_entries(request.AttributeUpdates, "AttributeValueUpdate"))
    condition = expected_condition(
        _entries(request.Expected or {}, "ExpectedAttributeValue"), request.ConditionalOperator
    )
    placeholders = Placeholders(request.ExpressionAttributeNames, request.ExpressionAttributeValues)
    if isinstance(request, UpdateItemRequest) and request.UpdateExpression is not None:
        update = read_update(request.UpdateExpression, placeholders)
    if request.ConditionExpression is not None:
        condition = read_condition(request.ConditionExpression, placeholders)
    placeholders.check_all_used()
    return Clauses(condition, update)


def _entries(
    parameter: Mapping[str, ExpectedValue | None] | Mapping[str, ValueUpdate | None], kind: str
) -> dict[str, dict[str, Any]]:
    entries = {}
    for name, entry in parameter.items():
        if entry is None:
            raise ExpressionError(
                f"One or more parameter values were invalid: {kind} must not be null for Attribute: {name}"
            )
        entries[name] = msgspec.structs.asdict(entry)
    return entries


def check_keys(table: TableDefinition, clauses: Clauses) -> None:
    """What the keys of the table and its indexes demand of the clauses. Raises ExpressionError and ItemError."""
    schema = schema_of_table(table)
    if clauses.update is not None:
        check_update(clauses.update, schema)
        check_index_keys_set(index_keys_of(table), clauses.update)
    if clauses.condition is not None:
        check_scalar_keys(paths_of(clauses.condition), schema)


def change_of(
    kind: int,
    table: TableDefinition,
    request: Request,
    clauses: Clauses,
    body_bytes: int,
    value: bytes | None = None,
) -> RowChange:
    """`value`: the row that is put, whose attributes have been checked."""
    key, text = None, None
    if isinstance(request, UpdateItemRequest):
        key, text = request.Key, request.UpdateExpression
    texts = None
    if body_bytes > BOUND_BYTES_MAX and (text is not None or request.ConditionExpression is not None):
        names, values = request.ExpressionAttributeNames, request.ExpressionAttributeValues
        texts, clauses = Texts(request.ConditionExpression, text, names, values), Clauses()
    return RowChange(
        kind,
        clauses.condition,
        value,
        clauses.update,
        key,
        request.ReturnValues,
        request.ReturnValuesOnConditionCheckFailure == "ALL_OLD",
        request.ReturnConsumedCapacity != "NONE",
        texts,
        index_keys_of(table) if kind == UPDATE else (),
        bool(table.indexes) and request.ReturnConsumedCapacity != "NONE",
    )


async def judged(context: Context, table: TableDefinition, row_key: bytes, change: RowChange) -> Outcome:
    """The outcome of a change that was done. Raises ApiError."""
    outcome = decode_outcome(await context.backend.change(table, row_key, encode_change(change)))
    if outcome.status == CONDITION_FAILED:
        raise ConditionalCheckFailed(outcome.attributes)
    if outcome.status == REFUSED:
        raise ValidationException(outcome.message)
    return outcome
