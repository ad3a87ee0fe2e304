"""What every action needs: the backend, and the tables behind it."""

from typing import Any

from keystead_core.cluster_map import TableDefinition
from keystead_node.api.backend import Backend
from keystead_node.api.errors import (
    named_table_not_found,
    table_being_created,
    table_being_deleted,
    table_not_found,
)
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_names import table_name


def is_served(table: TableDefinition) -> bool:
    """Whether a client may have the table's items; one that holds an index is no table to a client."""
    return table.status == "ACTIVE" and not table.index_of


class Context:
    """Handed to every action. `host`: where the client found this node, for the one operation that asks."""

    def __init__(self, backend: Backend, host: str = "") -> None:
        self.backend = backend
        self.host = host

    async def active_table(self, name: str, reader: RequestReader[Any, Any], body: bytes) -> TableDefinition:
        """The table for an operation on items, by its name or ARN; one that is being created or deleted is as good as
        none.

        A name that is not known locally may be no name at all: the request is then checked the slow way first, so
        that a bad name is answered as such. Raises ApiError.
        """
        name = table_name(name)
        table = self.backend.table(name)
        if table is not None and is_served(table):
            return table
        reader.validated(body)
        table = await self.backend.resolve_table(name)
        if table is None or not is_served(table):
            raise table_not_found()
        return table

    async def named_table(self, name: str) -> TableDefinition:
        """The table for an operation on tables, by its name or ARN, whatever its status. Raises ApiError."""
        name = table_name(name)
        table = await self.backend.resolve_table(name)
        if table is None or table.index_of:
            raise named_table_not_found(name)
        return table

    async def changeable_table(self, name: str) -> TableDefinition:
        """The same, refused while it is being created or deleted. Raises ApiError."""
        table = await self.named_table(name)
        if table.status == "CREATING":
            raise table_being_created(table.name)
        if table.status == "DELETING":
            raise table_being_deleted(table.name)
        return table
