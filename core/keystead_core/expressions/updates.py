"""What an update makes of an item.

Every right-hand side is computed from the item as it was. Then elements of a list are replaced by the indexes they had;
those beyond its end are appended in the order of their indexes; and the removed ones go last. The old item stays as it
is: what the update does not touch, both share, and neither may be changed from here on.
"""

from typing import Final

import msgspec

from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.paths import resolve
from keystead_core.expressions.tree import Action, Literal, Node, Operation, Path, Projection, Update
from keystead_core.expressions.values import SET_TYPES, type_of
from keystead_core.items import ITEM_BYTES_MAX, Attribute, Item, check_attribute
from keystead_core.numbers import NumberError, add_numbers, subtract_numbers

ITEM_TOO_LARGE: Final = "Item size to update has exceeded the maximum allowed size"

_INVALID_PATH: Final = "The document path provided in the update expression is invalid for update"
_INCORRECT_TYPE: Final = "An operand in the update expression has an incorrect data type"
_TYPE_MISMATCH: Final = "Type mismatch for attribute to update"
_NO_ATTRIBUTE: Final = "The provided expression refers to an attribute that does not exist in the item"


class Updated(msgspec.Struct, frozen=True):
    """The new item, and the paths that the update names. UPDATED_OLD is `project(touched, the old item)`, UPDATED_NEW
    is `project(touched, item)`."""

    item: Item
    touched: Projection


class _Change:
    """What becomes of what a path leads to: `new` takes its place (None: it goes), or changes below it."""

    __slots__ = ("below", "new")

    def __init__(self) -> None:
        self.below: dict[str | int, _Change] = {}
        self.new: Attribute | None = None


def apply_update(update: Update, item: Item) -> Updated:
    """`item` holds the key attributes alone where there is no item yet. Raises ExpressionError.

    Whether the new item is too large is for `items.encode_checked_row` to say: here the size of the new values alone is
    checked, and how deep they are nested where they are. Raises ItemError for that.
    """
    for action in update.actions:
        _check_parent(action.path, item)
    root = _Change()
    size = 0
    for action in update.actions:
        change = root
        for element in action.path.elements:
            change = change.below.setdefault(element, _Change())
        new = _result(action, item, _TYPE_MISMATCH if update.is_legacy else _INCORRECT_TYPE)
        if new is not None:
            # A thousand copies of an attribute are cheap to name; nobody should have to measure them all.
            size += check_attribute(new, len(action.path.elements) - 1)
            if size > ITEM_BYTES_MAX:
                raise ExpressionError(ITEM_TOO_LARGE)
        change.new = new
    touched = Projection(tuple(action.path for action in update.actions))
    return Updated(_changed_members(root, item), touched)


def _result(action: Action, item: Item, mismatch: str) -> Attribute | None:
    """What the action leaves where its path leads; None for nothing."""
    match action.section:
        case "REMOVE":
            return None
        case "SET":
            assert action.value is not None
            return _evaluate(action.value, item)
    operand = action.value
    assert isinstance(operand, Literal)
    old = resolve(action.path, item)
    kind = type_of(operand.attribute)
    if old is not None and kind not in old:
        raise ExpressionError(mismatch)
    return _added(kind, old, operand) if action.section == "ADD" else _deleted(kind, old, operand)


def _added(kind: str, old: Attribute | None, operand: Literal) -> Attribute:
    if old is None:
        return operand.attribute
    content = operand.attribute[kind]
    if kind == "N":
        return _number("+", old, operand.attribute)
    if kind == "L":
        return {kind: old[kind] + content}
    assert kind in SET_TYPES
    present = set(old[kind])
    return {kind: old[kind] + [element for element in content if element not in present]}


def _deleted(kind: str, old: Attribute | None, operand: Literal) -> Attribute | None:
    if old is None:
        return None
    gone = set(operand.attribute[kind])
    left = [element for element in old[kind] if element not in gone]
    return {kind: left} if left else None


def _evaluate(node: Node, item: Item) -> Attribute:
    """One call per level of the tree: 300 operators are within the interpreter's stack."""
    match node:
        case Literal(attribute=attribute):
            return attribute
        case Path():
            found = resolve(node, item)
            if found is None:
                raise ExpressionError(_NO_ATTRIBUTE)
            return found
        case Operation(operator="if_not_exists", operands=(path, otherwise)):
            assert isinstance(path, Path)
            default = _evaluate(otherwise, item)
            found = resolve(path, item)
            return default if found is None else found
        case Operation(operator=operator, operands=(one, other)):
            left, right = _evaluate(one, item), _evaluate(other, item)
            return _appended(left, right) if operator == "list_append" else _number(operator, left, right)
    raise AssertionError(f"{node} has no value")


def _appended(head: Attribute, tail: Attribute) -> Attribute:
    if "L" not in head or "L" not in tail:
        raise ExpressionError(_INCORRECT_TYPE)
    return {"L": head["L"] + tail["L"]}


def _number(operator: str, left: Attribute, right: Attribute) -> Attribute:
    if "N" not in left or "N" not in right:
        raise ExpressionError(_INCORRECT_TYPE)
    try:
        compute = add_numbers if operator == "+" else subtract_numbers
        return {"N": compute(left["N"], right["N"])}
    except NumberError as error:
        raise ExpressionError(str(error)) from None


def _check_parent(path: Path, item: Item) -> None:
    if len(path.elements) == 1:
        return
    parent = resolve(Path(path.elements[:-1]), item)
    if parent is None or ("M" if isinstance(path.elements[-1], str) else "L") not in parent:
        raise ExpressionError(_INVALID_PATH)


def _changed_members(change: _Change, members: Item) -> Item:
    new = dict(members)
    for name, below in change.below.items():
        assert isinstance(name, str)
        attribute = _changed(below, members.get(name))
        if attribute is None:
            new.pop(name, None)
        else:
            new[name] = attribute
    return new


def _changed(change: _Change, old: Attribute | None) -> Attribute | None:
    if not change.below:
        return change.new
    assert old is not None, "every parent has been checked"
    if "M" in old:
        return {"M": _changed_members(change, old["M"])}
    return {"L": _changed_elements(change, old["L"])}


def _changed_elements(change: _Change, elements: list[Attribute]) -> list[Attribute]:
    new: list[Attribute | None] = list(elements)
    beyond: list[tuple[int, Attribute]] = []
    for index, below in change.below.items():
        assert isinstance(index, int)
        if index < len(elements):
            new[index] = _changed(below, elements[index])
        elif below.new is not None:
            beyond.append((index, below.new))
    beyond.sort(key=lambda entry: entry[0])
    return [element for element in new if element is not None] + [element for _, element in beyond]
