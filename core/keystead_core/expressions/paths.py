"""Document paths in items: what a path leads to, which paths get in each other's way, and the part of an item that
paths select."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.tree import Path, Projection
from keystead_core.items import Attribute, Item

PLANS_MAX: Final = 256


class PathTree:
    """Paths by their elements. `end` is the path that ends here; it has nothing below it."""

    __slots__ = ("below", "end")

    def __init__(self) -> None:
        self.below: dict[str | int, PathTree] = {}
        self.end: Path | None = None

    def add(self, path: Path) -> None:
        """Raises ExpressionError if `path` is, contains or is in one that has been added (they overlap), or takes for
        a map what another takes for a list (they conflict)."""
        node = self
        for element in path.elements:
            if node.end is not None:
                raise _in_the_way("overlap", path, node.end)
            for sibling in node.below:
                if type(sibling) is not type(element):
                    raise _in_the_way("conflict", path, node.first())
                break
            below = node.below.get(element)
            if below is None:
                below = node.below[element] = PathTree()
            node = below
        if node.end is not None or node.below:
            raise _in_the_way("overlap", path, node.first())
        node.end = path

    def first(self) -> Path:
        """The first path that was added at or below this node."""
        node = self
        while node.end is None:
            node = next(iter(node.below.values()))
        return node.end


def _in_the_way(verb: str, one: Path, two: Path) -> ExpressionError:
    return ExpressionError(
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {one}, path two: {two}"
    )


def resolve(path: Path, item: Item) -> Attribute | None:
    """What the path leads to in the item; None if nothing is there."""
    found: Attribute | None = None
    members: Item | None = item
    for element in path.elements:
        if isinstance(element, str):
            if found is not None:
                members = found.get("M")
            found = None if members is None else members.get(element)
        else:
            assert found is not None
            values = found.get("L")
            found = None if values is None or element >= len(values) else values[element]
        if found is None:
            return None
    return found


def project(projection: Projection, item: Item) -> Item:
    """The part of the item that the paths lead to, in the maps and lists that it is in. Elements of a list close ranks,
    in the order of the list; what no path leads to leaves no empty map or list behind."""
    return _members(_plan(projection.paths), item)


@lru_cache(PLANS_MAX)
def _plan(paths: tuple[Path, ...]) -> PathTree:
    return path_tree(paths)


def path_tree(paths: Iterable[Path]) -> PathTree:
    """Raises ExpressionError if paths overlap or conflict."""
    tree = PathTree()
    for path in paths:
        tree.add(path)
    return tree


def _members(plan: PathTree, item: Item) -> Item:
    part: Item = {}
    for name, below in plan.below.items():
        assert isinstance(name, str)
        attribute = item.get(name)
        if attribute is not None:
            selected = _part(below, attribute)
            if selected is not None:
                part[name] = selected
    return part


def _part(plan: PathTree, attribute: Attribute) -> Attribute | None:
    if plan.end is not None:
        return attribute
    if isinstance(next(iter(plan.below)), str):
        members = attribute.get("M")
        part = None if members is None else _members(plan, members)
        return {"M": part} if part else None
    values = attribute.get("L")
    if values is None:
        return None
    selected = []
    for index, below in sorted(plan.below.items(), key=_index):
        assert isinstance(index, int)
        if index < len(values):
            element = _part(below, values[index])
            if element is not None:
                selected.append(element)
    return {"L": selected} if selected else None


def _index(entry: tuple[str | int, PathTree]) -> int:
    assert isinstance(entry[0], int)
    return entry[0]
