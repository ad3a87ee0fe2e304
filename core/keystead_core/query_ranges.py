"""The row keys that a query names: one partition key, and at most one condition on the sort key; of an index whose keys
have more attributes, equalities on the first of them before that.
"""

from typing import Any

from keystead_core.cluster_map import KeyAttribute
from keystead_core.expressions.keys import KeyCondition, KeySchema
from keystead_core.item_keys import key_part
from keystead_core.items import binary_content
from keystead_core.keyspace import KeyRange, encode_prefix, keys_with_prefix, make_row_key


def query_range(schema: KeySchema, condition: KeyCondition) -> KeyRange:
    """The row keys of the items, or index entries, that the condition selects. `schema`: of the table or index; in an
    index more follows behind the parts of its own attributes.

    The range is empty (its ends meet) where nothing can be in it. Raises ItemError, as for a bad key.
    """
    hash_parts = [key_part(key, content, True) for key, content in zip(schema.hash, condition.hash, strict=True)]
    range_parts = [
        key_part(key, content, False) for key, content in zip(schema.range, condition.equal_range, strict=False)
    ]
    prefix = make_row_key(b"".join(hash_parts), b"".join(range_parts))
    if condition.last is None:
        return keys_with_prefix(prefix)
    attribute = schema.range[len(range_parts)]
    operands = tuple(value[attribute.type] for value in condition.last.values)
    return _range_within(prefix, attribute, condition.last.operator, operands)


def _range_within(prefix: bytes, attribute: KeyAttribute, operator: str, operands: tuple[Any, ...]) -> KeyRange:
    """No part is the beginning of another, so the keys that begin with a part are those of its value."""
    whole = keys_with_prefix(prefix)
    if operator == "begins_with":
        key_part(attribute, operands[0], False)
        value = operands[0] if attribute.type == "S" else binary_content(operands[0])
        return keys_with_prefix(prefix + encode_prefix(attribute.type, value))
    equal = [keys_with_prefix(prefix + key_part(attribute, content, False)) for content in operands]
    match operator:
        case "=":
            return equal[0]
        case "<":
            return KeyRange(prefix, equal[0].low)
        case "<=":
            return KeyRange(prefix, equal[0].high)
        case ">":
            return KeyRange(_end(equal[0]), whole.high)
        case ">=":
            return KeyRange(equal[0].low, whole.high)
        case "BETWEEN":
            return KeyRange(equal[0].low, max(equal[0].low, _end(equal[1])))
    raise AssertionError(f"{operator} is no operator of a key condition")


def _end(key_range: KeyRange) -> bytes:
    """Parts are never all ones, so there are keys behind those of any."""
    assert key_range.high is not None
    return key_range.high
