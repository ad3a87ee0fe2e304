"""What PutItem, DeleteItem and UpdateItem answer."""

import msgspec

from keystead_core.items import ItemError, row_json, row_size
from keystead_node.api.capacity import consumed, write_units


def check_return_values(return_values: str) -> None:
    """Raises ItemError for what only UpdateItem may ask for."""
    if return_values not in ("NONE", "ALL_OLD"):
        raise ItemError("ReturnValues can only be ALL_OLD or NONE")


def write_response(
    table_name: str, return_values: str, return_capacity: str, old: bytes | None, new_size: int
) -> bytes:
    """`old`: the row's value before, if it was asked for and there was one; `new_size`: of the item written, or 0."""
    attributes = row_json(old) if old is not None and return_values == "ALL_OLD" else None
    units = 0.0
    if return_capacity != "NONE":
        units = write_units(max(new_size, row_size(old) if old is not None else 0))
    return response(table_name, attributes, return_capacity, units)


def response(table_name: str, attributes: bytes | memoryview | None, return_capacity: str, units: float) -> bytes:
    """`attributes`: JSON; None for none."""
    members = []
    if attributes is not None:
        members.append(b'"Attributes":' + attributes)
    if return_capacity != "NONE":
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(consumed(table_name, units, return_capacity)))
    return b"{" + b",".join(members) + b"}"
