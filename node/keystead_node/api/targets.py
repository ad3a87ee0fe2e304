"""What a Query or Scan reads: a table, or one of its indexes."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from keystead_core.cluster_map import IndexDefinition, TableDefinition, index_table
from keystead_core.expressions import KeyCondition, schema_of_index, schema_of_table
from keystead_core.indexes.entries import IndexRule
from keystead_core.item_keys import SCHEMA_MISMATCH, key_part, row_key_of_key
from keystead_core.items import Item, ItemError
from keystead_node.api.context import Context
from keystead_node.api.requests import PageRequest, RequestReader

BAD_START: Final = "The provided starting key is invalid"


class Target:
    """`table`: as the client named it; `rows`: the table in which what is read lies, and `space`: the key space in it,
    0 or a local index's id."""

    def __init__(
        self, table: TableDefinition, index: IndexDefinition | None = None, rows: TableDefinition | None = None
    ) -> None:
        self.table = table
        self.index = index
        self.rows = rows or table
        self.space = 0 if index is None or index.is_global else index.id
        self.table_schema = schema_of_table(table)
        self.schema = self.table_schema if index is None else schema_of_index(index)

    @cached_property
    def key_names(self) -> list[str]:
        """The attributes of a LastEvaluatedKey."""
        keys = [] if self.index is None else list(self.schema.attributes)
        return list(dict.fromkeys(key.name for key in [*keys, *self.table_schema.attributes]))

    @cached_property
    def projected(self) -> frozenset[str] | None:
        """The attributes that can be read here; None: all."""
        projected = None if self.index is None else self._rule.projected
        return None if projected is None else frozenset(projected)

    @cached_property
    def _rule(self) -> IndexRule:
        assert self.index is not None
        return IndexRule(self.index, self.table.hash_key, self.table.range_key)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Which of the attributes cannot be read here."""
        projected = self.projected
        return [] if projected is None else [name for name in dict.fromkeys(names) if name not in projected]

    def last_key(self, item: Item) -> Item:
        """The LastEvaluatedKey of a page that ends with this item, or entry."""
        return {name: item[name] for name in self.key_names}

    def row_key_of(self, item: Item) -> bytes:
        """The row key in the table itself of an item, or of an entry's item."""
        return row_key_of_key(self.table, self._table_key(item))

    def start(self, key: Item) -> bytes:
        """Where an ExclusiveStartKey is: the row key of the item, or of its entry. Raises ItemError."""
        if self.index is None:
            return row_key_of_key(self.table, key)
        if set(key) != set(self.key_names):
            raise ItemError(BAD_START)
        for position, attribute in enumerate(self.schema.attributes):
            content = key[attribute.name].get(attribute.type)
            if content is None:
                raise ItemError(SCHEMA_MISMATCH)
            key_part(attribute, content, position < len(self.schema.hash))
        try:
            row_key = row_key_of_key(self.table, self._table_key(key))
        except ItemError as error:
            raise ItemError(f"{BAD_START}: {error}") from None
        entry = self._rule.entry(row_key, key, b"")
        assert entry is not None, "all key attributes were checked"
        return entry[0]

    def start_within(self, key: Item, condition: KeyCondition) -> bytes:
        """Where the start key would be if its partition key were that of the query. Raises ItemError."""
        contents = zip(self.schema.hash, condition.hash, strict=True)
        return self.start({**key, **{attribute.name: {attribute.type: content} for attribute, content in contents}})

    def _table_key(self, item: Item) -> Item:
        return {attribute.name: item[attribute.name] for attribute in self.table_schema.attributes}


async def target_of(
    context: Context, table: TableDefinition, request: PageRequest, reader: RequestReader[Any, Any], body: bytes
) -> Target:
    """What the request reads of the table. Raises ApiError and ItemError."""
    name = request.IndexName
    if name is None:
        return Target(table)
    index = table.index(name)
    if index is None:
        reader.validated(body)
        raise ItemError(f"The table does not have the specified index: {name}")
    if not index.is_global:
        return Target(table, index)
    if request.ConsistentRead:
        raise ItemError("Consistent reads are not supported on global secondary indexes")
    holder = index_table(table.name, name)
    rows = context.backend.table(holder) or await context.backend.resolve_table(holder)
    if index.status != "ACTIVE" or rows is None:
        raise ItemError(f"Cannot read from backfilling global secondary index: {name}")
    return Target(table, index, rows)
