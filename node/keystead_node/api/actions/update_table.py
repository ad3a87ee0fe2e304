"""UpdateTable: billing, throughput, protection, class, encryption and stream of a table. Done when it is answered."""

from typing import Final

import msgspec

from keystead_core.catalog.table_changes import TableChange
from keystead_core.items import ItemError
from keystead_node.api.actions.table_description import table_description
from keystead_node.api.context import Context
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import UpdateTableRequest
from keystead_node.api.table_settings import check_units, settings_of

_NOTHING: Final = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)


def _prepare(request: UpdateTableRequest) -> TableChange:
    if not any(getattr(request, name) is not None for name in request.__struct_fields__[1:]):
        raise ItemError(_NOTHING)
    throughput = request.ProvisionedThroughput
    if request.BillingMode == "PROVISIONED" and throughput is None:
        raise ItemError(
            "One or more parameter values were invalid: ProvisionedThroughput must be specified when BillingMode is "
            "PROVISIONED"
        )
    check_units(throughput)
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
    changed = await context.backend.change_table(table.name, change)
    item_count, size_bytes = await context.backend.table_sizes(table.name)
    return msgspec.json.encode({"TableDescription": table_description(changed, item_count, size_bytes)})
