"""The row keys that a query names: one partition key, and at most one condition on the sort key."""

from typing import Any

from keystead_core.cluster_map import KeyAttribute
from keystead_core.item_keys import key_part
from keystead_core.items import binary_content
from keystead_core.keyspace import KeyRange, encode_prefix, keys_with_prefix, make_row_key, next_key


def query_range(
    hash_key: KeyAttribute,
    hash_content: Any,
    range_key: KeyAttribute | None = None,
    operator: str = "",
    operands: tuple[Any, ...] = (),
) -> KeyRange:
    """The row keys of the items whose partition key is `hash_content` and whose sort key stands as `operator` says.

    `operator`: "" (any sort key), = < <= > >= BETWEEN begins_with; contents are as in a checked attribute value, of the
    key's type. The range is empty (its ends meet) where nothing can be in it. Raises ItemError, as for a bad key.
    """
    prefix = make_row_key(key_part(hash_key, hash_content, True))
    whole = keys_with_prefix(prefix)
    if range_key is None or not operator:
        return whole
    if operator == "begins_with":
        key_part(range_key, operands[0], False)
        value = operands[0] if range_key.type == "S" else binary_content(operands[0])
        return keys_with_prefix(prefix + encode_prefix(range_key.type, value))
    parts = [prefix + key_part(range_key, content, False) for content in operands]
    match operator:
        case "=":
            return KeyRange(parts[0], next_key(parts[0]))
        case "<":
            return KeyRange(prefix, parts[0])
        case "<=":
            return KeyRange(prefix, next_key(parts[0]))
        case ">":
            return KeyRange(next_key(parts[0]), whole.high)
        case ">=":
            return KeyRange(parts[0], whole.high)
        case "BETWEEN":
            return KeyRange(parts[0], max(parts[0], next_key(parts[1])))
    raise AssertionError(f"{operator} is no operator of a key condition")
