"""The body of a DATA record: row changes, in order.

body   = change*
change = kind:u8 key_length:u16 value_length:u32 key value        kind: 1 put, 2 delete (no value)
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

_HEAD: Final = struct.Struct("<BHI")
PUT: Final = 1
DELETE: Final = 2

Change = tuple[bytes, bytes | None]


class ChangesError(ValueError):
    """The bytes are no row changes."""


def encode_change(key: bytes, value: bytes | None) -> bytes:
    """One put (or, with value None, delete) of a row."""
    if value is None:
        return _HEAD.pack(DELETE, len(key), 0) + key
    return _HEAD.pack(PUT, len(key), len(value)) + key + value


def split_changes(changes: Sequence[Change], bytes_max: int) -> Iterator[tuple[bytes, Sequence[Change]]]:
    """The bodies of as few records as take the changes in their order, each with its changes. One that has several is
    no longer than `bytes_max`."""
    first = size = 0
    parts: list[bytes] = []
    for number, (key, value) in enumerate(changes):
        part = encode_change(key, value)
        if parts and size + len(part) > bytes_max:
            yield b"".join(parts), changes[first:number]
            first, size, parts = number, 0, []
        parts.append(part)
        size += len(part)
    if parts:
        yield b"".join(parts), changes[first:]


def decode_changes(data: bytes, offset: int = 0) -> list[Change]:
    """The changes from `offset` on. Raises ChangesError."""
    changes: list[Change] = []
    end = len(data)
    while offset < end:
        if end - offset < _HEAD.size:
            raise ChangesError("a change is cut short")
        kind, key_length, value_length = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        if kind not in (PUT, DELETE) or (kind == DELETE and value_length) or end - offset < key_length + value_length:
            raise ChangesError(f"no row change at byte {offset - _HEAD.size}")
        key = data[offset : offset + key_length]
        offset += key_length
        value = data[offset : offset + value_length] if kind == PUT else None
        offset += value_length
        changes.append((key, value))
    return changes


def keys_of(data: bytes, offset: int = 0) -> list[bytes]:
    """The keys that encoded changes from `offset` on touch. For what was made here: nothing is checked."""
    keys = []
    while offset < len(data):
        _, key_length, value_length = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        keys.append(data[offset : offset + key_length])
        offset += key_length + value_length
    return keys
