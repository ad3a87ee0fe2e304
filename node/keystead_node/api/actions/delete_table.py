"""DeleteTable."""

import msgspec

from keystead_node.api.actions.table_description import table_description
from keystead_node.api.context import Context
from keystead_node.api.errors import (
    ValidationException,
    named_table_not_found,
    table_being_created,
    table_being_deleted,
)
from keystead_node.api.requests import RequestReader, TableRequest

READER: RequestReader[TableRequest, None] = RequestReader("DeleteTable", TableRequest, lambda _: None, fast=False)


async def delete_table(context: Context, body: bytes) -> bytes:
    """Begins to delete a table. Raises ApiError."""
    request, _ = READER.read(body)
    table = await context.backend.resolve_table(request.TableName)
    if table is None:
        raise named_table_not_found(request.TableName)
    if table.status == "CREATING":
        raise table_being_created(table.name)
    if table.status == "DELETING":
        raise table_being_deleted(table.name)
    if table.deletion_protection:
        raise ValidationException(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    deleted = await context.backend.delete_table(table.name)
    return msgspec.json.encode({"TableDescription": table_description(deleted, 0, 0)})
