"""Expressions: conditions, filters, updates, projections, key conditions; and the legacy parameters on the same trees.

The node that has the request checks it and binds each expression to its placeholders:

    check_parameters("UpdateItem", request)
    placeholders = Placeholders(request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues"))
    update = read_update(request["UpdateExpression"], placeholders)
    condition = read_condition(request["ConditionExpression"], placeholders)
    placeholders.check_all_used()
    check_update(update, schema_of_table(table))

and the master of the partition evaluates what was bound:

    if matches(condition, item):
        updated = apply_update(update, item)

What travels between the two is the bound form itself: Condition, Update and Projection are msgspec structs, which
msgspec.msgpack encodes and decodes by their types, from expressions and legacy parameters alike. (Text, names and
values would do for expressions: parsing is kept by text, and `Placeholders(..., is_checked=True)` checks no more.)

Whatever is wrong with what the caller sent is an ExpressionError with the service's own message: a ValidationException,
raised while reading or, for what only the item can show, by `apply_update`. A condition that does not hold is no error.
An item is never changed in place; a new one shares what was not touched.
"""

from keystead_core.expressions.conditions import matches
from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.keys import (
    KeyComparison,
    KeyCondition,
    KeySchema,
    check_filter,
    check_scalar_keys,
    check_update,
    key_condition,
    paths_of,
    schema_of_index,
    schema_of_table,
    select_keys,
)
from keystead_core.expressions.legacy import (
    attribute_updates,
    attributes_to_get,
    expected_condition,
    filter_condition,
    key_comparisons,
    key_conditions,
)
from keystead_core.expressions.parameters import check_parameters
from keystead_core.expressions.paths import project
from keystead_core.expressions.placeholders import Placeholders
from keystead_core.expressions.read import read_condition, read_projection, read_update
from keystead_core.expressions.tree import Condition, Path, Projection, Update
from keystead_core.expressions.updates import ITEM_TOO_LARGE, Updated, apply_update

__all__ = [
    "ITEM_TOO_LARGE",
    "Condition",
    "ExpressionError",
    "KeyComparison",
    "KeyCondition",
    "KeySchema",
    "Path",
    "Placeholders",
    "Projection",
    "Update",
    "Updated",
    "apply_update",
    "attribute_updates",
    "attributes_to_get",
    "check_filter",
    "check_parameters",
    "check_scalar_keys",
    "check_update",
    "expected_condition",
    "filter_condition",
    "key_comparisons",
    "key_condition",
    "key_conditions",
    "matches",
    "paths_of",
    "project",
    "read_condition",
    "read_projection",
    "read_update",
    "schema_of_index",
    "schema_of_table",
    "select_keys",
]
