"""What a read shows of the items that it finds: filters, projections and counts, as expressions or as the legacy
parameters that they replaced. The order of checks is the service's.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from keystead_core.expressions import (
    Condition,
    KeySchema,
    Placeholders,
    Projection,
    attributes_to_get,
    check_filter,
    check_scalar_keys,
    filter_condition,
    paths_of,
    project,
    read_condition,
    read_projection,
)
from keystead_core.items import Item, ItemError, check_attributes
from keystead_node.api.requests import (
    GetItemRequest,
    KeysAndAttributes,
    LegacyConditions,
    OperatorChoice,
    PageRequest,
)
from keystead_node.api.targets import BAD_START, Target

_UNPREFIXED: Final = re.compile("contains duplicates|number set|numeric value|significant digits|number with magnitude")
_INSTEAD: Final = {"COUNT": "only the Count"}


class Selection(NamedTuple):
    """`condition`: which items are counted and returned; `projection`: what of them is. `fetches`: not all that is
    wanted is in the entries of the local index that is read."""

    condition: Condition | None = None
    projection: Projection | None = None
    is_count: bool = False
    fetches: bool = False


def returns_whole_items(request: GetItemRequest | KeysAndAttributes) -> bool:
    """Whether the request says nothing of what it wants of an item."""
    return (
        request.ProjectionExpression is None
        and request.AttributesToGet is None
        and request.ExpressionAttributeNames is None
    )


def is_unselective(request: PageRequest) -> bool:
    """The same for a page, but for its legacy filter; most scans are such, and need no further checks."""
    return (
        request.FilterExpression is None
        and request.ProjectionExpression is None
        and request.ExpressionAttributeNames is None
        and request.ExpressionAttributeValues is None
        and request.AttributesToGet is None
        and request.ConditionalOperator is None
        and request.Select is None
    )


def projection_of(request: GetItemRequest | KeysAndAttributes) -> Projection | None:
    """Raises ExpressionError. The parameters have been checked against each other."""
    if request.AttributesToGet is not None:
        return attributes_to_get(request.AttributesToGet)
    if request.ProjectionExpression is None:
        return None
    placeholders = Placeholders(request.ExpressionAttributeNames)
    projection = read_projection(request.ProjectionExpression, placeholders)
    placeholders.check_all_used()
    return projection


def legacy_filter(
    conditions: LegacyConditions | None, operator: OperatorChoice | None, parameter: str
) -> Condition | None:
    """A QueryFilter or ScanFilter. Raises ExpressionError, and ItemShapeError for a value that is none."""
    if conditions is None and operator is None:
        return None
    return filter_condition(plain_conditions(conditions or {}), operator, parameter)


def plain_conditions(conditions: LegacyConditions) -> Mapping[str, Mapping[str, Any]]:
    """As the core takes them."""
    return {name: msgspec.structs.asdict(condition) for name, condition in conditions.items()}


def check_start_values(key: Item | None) -> None:
    """Checks the values of an ExclusiveStartKey. Raises ItemError and ItemShapeError."""
    if key is None:
        return
    try:
        check_attributes(key)
    except ItemError as error:
        raise ItemError(("" if _UNPREFIXED.search(str(error)) else f"{BAD_START}: ") + str(error)) from None


def selection_of(
    request: PageRequest, placeholders: Placeholders, condition: Condition | None, projection: Projection | None
) -> Selection:
    """Reads the expressions of a Query or Scan; `condition` and `projection` come from its legacy parameters. The
    key condition, if any, has been read: what is left unused is an error. Raises ExpressionError and ItemError."""
    if request.FilterExpression is not None:
        condition = read_condition(request.FilterExpression, placeholders, "FilterExpression")
    if request.ProjectionExpression is not None:
        projection = read_projection(request.ProjectionExpression, placeholders)
    placeholders.check_all_used()
    _check_select(request)
    return Selection(condition, projection, request.Select == "COUNT")


def _check_select(request: PageRequest) -> None:
    select = request.Select
    if select is None:
        return
    named = "AttributesToGet" if request.AttributesToGet is not None else "ProjectionExpression"
    has_projection = request.AttributesToGet is not None or request.ProjectionExpression is not None
    if select == "SPECIFIC_ATTRIBUTES":
        if not has_projection:
            raise ItemError(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
            )
    elif has_projection:
        raise ItemError(f"Cannot specify the {named} when choosing to get {_INSTEAD.get(select, select)}")
    elif select == "ALL_PROJECTED_ATTRIBUTES" and request.IndexName is None:
        raise ItemError("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")


def selection_from(target: Target, request: PageRequest, selection: Selection) -> Selection:
    """The selection as the target can answer it. Raises ItemError where a global index does not have what is wanted."""
    index = target.index
    if index is None or selection.is_count or target.projected is None:
        return selection
    projection = selection.projection
    missing = [] if projection is None else target.missing(str(path.elements[0]) for path in projection.paths)
    if not index.is_global:
        return selection._replace(fetches=bool(missing) or request.Select == "ALL_ATTRIBUTES")
    if request.Select == "ALL_ATTRIBUTES":
        raise ItemError(
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global "
            f"secondary index {index.name} because its projection type is not ALL"
        )
    if missing:
        raise ItemError(
            "One or more parameter values were invalid: Global secondary index "
            f"{index.name} does not project [{', '.join(missing)}]"
        )
    return selection


def check_query_filter(target: Target, condition: Condition, parameter: str) -> None:
    """A query's filter looks at neither the keys that the query reads by nor what is not in an index. `parameter`: as
    the service calls it. Raises ExpressionError."""
    check_scalar_keys(paths_of(condition), target.table_schema)
    check_filter(condition, target.schema, parameter)
    missing = target.missing(sorted(str(path.elements[0]) for path in paths_of(condition)))
    if missing and target.index is not None:
        raise ItemError(
            f"One or more parameter values were invalid: Secondary index {target.index.name} does not project one or "
            f"more filter attributes: [{', '.join(missing)}]"
        )


def check_projection(projection: Projection | None, schema: KeySchema) -> None:
    """Raises ExpressionError if a path leads into a key attribute."""
    if projection is not None:
        check_scalar_keys(paths_of(projection), schema)


def projected_json(projection: Projection, item: Item) -> bytes:
    """The JSON of what is returned of an item."""
    return msgspec.json.encode(project(projection, item))
