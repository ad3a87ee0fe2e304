"""From an item or a key to its row: checks the key attributes against the table's schema and makes the row key.

The attribute values have been through `items.check_attributes` before: numbers are canonical, binaries are base64.
Errors carry the service's messages, which differ between an item (PutItem) and a key (GetItem, DeleteItem).
"""

from typing import Any, Final

from keystead_core.cluster_map import KeyAttribute, TableDefinition
from keystead_core.items import Item, ItemError, binary_content
from keystead_core.keyspace import KeyRange, encode_binary, encode_number, encode_text, make_row_key

HASH_KEY_BYTES_MAX: Final = 2048
RANGE_KEY_BYTES_MAX: Final = 1024
SCHEMA_MISMATCH: Final = "The provided key element does not match the schema"

_INVALID: Final = "One or more parameter values were invalid: "


def row_key_of_item(table: TableDefinition, item: Item) -> bytes:
    """The row key of a whole item. Raises ItemError."""
    range_key = table.range_key
    if range_key is None:
        return make_row_key(key_part(table.hash_key, _content_of_item(table.hash_key, item), True))
    partition = key_part(table.hash_key, _content_of_item(table.hash_key, item), True)
    return make_row_key(partition, key_part(range_key, _content_of_item(range_key, item), False))


def row_key_of_key(table: TableDefinition, key: Item) -> bytes:
    """The row key of a key: exactly the key attributes. Raises ItemError."""
    range_key = table.range_key
    if len(key) != (1 if range_key is None else 2):
        raise ItemError(SCHEMA_MISMATCH)
    partition = key_part(table.hash_key, _content_of_key(table.hash_key, key), True)
    if range_key is None:
        return make_row_key(partition)
    return make_row_key(partition, key_part(range_key, _content_of_key(range_key, key), False))


def key_of_item(table: TableDefinition, item: Item) -> Item:
    """The key attributes of an item that is in the table."""
    names = [table.hash_key.name] if table.range_key is None else [table.hash_key.name, table.range_key.name]
    return {name: item[name] for name in names}


def range_behind(row_key: bytes, within: KeyRange) -> KeyRange | None:
    """What is left of `within` behind a row; None if the row is not in it."""
    if row_key < within.low or (within.high is not None and row_key >= within.high):
        return None
    return KeyRange(row_key + b"\x00", within.high)


def _content_of_item(attribute: KeyAttribute, item: Item) -> Any:
    value = item.get(attribute.name)
    if value is None:
        raise ItemError(f"{_INVALID}Missing the key {attribute.name} in the item")
    content = value.get(attribute.type)
    if content is None:
        actual = next(iter(value))
        raise ItemError(f"{_INVALID}Type mismatch for key {attribute.name} expected: {attribute.type} actual: {actual}")
    return content


def _content_of_key(attribute: KeyAttribute, key: Item) -> Any:
    content = key.get(attribute.name, {}).get(attribute.type)
    if content is None:
        raise ItemError(SCHEMA_MISMATCH)
    return content


def key_part(attribute: KeyAttribute, content: str, is_hash: bool) -> bytes:
    """What a key attribute's value is in a row key. Raises ItemError where it may be no key."""
    if attribute.type == "N":
        return encode_number(content)
    if not content:
        empty = "string" if attribute.type == "S" else "binary"
        raise ItemError(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
            f"an empty {empty} value. Key: {attribute.name}"
        )
    if attribute.type == "S":
        part = encode_text(content)
        size = len(part) if len(part) <= RANGE_KEY_BYTES_MAX else len(content.encode())
    else:
        data = binary_content(content)
        part = encode_binary(data)
        size = len(data)
    if is_hash and size > HASH_KEY_BYTES_MAX:
        raise ItemError(f"{_INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes")
    if not is_hash and size > RANGE_KEY_BYTES_MAX:
        raise ItemError(f"{_INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
    return part
