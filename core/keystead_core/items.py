"""Items: what may be stored, what it counts, and the bytes that a row holds.

An item is DynamoDB JSON decoded: {attribute name: {type: content}}; types are S N B BOOL NULL M L SS NS BS.
A row's value is one format byte and the item as compact JSON with every number in its canonical text:

    row value = 01 JSON

so that a read is answered from the very bytes of the row. Checking walks an item once, normalises its numbers in place
and adds up its size: UTF-8 bytes of names and strings, bytes of binaries, 1 for BOOL and NULL, 3 for a list or map and
1 for each of its members, and numbers as `numbers.number_bytes` says.
"""

import binascii
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from keystead_core.numbers import NumberError, normalise_number, number_bytes

ITEM_BYTES_MAX: Final = 409_600
NESTING_MAX: Final = 31
ROW_FORMAT: Final = 1

Attribute = dict[str, Any]
Item = dict[str, Attribute]

_PREFIX: Final = bytes((ROW_FORMAT,))
_COLLECTION_BYTES: Final = 3
_INVALID: Final = "One or more parameter values were invalid: "
_encode = msgspec.json.Encoder().encode
_decode_item: Callable[[bytes], Item] = msgspec.json.Decoder(Item).decode


class ItemError(ValueError):
    """The item may not be stored; the message is the service's own."""


class ItemShapeError(ValueError):
    """The item is not DynamoDB JSON: an unknown type, or content that does not fit its type."""


class RowFormatError(ValueError):
    """A row's value has an unknown format byte, or no item behind it: damage, or a newer program's row."""


def encode_row(item: Item) -> tuple[bytes, int]:
    """The row value of an item and the item's size, numbers normalised in `item` too.

    Raises ItemError (also for an item that is too large) and ItemShapeError.
    """
    size = check_attributes(item)
    if size > ITEM_BYTES_MAX:
        raise ItemError("Item size has exceeded the maximum allowed size")
    return _PREFIX + _encode(item), size


def encode_checked_row(item: Item, too_large: str) -> bytes:
    """The row value of an item whose attributes have all been checked. Raises ItemError(too_large).

    An item is no larger than its JSON, so most need not be measured.
    """
    row = _PREFIX + _encode(item)
    if len(row) > ITEM_BYTES_MAX and check_attributes(item) > ITEM_BYTES_MAX:
        raise ItemError(too_large)
    return row


def encode_item(item: Item) -> bytes:
    """The JSON of an item, or of a part of one."""
    return _encode(item)


def row_json(value: bytes) -> memoryview:
    """The item's JSON inside a row value, not copied. Raises RowFormatError."""
    if value[:1] != _PREFIX:
        raise RowFormatError(f"row format {value[:1].hex()} is not known")
    return memoryview(value)[1:]


def decode_row(value: bytes) -> Item:
    """The item of a row value. Raises RowFormatError."""
    try:
        return _decode_item(row_json(value))  # type: ignore[arg-type]
    except msgspec.MsgspecError as error:
        raise RowFormatError(f"the row holds no item: {error}") from error


def row_size(value: bytes) -> int:
    """The size of a row's item as the service counts it. Raises RowFormatError."""
    return check_attributes(decode_row(value))


def check_attributes(attributes: Item) -> int:
    """Checks attribute values, normalises numbers in place and returns the size in bytes of names and values.

    Raises ItemError and ItemShapeError. The size limit is not checked here.
    """
    size = 0
    for name, attribute in attributes.items():
        size += len(name) if name.isascii() else len(name.encode())
        # The two commonest cases are taken here: a call per attribute is what a Put would feel.
        if len(attribute) == 1:
            content = attribute.get("S")
            if type(content) is str:
                size += len(content) if content.isascii() else len(content.encode())
                continue
        size += check_attribute(attribute, 0)
    return size


def check_attribute(attribute: Attribute, depth: int) -> int:
    """The same of one value, which `depth` lists and maps are around."""
    if type(attribute) is not dict:
        raise ItemShapeError("an attribute value is no object")
    size = 0
    for kind in attribute:
        size = _check_content(attribute, kind, depth)
    if len(attribute) != 1:
        many = "has more than one datatypes set" if attribute else "is empty"
        raise ItemError(f"Supplied AttributeValue {many}, must contain exactly one of the supported datatypes")
    return size


def _check_content(attribute: Attribute, kind: str, depth: int) -> int:
    content = attribute[kind]
    match kind:
        case "S":
            return _text_bytes(content)
        case "N":
            attribute[kind] = number = _number(content)
            return number_bytes(number)
        case "B":
            return len(binary_content(content))
        case "BOOL":
            if type(content) is not bool:
                raise ItemShapeError("BOOL is no boolean")
            return 1
        case "NULL":
            if type(content) is not bool:
                raise ItemShapeError("NULL is no boolean")
            attribute[kind] = True
            return 1
        case "L" | "M":
            return _check_nested(content, kind, depth + 1)
        case "SS" | "NS" | "BS":
            return _check_set(content, kind)
    raise ItemShapeError(f"{kind} is no attribute type")


def _check_nested(content: Any, kind: str, depth: int) -> int:
    if depth > NESTING_MAX:
        raise ItemError(
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit"
        )
    if kind == "L":
        if type(content) is not list:
            raise ItemShapeError("L is no array")
        return _COLLECTION_BYTES + len(content) + sum(check_attribute(member, depth) for member in content)
    if type(content) is not dict:
        raise ItemShapeError("M is no object")
    size = _COLLECTION_BYTES + len(content)
    for name, member in content.items():
        size += _text_bytes(name) + check_attribute(member, depth)
    return size


def _check_set(content: Any, kind: str) -> int:
    if type(content) is not list:
        raise ItemShapeError(f"{kind} is no array")
    if not content:
        raise ItemError(
            _INVALID + "Binary sets should not be empty"
            if kind == "BS"
            else f"{_INVALID}An {'string' if kind == 'SS' else 'number'} set  may not be empty"
        )
    if kind == "NS":
        content[:] = [_number(member) for member in content]
        size = sum(map(number_bytes, content))
    elif kind == "SS":
        size = sum(map(_text_bytes, content))
    else:
        size = sum(len(binary_content(member)) for member in content)
    if len(set(content)) != len(content):
        raise ItemError(_duplicates(content, kind))
    return size


def _duplicates(content: Iterable[str], kind: str) -> str:
    if kind == "NS":
        return "Input collection contains duplicates"
    listed = f"[{', '.join(content)}]"
    return f"{_INVALID}Input collection {listed}{'of type BS' if kind == 'BS' else ''} contains duplicates."


def _number(content: Any) -> str:
    if type(content) is not str:
        raise ItemShapeError("a number is no string")
    try:
        return normalise_number(content)
    except NumberError as error:
        raise ItemError(str(error)) from None


def _text_bytes(content: Any) -> int:
    if type(content) is not str:
        raise ItemShapeError("a string is no string")
    return len(content) if content.isascii() else len(content.encode())


def binary_content(content: Any) -> bytes:
    """The bytes of a B content. Raises ItemShapeError unless it is canonical base64."""
    if type(content) is not str or not content.isascii():
        raise ItemShapeError("a binary is no base64 text")
    try:
        data = binascii.a2b_base64(content, strict_mode=True)
    except binascii.Error as error:
        raise ItemShapeError(f"a binary is no base64 text: {error}") from None
    if binascii.b2a_base64(data, newline=False) != content.encode():
        raise ItemShapeError("a binary is not in canonical base64")
    return data
