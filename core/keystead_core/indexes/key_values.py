"""What a value may be as a key of an index: of the type that the index's key has, not empty, not too long.

A write that would bring another value into such an attribute is refused. An attribute that an item does not have is no
error: the item is then not in the index. A value that an update leaves alone is none either, since items may be older
than the index.
"""

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.expressions.tree import Literal, Update
from keystead_core.item_keys import HASH_KEY_BYTES_MAX, RANGE_KEY_BYTES_MAX
from keystead_core.items import Attribute, Item, ItemError, binary_content

_INVALID = "One or more parameter values were invalid: "


class IndexKey(msgspec.Struct, frozen=True, array_like=True):
    """One key attribute of one index; a format between nodes."""

    index: str
    name: str
    type: str
    is_hash: bool


def index_keys_of(table: TableDefinition) -> tuple[IndexKey, ...]:
    """All of them, of the global indexes first; but not those that the table's own key checks as strictly."""
    if not table.indexes:
        return ()
    indexes = sorted(table.indexes, key=lambda index: not index.is_global)
    keys = [
        IndexKey(index.name, key.name, key.type, position < len(index.hash))
        for index in indexes
        for position, key in enumerate([*index.hash, *index.range])
    ]
    own = {table.hash_key.name: True} | ({} if table.range_key is None else {table.range_key.name: False})
    return tuple(key for key in keys if key.name not in own or (own[key.name] and not key.is_hash))


def check_index_keys(keys: tuple[IndexKey, ...], item: Item) -> None:
    """Checks an item that is put. Raises ItemError."""
    for key in keys:
        value = item.get(key.name)
        if value is not None:
            _check(key, value, False)


def check_index_keys_set(keys: tuple[IndexKey, ...], update: Update) -> None:
    """Checks what an update sets whatever the item holds: such a request is refused before its condition is judged.
    Raises ItemError."""
    values = {action.path.elements: action.value for action in update.actions if action.section == "SET"}
    for key in keys:
        value = values.get((key.name,))
        if isinstance(value, Literal):
            _check(key, value.attribute, True)


def check_updated_index_keys(keys: tuple[IndexKey, ...], before: Item, after: Item) -> None:
    """Checks what an update has changed. Raises ItemError."""
    for key in keys:
        value = after.get(key.name)
        if value is not None and value != before.get(key.name):
            _check(key, value, True)


def _check(key: IndexKey, value: Attribute, is_update: bool) -> None:
    content = value.get(key.type)
    if content is None:
        raise ItemError(
            f"{_INVALID}Type mismatch for Index Key {key.name} Expected: {key.type} Actual: {next(iter(value))} "
            f"IndexName: {key.index}"
        )
    if key.type == "N":
        return
    if not content:
        raise ItemError(_empty(key, is_update))
    size = len(content.encode() if key.type == "S" else binary_content(content))
    size_max = HASH_KEY_BYTES_MAX if key.is_hash else RANGE_KEY_BYTES_MAX
    if size > size_max:
        raise ItemError(
            f"{_INVALID}Size limit exceeded for Index Key {key.name} Actual Size: {size} bytes Max Size: {size_max} "
            f"bytes IndexName: {key.index}"
        )


def _empty(key: IndexKey, is_update: bool) -> str:
    empty = f"cannot contain an empty {'string' if key.type == 'S' else 'binary'} value."
    if is_update:
        return (
            "One or more parameter values are not valid. The update expression attempted to update a secondary index "
            f"key to a value that is not supported. The AttributeValue for a key attribute {empty}"
        )
    return (
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
        f"The AttributeValue for a key attribute {empty} IndexName: {key.index}, IndexKey: {key.name}"
    )
