"""DeleteTable."""

import msgspec

from keystead_node.api.actions.table_description import table_description
from keystead_node.api.context import Context
from keystead_node.api.errors import ResourceInUse, ValidationException
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_requests import TableRequest

READER: RequestReader[TableRequest, None] = RequestReader("DeleteTable", TableRequest, lambda _: None, fast=False)


async def delete_table(context: Context, body: bytes) -> bytes:
    """Begins to delete a table. Raises ApiError."""
    request, _ = READER.read(body)
    table = await context.changeable_table(request.TableName)
    if table.deletion_protection:
        raise ValidationException(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    if any(index.status != "ACTIVE" for index in table.indexes):
        raise ResourceInUse(
            "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, "
            "updated, or deleted."
        )
    deleted = await context.backend.delete_table(table.name)
    return msgspec.json.encode({"TableDescription": table_description(deleted)})
