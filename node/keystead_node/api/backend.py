"""What the front needs from the node behind it: tables from the catalog, and rows by row key.

Every method may raise the errors of `api.errors` that a backend raises: OutcomeUnknown (writes only), Unavailable,
Throttled, StorageFull (writes only), and the table errors named below. A write that returns has been acknowledged
under the table's durability rule.
"""

from typing import Protocol

from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import IndexSpec, TableDefinition
from keystead_core.log.ops import Change


class Backend(Protocol):
    def table(self, name: str) -> TableDefinition | None:
        """The table as the local cluster map has it. Never waits."""
        ...

    async def resolve_table(self, name: str) -> TableDefinition | None:
        """The table as the catalog has it; asked when the local map has none or one that is not ACTIVE."""
        ...

    async def create_table(self, definition: TableDefinition, indexes: list[IndexSpec]) -> TableDefinition:
        """Creates a table with its indexes; returns it as the catalog recorded it (its status may be CREATING still).

        `partitions`, `replicas` and `durable_zones` may be 0: the cluster's default. Raises ResourceInUse
        (`errors.table_already_exists`) or LimitExceeded.
        """
        ...

    async def change_table(
        self, name: str, change: TableChange, new_index: IndexSpec | None = None, old_index: str = ""
    ) -> TableDefinition:
        """Changes what is named of a table; returns it as it is then. A global index may come, or one of that name go.
        Raises what `errors.table_error` makes of the catalog's refusal."""
        ...

    async def delete_table(self, name: str) -> TableDefinition:
        """Begins to delete a table; returns it with status DELETING. Raises ResourceNotFound
        (`errors.named_table_not_found`) or ResourceInUse."""
        ...

    async def list_tables(self) -> list[str]:
        """The names of all tables, in any order; without those that hold a global index."""
        ...

    async def write(self, table: TableDefinition, row_key: bytes, value: bytes | None, want_old: bool) -> bytes | None:
        """Puts a row's value, or deletes the row (`value` None). Returns the value before if `want_old`."""
        ...

    async def write_rows(self, table: TableDefinition, changes: list[Change]) -> list[Exception | None]:
        """Puts and deletes different rows, each as `write` would; what that would have raised, for each. Raises what
        holds for all of them."""
        ...

    async def change(self, table: TableDefinition, row_key: bytes, change: bytes) -> bytes:
        """Changes a row as an encoded `row_changes.RowChange` says; returns the encoded `row_changes.Outcome`."""
        ...

    async def read(self, table: TableDefinition, row_key: bytes, consistent: bool) -> bytes | None:
        """A row's value; linearizable if `consistent`, from any replica otherwise."""
        ...

    async def scan(
        self,
        table: TableDefinition,
        low: bytes,
        high: bytes | None,
        consistent: bool,
        max_rows: int,
        max_bytes: int,
        backwards: bool = False,
        index: int = 0,
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Rows of [low, high) as (row key, value), in row-key order, across partitions; from the end if `backwards`.

        Stops at `max_rows` rows or with the row that brings the values to `max_bytes`, and may stop earlier (at the end
        of a partition). The second is the row key behind which to go on, or None at the end of the range. `index`: the
        entries of the local index of that id in the place of rows.
        """
        ...

    async def table_sizes(self, name: str) -> tuple[int, int]:
        """(items, bytes) of a table, approximate."""
        ...

    async def collection_size(self, table: TableDefinition, hash_part: bytes) -> int:
        """Stored bytes of the rows of one partition key and of their entries, of a table with local indexes.
        `hash_part`: of their keys, as in `keyspace`."""
        ...
