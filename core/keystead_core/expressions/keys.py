"""What key attributes demand of expressions: the key conditions of a query, and where keys may not appear.

A key has one to four hash attributes and up to four range attributes (a table: one, and at most one). A query gives
every hash attribute by equality; of the range attributes, from the first without a gap, equalities and then at most one
condition of another kind.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from keystead_core.cluster_map import IndexDefinition, KeyAttribute, TableDefinition
from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.tree import Condition, Literal, Node, Operation, Path, Projection, Update
from keystead_core.items import Attribute

_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS: Final = frozenset((*_MIRRORED, "BETWEEN", "begins_with"))
_INVALID_CONDITION: Final = "Invalid condition in KeyConditionExpression: "
_NOT_SUPPORTED: Final = "Query key condition not supported"


class KeySchema(msgspec.Struct, frozen=True):
    """The key attributes of a table or an index, in order. `index`: its name, "" for a table's own; `index_keys`: what
    else is a key in an index of the table."""

    hash: tuple[KeyAttribute, ...]
    range: tuple[KeyAttribute, ...] = ()
    index: str = ""
    index_keys: tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[KeyAttribute, ...]:
        return self.hash + self.range


class KeyComparison(msgspec.Struct, frozen=True):
    """One condition on one key attribute. `operator`: = < <= > >= BETWEEN begins_with, or a legacy operator that no
    index can answer; `values` has two for BETWEEN, else one."""

    name: str
    operator: str
    values: tuple[Attribute, ...]


class KeyCondition(msgspec.Struct, frozen=True):
    """What a query reads: all items with these contents of the hash attributes and of the first range attributes, and
    whose next range attribute meets `last` (None: no condition on it). `last` is never an equality but on a single
    range attribute, where `equal_range` is empty."""

    hash: tuple[str, ...]
    equal_range: tuple[str, ...] = ()
    last: KeyComparison | None = None


def schema_of_table(table: TableDefinition) -> KeySchema:
    range_keys = () if table.range_key is None else (table.range_key,)
    if not table.indexes:
        return KeySchema((table.hash_key,), range_keys)
    keys = (key.name for index in table.indexes for key in (*index.hash, *index.range))
    own = [table.hash_key.name, *(key.name for key in range_keys)]
    return KeySchema((table.hash_key,), range_keys, "", tuple(dict.fromkeys(key for key in keys if key not in own)))


def schema_of_index(index: IndexDefinition) -> KeySchema:
    return KeySchema(tuple(index.hash), tuple(index.range), index.name)


def key_condition(condition: Condition, schema: KeySchema) -> KeyCondition:
    """A KeyConditionExpression as the part of the index that it selects. Raises ExpressionError."""
    check_scalar_keys(paths_of(condition), schema)
    comparisons: list[KeyComparison] = []
    for part in _conjuncts(condition.root):
        comparison = _comparison(part)
        if any(other.name == comparison.name for other in comparisons):
            raise ExpressionError("KeyConditionExpressions must only contain one condition per key")
        comparisons.append(comparison)
    return select_keys(comparisons, schema)


def select_keys(comparisons: Sequence[KeyComparison], schema: KeySchema) -> KeyCondition:
    """The part of the index that comparisons of different attributes select. Raises ExpressionError."""
    if len(schema.attributes) <= 2 and not 1 <= len(comparisons) <= 2:
        raise ExpressionError("Conditions can be of length 1 or 2 only")
    if not schema.range and len(comparisons) > len(schema.hash):
        raise ExpressionError(_NOT_SUPPORTED)
    by_name = {comparison.name: comparison for comparison in comparisons}
    hash_contents = []
    for attribute in schema.hash:
        comparison = by_name.pop(attribute.name, None)
        if comparison is None:
            raise ExpressionError(f"Query condition missed key schema element: {attribute.name}")
        _check_values(comparison, attribute, schema.index)
        if comparison.operator != "=":
            raise ExpressionError(_NOT_SUPPORTED)
        hash_contents.append(comparison.values[0][attribute.type])
    equal, last = _select_range(by_name, schema)
    return KeyCondition(tuple(hash_contents), equal, last)


def _select_range(by_name: dict[str, KeyComparison], schema: KeySchema) -> tuple[tuple[str, ...], KeyComparison | None]:
    contents: list[str] = []
    last: KeyComparison | None = None
    for attribute in schema.range:
        if not by_name:
            break
        comparison = by_name.pop(attribute.name, None)
        if comparison is None:
            raise ExpressionError(f"Query condition missed key schema element: {attribute.name}")
        _check_values(comparison, attribute, schema.index)
        if last is not None:
            raise ExpressionError(_NOT_SUPPORTED)
        if comparison.operator == "=" and len(schema.range) > 1:
            contents.append(comparison.values[0][attribute.type])
        else:
            last = comparison
    if by_name:
        raise ExpressionError(_NOT_SUPPORTED)
    return tuple(contents), last


def _check_values(comparison: KeyComparison, attribute: KeyAttribute, index: str) -> None:
    if comparison.operator not in _OPERATORS:
        raise ExpressionError("Attempted conditional constraint is not an indexable operation")
    is_misfit = comparison.operator == "begins_with" and attribute.type == "N"
    for value in comparison.values:
        content = value.get(attribute.type)
        if content is None or is_misfit:
            raise ExpressionError(
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            )
        if not content:
            empty = "string" if attribute.type == "S" else "binary"
            what = "A value specified for a secondary index key is not supported. " if index else ""
            key = f"IndexName: {index}, IndexKey" if index else "Key"
            raise ExpressionError(
                f"One or more parameter values are not valid. {what}The AttributeValue for a key attribute cannot "
                f"contain an empty {empty} value. {key}: {attribute.name}"
            )


def _conjuncts(root: Operation) -> Iterator[Operation]:
    operands: tuple[Node, ...] = root.operands if root.operator == "AND" else (root,)
    for operand in operands:
        assert isinstance(operand, Operation)
        yield operand


def _comparison(operation: Operation) -> KeyComparison:
    operator, operands = operation.operator, operation.operands
    if operator not in _OPERATORS:
        raise ExpressionError(f"Invalid operator used in KeyConditionExpression: {operator}")
    name = ""
    values: list[Attribute] = []
    for position, operand in enumerate(operands):
        match operand:
            case Literal(attribute=attribute):
                values.append(attribute)
            case Path(elements=(str(key), *nested)):
                if name:
                    raise ExpressionError(f"{_INVALID_CONDITION}Multiple attribute names used in one condition")
                if nested:
                    raise ExpressionError("KeyConditionExpressions cannot have conditions on nested attributes")
                if position and operator not in _MIRRORED:
                    raise ExpressionError(
                        f"{_INVALID_CONDITION}{operator} operator must have the key attribute as its first operand"
                    )
                name = key
                operator = _MIRRORED[operator] if position else operator
            case _:
                raise ExpressionError("KeyConditionExpressions cannot contain nested operations")
    if not name:
        raise ExpressionError(f"{_INVALID_CONDITION}No key attribute specified")
    return KeyComparison(name, operator, tuple(values))


def paths_of(expression: Condition | Update | Projection) -> Iterator[Path]:
    """All document paths in an expression, from left to right."""
    match expression:
        case Condition(root=root):
            yield from _paths_below([root])
        case Update(actions=actions):
            for action in actions:
                yield action.path
                if action.value is not None:
                    yield from _paths_below([action.value])
        case Projection(paths=paths):
            yield from paths


def _paths_below(nodes: list[Node]) -> Iterator[Path]:
    while nodes:
        node = nodes.pop()
        if isinstance(node, Path):
            yield node
        elif isinstance(node, Operation):
            nodes.extend(reversed(node.operands))


def check_scalar_keys(paths: Iterable[Path], schema: KeySchema) -> None:
    """Raises ExpressionError if a path leads into a key attribute."""
    names = [attribute.name for attribute in schema.attributes]
    for path in paths:
        if len(path.elements) > 1 and (path.elements[0] in names or path.elements[0] in schema.index_keys):
            kind = "IndexKey" if schema.index or path.elements[0] not in names else "Key"
            raise ExpressionError(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
                f"{kind}: {path.elements[0]}"
            )


def check_filter(condition: Condition, schema: KeySchema, parameter: str = "Filter Expression") -> None:
    """Raises ExpressionError if a query's filter names an attribute of the key that the query reads by. `parameter`:
    "Filter Expression" or "QueryFilter"."""
    check_scalar_keys(paths_of(condition), schema)
    names = [attribute.name for attribute in schema.attributes]
    for path in paths_of(condition):
        if path.elements[0] in names:
            raise ExpressionError(
                f"{parameter} can only contain non-primary key attributes: Primary key attribute: {path.elements[0]}"
            )


def check_update(update: Update, schema: KeySchema) -> None:
    """Raises ExpressionError if the update changes a key attribute of the table."""
    targets = [action.path.elements[0] for action in update.actions]
    for attribute in schema.attributes:
        if attribute.name in targets:
            raise ExpressionError(
                "One or more parameter values were invalid: "
                f"Cannot update attribute {attribute.name}. This attribute is part of the key"
            )
    check_scalar_keys(paths_of(update), schema)
