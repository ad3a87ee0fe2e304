"""Row keys: where an item lives.

    row key     = hash partition-part [sort-part]
    hash        = xxh3-64 of partition-part, 8 bytes, big-endian
    part of S   = UTF-8 bytes, each 00 as 00 FF, then 00 01
    part of B   = the bytes,   each 00 as 00 FF, then 00 01
    part of N   = 80                                             zero
                | C0 (exponent + 130) pair+1 ... 00              above zero
                | 40 (125 - exponent) FE-pair ... FF             below zero

A pair is two decimal digits, 0 to 99, the last one filled up with a zero. No part is a prefix of another, and comparing
parts of one type as bytes is comparing the values: numbers by magnitude, S and B byte by byte. So the items of one
partition key lie together, in the order of their sort keys. The types come from the table and are not in the key.

A partition owns a half-open range of row keys, [low, high); the whole space is (b"", None).
"""

from typing import Final, NamedTuple

import xxhash

from keystead_core.numbers import EXPONENT_MAX, EXPONENT_MIN, Decimal38, format_number, parse_number

HASH_BYTES: Final = 8
HASH_SPACE: Final = 1 << 64

_TERMINATOR: Final = b"\x00\x01"
_ZERO: Final = b"\x80"
_ABOVE: Final = 0xC0
_BELOW: Final = 0x40
_hash = xxhash.xxh3_64_digest

KeyValue = str | bytes
"""A key attribute's value: str for S, bytes for B, number text for N."""


class KeyDecodeError(ValueError):
    """The bytes are no row key of the given types."""


class KeyRange(NamedTuple):
    """[low, high) of row keys; `high` None: no end."""

    low: bytes
    high: bytes | None


def encode_text(value: str) -> bytes:
    """The part of an S value."""
    return value.encode().replace(b"\x00", b"\x00\xff") + _TERMINATOR


def encode_binary(value: bytes) -> bytes:
    """The part of a B value."""
    return value.replace(b"\x00", b"\x00\xff") + _TERMINATOR


def encode_number(text: str) -> bytes:
    """The part of an N value. Raises NumberError; texts of equal numbers give equal parts."""
    negative, digits, exponent = parse_number(text)
    if not digits:
        return _ZERO
    if len(digits) % 2:
        digits += "0"
    pairs = [int(digits[i : i + 2]) for i in range(0, len(digits), 2)]
    if negative:
        return bytes((_BELOW, EXPONENT_MAX - exponent, *(0xFE - pair for pair in pairs), 0xFF))
    return bytes((_ABOVE, exponent - EXPONENT_MIN, *(pair + 1 for pair in pairs), 0))


def encode_prefix(kind: str, value: KeyValue) -> bytes:
    """What the parts of all S or B values that begin with `value` begin with."""
    assert kind != "N"
    return encode_part(kind, value)[: -len(_TERMINATOR)]


def encode_part(kind: str, value: KeyValue) -> bytes:
    """The part of a value of type `kind` (S, N or B)."""
    if kind == "B":
        assert isinstance(value, bytes)
        return encode_binary(value)
    assert isinstance(value, str)
    return encode_number(value) if kind == "N" else encode_text(value)


def make_row_key(partition_part: bytes, sort_part: bytes = b"") -> bytes:
    """The row key of an item from its encoded key values."""
    return _hash(partition_part) + partition_part + sort_part


def next_key(row_key: bytes) -> bytes:
    """The lowest key above `row_key`."""
    return row_key + b"\x00"


def hash_of(row_key: bytes) -> int:
    """The hash that a row key begins with; of a shorter one the lowest."""
    return int.from_bytes(row_key[:HASH_BYTES].ljust(HASH_BYTES, b"\x00"), "big")


def keys_with_prefix(prefix: bytes) -> KeyRange:
    """All keys that begin with `prefix`."""
    stem = prefix.rstrip(b"\xff")
    return KeyRange(prefix, stem[:-1] + bytes((stem[-1] + 1,)) if stem else None)


def hash_range(index: int, count: int) -> KeyRange:
    """The `index`th (from 0) of `count` equal ranges of the hash space."""
    assert 0 <= index < count <= HASH_SPACE
    low = HASH_SPACE * index // count
    high = HASH_SPACE * (index + 1) // count
    return KeyRange(
        low.to_bytes(HASH_BYTES, "big") if index else b"",
        high.to_bytes(HASH_BYTES, "big") if index + 1 < count else None,
    )


def split_ranges(count: int) -> list[KeyRange]:
    """`count` equal ranges of the hash space, in order: disjoint, and together everything."""
    return [hash_range(index, count) for index in range(count)]


def decode_row_key(row_key: bytes, hash_type: str, range_type: str | None) -> tuple[KeyValue, KeyValue | None]:
    """The partition key and sort key values (numbers as canonical text).

    Raises KeyDecodeError unless the bytes are exactly what the encoders above make, its hash included.
    """
    partition, end = _decode_part(row_key, HASH_BYTES, hash_type)
    if _hash(row_key[HASH_BYTES:end]) != row_key[:HASH_BYTES]:
        raise KeyDecodeError("the hash is not that of the partition key")
    sort: KeyValue | None = None
    if range_type is not None:
        sort, end = _decode_part(row_key, end, range_type)
    if end != len(row_key):
        raise KeyDecodeError(f"{len(row_key) - end} bytes too many")
    return partition, sort


def collection_of(row_key: bytes, hash_type: str) -> bytes:
    """What the row keys of all items of the same partition key begin with. Raises KeyDecodeError."""
    return row_key[: _decode_part(row_key, HASH_BYTES, hash_type)[1]]


def _decode_part(data: bytes, start: int, kind: str) -> tuple[KeyValue, int]:
    if kind == "N":
        return _decode_number(data, start)
    value = bytearray()
    while True:
        zero = data.find(b"\x00", start)
        if zero < 0 or zero + 1 >= len(data):
            raise KeyDecodeError("a part has no end")
        value += data[start:zero]
        start = zero + 2
        match data[zero + 1]:
            case 0x01:
                break
            case 0xFF:
                value.append(0)
            case other:
                raise KeyDecodeError(f"00 followed by {other:02X}")
    if kind == "B":
        return bytes(value), start
    try:
        return value.decode(), start
    except UnicodeDecodeError as error:
        raise KeyDecodeError("text is not UTF-8") from error


def _decode_number(data: bytes, start: int) -> tuple[str, int]:
    if data[start : start + 1] == _ZERO:
        return "0", start + 1
    below = data[start : start + 1] == bytes((_BELOW,))
    end = data.find(b"\xff" if below else b"\x00", start + 2)
    if not (below or data[start : start + 1] == bytes((_ABOVE,))) or end < 0:
        raise KeyDecodeError("a number has a wrong sign byte or no end")
    exponent = EXPONENT_MAX - data[start + 1] if below else data[start + 1] + EXPONENT_MIN
    pairs = [0xFE - byte if below else byte - 1 for byte in data[start + 2 : end]]
    text = format_number(Decimal38(below, "".join(f"{pair:02}" for pair in pairs).rstrip("0"), exponent))
    if min(pairs, default=-1) < 0 or max(pairs) > 99 or encode_number(text) != data[start : end + 1]:
        raise KeyDecodeError("a number is not in its canonical form")
    return text, end + 1
