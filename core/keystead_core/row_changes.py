"""Changes of a row that depend on what the row holds: judged at the partition's master, in one turn with the write.

The node that has the request checks it, binds its expressions and sends a RowChange; the master judges it by the row's
latest value (`decide`) and answers with an Outcome. Both are formats between nodes: numbers are never reused, and new
fields are appended with a default.

    change  = PUT value | DELETE | UPDATE update, beginning with key where there is no item
    outcome = DONE | CONDITION_FAILED | REFUSED message                  the row is changed by DONE alone

Expressions travel bound, which is quickly read; or, of a large request, as their texts with the names and values: an
expression can name a value three hundred times, and a large one should not travel, or be kept, that often.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from keystead_core.expressions import (
    ITEM_TOO_LARGE,
    Condition,
    ExpressionError,
    Placeholders,
    Projection,
    Update,
    apply_update,
    matches,
    project,
    read_condition,
    read_update,
)
from keystead_core.indexes.key_values import IndexKey, check_updated_index_keys
from keystead_core.items import (
    Attribute,
    Item,
    ItemError,
    check_attributes,
    decode_row,
    encode_checked_row,
    encode_item,
    row_json,
    row_size,
)

PUT: Final = 1
DELETE: Final = 2
UPDATE: Final = 3

DONE: Final = 1
CONDITION_FAILED: Final = 2
REFUSED: Final = 3


class Texts(msgspec.Struct, frozen=True, array_like=True):
    """The expressions of a request as it has them, checked by the node that sends them. None: there is no such one."""

    condition: str | None
    update: str | None
    names: Mapping[str, str] | None
    values: Mapping[str, Attribute] | None

    def bound(self) -> tuple[Condition | None, Update | None]:
        placeholders = Placeholders(self.names, self.values, is_checked=True)
        update = None if self.update is None else read_update(self.update, placeholders)
        return None if self.condition is None else read_condition(self.condition, placeholders), update


class RowChange(msgspec.Struct, frozen=True, array_like=True):
    """`value`: the row that is put; `key`: what an update of no item begins with. `returns`: which attributes are
    wanted once it is done, NONE ALL_OLD UPDATED_OLD ALL_NEW UPDATED_NEW; `failed_item`: whether the item is that does
    not meet the condition; `sizes`: whether the item's sizes are. `texts`: in the place of `condition` and `update`.
    `index_keys`: what an update may bring only certain values into; `rows`: whether the row before and after is
    wanted."""

    kind: int
    condition: Condition | None = None
    value: bytes | None = None
    update: Update | None = None
    key: Item | None = None
    returns: str = "NONE"
    failed_item: bool = False
    sizes: bool = False
    texts: Texts | None = None
    index_keys: tuple[IndexKey, ...] = ()
    rows: bool = False


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """`message`: the service's, of what is refused. `attributes`: those that were asked for, as JSON; None where there
    are none. Sizes are of the item before and after, in bytes; 0 of none, and where they were not asked for; so are the
    row values, None of none."""

    status: int
    message: str = ""
    attributes: bytes | None = None
    old_size: int = 0
    new_size: int = 0
    old_row: bytes | None = None
    new_row: bytes | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a row. `writes`: it becomes `value` (None: it is deleted); else it stays. `answer`: for whoever
    asked, true as soon as that is so."""

    writes: bool
    value: bytes | None
    answer: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode_change = msgspec.msgpack.Decoder(RowChange).decode
_decode_fields = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_SIZES: Final = RowChange.__struct_fields__.index("sizes")
_ROWS: Final = RowChange.__struct_fields__.index("rows")
_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


def encode_change(change: RowChange) -> bytes:
    return _encode(change)


def with_sizes(change: bytes, rows: bool = False) -> bytes:
    """The same change, asking for the item's sizes too, and for the row before and after if `rows`; nothing else of it
    is looked into."""
    fields = _decode_fields(change)
    fields[_SIZES] = msgspec.Raw(_encode(True))
    if rows:
        fields[_ROWS] = msgspec.Raw(_encode(True))
    return _encode(fields)


def decode_outcome(data: bytes) -> Outcome:
    return _decode_outcome(data)


def decide(change: bytes, value: bytes | None) -> Decision:
    """What becomes of the row whose latest value is `value` (None: there is no row). Raises RowFormatError."""
    wanted = _decode_change(change)
    condition, update = (wanted.condition, wanted.update) if wanted.texts is None else wanted.texts.bound()
    item = {} if value is None else decode_row(value)
    if condition is not None and not matches(condition, item):
        found = bytes(row_json(value)) if value is not None and wanted.failed_item else None
        return _stays(Outcome(CONDITION_FAILED, "", found, _size(wanted, item)))
    if wanted.kind == UPDATE:
        return _updated(wanted, update, value, item)
    assert wanted.kind in (PUT, DELETE), f"change of kind {wanted.kind}"
    assert (wanted.value is None) == (wanted.kind == DELETE)
    new_size = row_size(wanted.value) if wanted.sizes and wanted.value is not None else 0
    rows = (value, wanted.value) if wanted.rows else ()
    outcome = Outcome(DONE, "", _whole(wanted, value, wanted.value), _size(wanted, item), new_size, *rows)
    return Decision(True, wanted.value, _encode(outcome))


def _updated(wanted: RowChange, update: Update | None, value: bytes | None, item: Item) -> Decision:
    assert wanted.key is not None
    before = item if value is not None else wanted.key
    after, touched = before, Projection(())
    try:
        if update is not None:
            updated = apply_update(update, before)
            after, touched = updated.item, updated.touched
            check_updated_index_keys(wanted.index_keys, item, after)
        row = encode_checked_row(after, ITEM_TOO_LARGE)
    except (ExpressionError, ItemError) as error:
        return _stays(Outcome(REFUSED, str(error)))
    match wanted.returns:
        case "UPDATED_OLD":
            attributes = _json_of(project(touched, item))
        case "UPDATED_NEW":
            attributes = _json_of(project(touched, after))
        case _:
            attributes = _whole(wanted, value, row)
    rows = (value, row) if wanted.rows else ()
    outcome = Outcome(DONE, "", attributes, _size(wanted, item), _size(wanted, after), *rows)
    return Decision(True, row, _encode(outcome))


def _stays(outcome: Outcome) -> Decision:
    return Decision(False, None, _encode(outcome))


def _whole(wanted: RowChange, old: bytes | None, new: bytes | None) -> bytes | None:
    row = {"ALL_OLD": old, "ALL_NEW": new}.get(wanted.returns)
    return None if row is None else bytes(row_json(row))


def _json_of(part: Item) -> bytes | None:
    return encode_item(part) if part else None


def _size(wanted: RowChange, item: Item) -> int:
    return check_attributes(item) if wanted.sizes else 0
