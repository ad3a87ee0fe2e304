"""What every action needs: the backend, and the tables behind it."""

from typing import Any

from keystead_core.cluster_map import TableDefinition
from keystead_node.api.backend import Backend
from keystead_node.api.errors import table_not_found
from keystead_node.api.requests import RequestReader


class Context:
    """Handed to every action."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def active_table(self, name: str, reader: RequestReader[Any, Any], body: bytes) -> TableDefinition:
        """The table for an operation on items; one that is being created or deleted is as good as none.

        A name that is not known locally may be no name at all: the request is then checked the slow way first, so
        that a bad name is answered as such. Raises ApiError.
        """
        table = self.backend.table(name)
        if table is not None and table.status == "ACTIVE":
            return table
        reader.validated(body)
        table = await self.backend.resolve_table(name)
        if table is None or table.status != "ACTIVE":
            raise table_not_found()
        return table
