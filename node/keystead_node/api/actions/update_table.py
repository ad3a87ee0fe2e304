"""UpdateTable: billing, throughput, protection, class, encryption and stream of a table, and its global indexes.

Done when it is answered; but a new index is CREATING until the items that were there before it are in it.
"""

from typing import Final

import msgspec

from keystead_core.catalog.table_changes import TableChange
from keystead_core.items import ItemError
from keystead_node.api.actions.table_description import sizes_of, table_description
from keystead_node.api.context import Context
from keystead_node.api.index_updates import check_updates, index_updates
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import UpdateTableRequest
from keystead_node.api.table_settings import check_units, settings_of

_NOTHING: Final = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)
_UPDATES: Final = "GlobalSecondaryIndexUpdates"
_NO_CHANGES: Final = frozenset(("TableName", "AttributeDefinitions"))


def _prepare(request: UpdateTableRequest) -> TableChange:
    given = {name for name in request.__struct_fields__ if getattr(request, name) is not None}
    if given <= _NO_CHANGES or (given - _NO_CHANGES == {_UPDATES} and not request.GlobalSecondaryIndexUpdates):
        raise ItemError(_NOTHING)
    throughput = request.ProvisionedThroughput
    if request.BillingMode == "PROVISIONED" and throughput is None:
        raise ItemError(
            "One or more parameter values were invalid: ProvisionedThroughput must be specified when BillingMode is "
            "PROVISIONED"
        )
    check_units(throughput)
    check_updates(request)
    return TableChange(
        billing_mode=request.BillingMode,
        read_units=throughput.ReadCapacityUnits if throughput is not None else None,
        write_units=throughput.WriteCapacityUnits if throughput is not None else None,
        deletion_protection=request.DeletionProtectionEnabled,
        **settings_of(request),
    )


READER = RequestReader("UpdateTable", UpdateTableRequest, _prepare, fast=False)


async def update_table(context: Context, body: bytes) -> bytes:
    """Changes what the request names. Raises ApiError."""
    request, change = READER.read(body)
    table = await context.changeable_table(request.TableName)
    updates = index_updates(request, table)
    if updates.units:
        change = msgspec.structs.replace(change, index_units=updates.units)
    changed = await context.backend.change_table(table.name, change, updates.new_index, updates.old_index)
    sizes = await sizes_of(context.backend, changed)
    return msgspec.json.encode({"TableDescription": table_description(changed, sizes)})
