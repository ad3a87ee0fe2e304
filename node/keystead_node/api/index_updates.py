"""GlobalSecondaryIndexUpdates of UpdateTable, in the service's order and words.

At most one index comes or goes in a call, and in a table at a time; units and limits of others may change with it.
"""

from typing import Final, NamedTuple

from keystead_core.catalog.indexes import GLOBAL_INDEXES_MAX, ONE_AT_A_TIME
from keystead_core.catalog.table_changes import IndexUnits
from keystead_core.cluster_map import IndexDefinition, IndexSpec, TableDefinition
from keystead_core.items import ItemError
from keystead_node.api.errors import LimitExceeded, ResourceNotFound
from keystead_node.api.index_requests import (
    check_included,
    global_spec,
    named_limit,
    units_of,
)
from keystead_node.api.key_schemas import check_defined
from keystead_node.api.table_requests import GlobalIndexChoice, GlobalIndexUnits, GlobalIndexUpdate, UpdateTableRequest
from keystead_node.api.table_settings import check_units, limits_of

_INVALID: Final = "One or more parameter values were invalid: "
_ALONE: Final = {
    "ProvisionedThroughput": "You cannot create or delete index while updating table IOPS",
    "StreamSpecification": "You cannot create or delete index while changing stream status",
    "DeletionProtectionEnabled": "DeletionProtection modification must be the only operation in the request",
    "SSESpecification": "Server-Side Encryption modification must be the only operation in the request",
    "TableClass": "TableClass modification must be the only operation in the request",
    "WarmThroughput": "Create global secondary index cannot be specified when updating WarmThroughput",
}
"""What a request that creates an index may not change too."""


class IndexUpdates(NamedTuple):
    """`old_index`: "" for none."""

    units: list[IndexUnits]
    new_index: IndexSpec | None
    old_index: str


def check_updates(request: UpdateTableRequest) -> None:
    """What can be seen without the table. Raises ItemError and ApiError."""
    updates = request.GlobalSecondaryIndexUpdates
    if updates is None:
        return
    if not updates:
        raise ItemError(f"{_INVALID}List of GlobalSecondaryIndexUpdates is empty")
    names: set[str] = set()
    for update in updates:
        name = _name(update)
        if name in names:
            raise ItemError(
                f"{_INVALID}Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
        names.add(name)
    if any(update.Create is not None for update in updates):
        for parameter, message in _ALONE.items():
            accompanies = parameter == "ProvisionedThroughput" and request.BillingMode is not None
            if getattr(request, parameter) is not None and not accompanies:
                raise ItemError(message)
    if sum(update.Update is None for update in updates) > 1:
        raise LimitExceeded(ONE_AT_A_TIME)


def _name(update: GlobalIndexUpdate) -> str:
    """The index that an update is of. Raises ItemError."""
    actions = [action for action in (update.Update, update.Create, update.Delete) if action is not None]
    if not actions:
        raise ItemError(
            f"{_INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
            "GlobalSecondaryIndexUpdate.Delete must not be null"
        )
    if len(actions) > 1:
        raise ItemError(
            f"{_INVALID}Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
        )
    return actions[0].IndexName


def index_updates(request: UpdateTableRequest, table: TableDefinition) -> IndexUpdates:
    """What is to become of the table's indexes. Raises ItemError and ApiError."""
    billing_mode = request.BillingMode or table.billing_mode
    units: list[IndexUnits] = []
    new_index, old_index = None, ""
    for update in request.GlobalSecondaryIndexUpdates or []:
        if update.Create is not None:
            new_index = _created(update.Create, request, table, billing_mode)
        elif update.Delete is not None:
            old_index = _global_index(table, update.Delete.IndexName, "delete").name
            _check_alone(table, old_index)
        else:
            assert update.Update is not None
            units.append(_changed(update.Update, table, billing_mode))
    if request.BillingMode is not None and request.BillingMode != table.billing_mode:
        units = _billed_anew(units, table, request.BillingMode, old_index)
    return IndexUpdates(units, new_index, old_index)


def _created(
    choice: GlobalIndexChoice, request: UpdateTableRequest, table: TableDefinition, billing_mode: str
) -> IndexSpec:
    name = choice.IndexName
    if table.index(name) is not None:
        raise ItemError("Attempting to create an index which already exists")
    if request.AttributeDefinitions is None:
        raise ItemError(f"{_INVALID}AttributeDefinitions is not specified for index: {name}")
    known = {key.name: key.type for key in (table.hash_key, table.range_key) if key is not None}
    known |= {key.name: key.type for index in table.indexes for key in (*index.hash, *index.range)}
    check_defined(choice.KeySchema, request.AttributeDefinitions, known)
    wanted = {definition.AttributeName: definition.AttributeType for definition in request.AttributeDefinitions}
    for element in choice.KeySchema:
        attribute = element.AttributeName
        if wanted.get(attribute, known.get(attribute)) != known.get(attribute, wanted.get(attribute)):
            raise ItemError("invalid attribute, SchemaElement redefined should be of same type as previously defined")
    _check_billing(choice, billing_mode)
    spec = global_spec(choice, wanted | known)
    check_included([spec.included, *(index.included for index in table.indexes)])
    _check_alone(table, name)
    if sum(index.is_global for index in table.indexes) >= GLOBAL_INDEXES_MAX:
        raise LimitExceeded(
            "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of "
            f"{GLOBAL_INDEXES_MAX}"
        )
    return spec


def _check_billing(choice: GlobalIndexChoice, billing_mode: str) -> None:
    name, throughput = choice.IndexName, choice.ProvisionedThroughput
    if billing_mode == "PAY_PER_REQUEST" and throughput is not None:
        raise ItemError(
            f"{_INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} when "
            "BillingMode is PAY_PER_REQUEST"
        )
    if billing_mode == "PROVISIONED" and throughput is None:
        raise ItemError(f"{_INVALID}Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}")


def _check_alone(table: TableDefinition, name: str) -> None:
    """An index may come or go while no other does."""
    if any(index.status == "CREATING" and index.name != name for index in table.indexes):
        raise LimitExceeded(ONE_AT_A_TIME)


def _changed(choice: GlobalIndexUnits, table: TableDefinition, billing_mode: str) -> IndexUnits:
    name, throughput = choice.IndexName, choice.ProvisionedThroughput
    _global_index(table, name, "update")
    if billing_mode == "PAY_PER_REQUEST" and throughput is not None:
        raise ItemError(
            f"{_INVALID}The only Updates for index: {name} when TableThroughputMode is PAY_PER_REQUEST can be to "
            "OnDemandThroughput, WarmThroughput"
        )
    limit = named_limit(choice.OnDemandThroughput)
    if billing_mode == "PROVISIONED" and limit:
        raise ItemError(
            f"{_INVALID}{limit} for OnDemandThroughput for index : {name} cannot be specified when the table "
            "BillingMode is PROVISIONED"
        )
    if throughput is None and choice.OnDemandThroughput is None and choice.WarmThroughput is None:
        raise ItemError(f"{_INVALID}Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}")
    check_units(throughput)
    found = {} if throughput is None else units_of(throughput)
    return IndexUnits(name=name, **found, **limits_of(choice.OnDemandThroughput, choice.WarmThroughput))


def _global_index(table: TableDefinition, name: str, doing: str) -> IndexDefinition:
    index = table.index(name)
    if index is None:
        raise ResourceNotFound(f"Requested resource not found: Index {name} for table {table.name}")
    if not index.is_global:
        raise ItemError(f"Cannot {doing} an index that is not a GlobalSecondaryIndex: {name}")
    return index


def _billed_anew(
    units: list[IndexUnits], table: TableDefinition, billing_mode: str, old_index: str
) -> list[IndexUnits]:
    """With its table an index gets units of its own, which the request names, or loses them."""
    kept = [index for index in table.indexes if index.is_global and index.name != old_index]
    if billing_mode == "PAY_PER_REQUEST":
        metered = [index.name for index in kept if index.read_units or index.write_units]
        return units + [IndexUnits(name=name, read_units=0, write_units=0) for name in metered]
    named = {change.name for change in units if change.read_units is not None}
    missing = [index.name for index in kept if index.name not in named]
    if missing:
        raise ItemError(f"{_INVALID}ProvisionedThroughput must be specified for index: {','.join(missing)}")
    return units
