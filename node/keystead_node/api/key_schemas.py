"""AttributeDefinitions and KeySchemas: what a table and its indexes may have, in the service's order and words."""

from collections.abc import Sequence
from typing import Final

from keystead_core.catalog.indexes import KEY_ATTRIBUTES_MAX
from keystead_core.cluster_map import KeyAttribute
from keystead_core.items import ItemError
from keystead_node.api.table_requests import AttributeDefinition, GlobalIndexChoice, KeySchemaElement, LocalIndexChoice

"""Of each kind, in the key of a global index."""
_INVALID: Final = "One or more parameter values were invalid: "


def check_table_key(keys: list[KeySchemaElement], definitions: list[AttributeDefinition]) -> None:
    """Raises ItemError."""
    if len(keys) > len(definitions):
        raise ItemError("Invalid KeySchema: Some index key attribute have no definition")
    _check_defined(keys, _names(definitions))
    _check_pair(keys)


def check_definitions(
    definitions: list[AttributeDefinition],
    keys: list[KeySchemaElement],
    indexes: Sequence[LocalIndexChoice | GlobalIndexChoice],
) -> None:
    """Just what is part of a key is to be defined, once. Raises ItemError."""
    defined = _names(definitions)
    for index in indexes:
        _check_defined(index.KeySchema, defined)
    twice = next((name for name in defined if defined.count(name) > 1), None)
    if twice is not None:
        raise ItemError(f"Attribute Name is duplicated: {twice}")
    used = dict.fromkeys(element.AttributeName for element in [*keys, *(e for i in indexes for e in i.KeySchema)])
    if len(used) == len(defined):
        return
    if not indexes:
        raise ItemError(
            f"{_INVALID}Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    raise ItemError(
        f"{_INVALID}Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(defined)}], keys used: "
        f"[{', '.join(used)}]"
    )


def check_local_key(index: LocalIndexChoice, table_hash: str) -> None:
    """Raises ItemError."""
    keys = index.KeySchema
    _check_pair(keys)
    if len(keys) != 2:
        raise ItemError(f"{_INVALID}Index KeySchema does not have a range key for index: {index.IndexName}")
    if keys[0].AttributeName != table_hash:
        raise ItemError(
            f"{_INVALID}Index KeySchema does not have the same leading hash key as table KeySchema for index: "
            f"{index.IndexName}. index hash key: {keys[0].AttributeName}, table hash key: {table_hash}"
        )


def check_global_key(keys: list[KeySchemaElement]) -> None:
    """Raises ItemError."""
    if len({element.AttributeName for element in keys}) != len(keys):
        raise ItemError("The KeySchema contains multiple key attributes with the same name")
    kinds = [element.KeyType for element in keys]
    if kinds[0] != "HASH":
        raise ItemError("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if "HASH" in kinds[kinds.count("HASH") :]:
        raise ItemError(f"{_INVALID}All HASH key attributes must precede RANGE key attributes in the KeySchema")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > KEY_ATTRIBUTES_MAX:
            raise ItemError(f"{_INVALID}The KeySchema exceeds the maximum allowed number of {kind} key attributes")


def key_attributes(keys: list[KeySchemaElement], types: dict[str, str], kind: str) -> list[KeyAttribute]:
    """The attributes of `kind`, HASH or RANGE, with their types by name."""
    return [KeyAttribute(key.AttributeName, types[key.AttributeName]) for key in keys if key.KeyType == kind]


def check_defined(keys: list[KeySchemaElement], definitions: list[AttributeDefinition], known: dict[str, str]) -> None:
    """The same of an index that an existing table gets, of whose attributes `known` need no definition."""
    _check_defined([key for key in keys if key.AttributeName not in known], _names(definitions))


def _check_defined(keys: list[KeySchemaElement], defined: list[str]) -> None:
    names = [element.AttributeName for element in keys]
    if not set(names) <= set(defined):
        raise ItemError(
            f"{_INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(defined)}]"
        )


def _check_pair(keys: list[KeySchemaElement]) -> None:
    """A hash key, and at most one range key; the service model allows no more than two."""
    if len(keys) > 1 and keys[0].AttributeName == keys[1].AttributeName:
        raise ItemError("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if keys[0].KeyType != "HASH":
        raise ItemError("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(keys) > 1 and keys[1].KeyType != "RANGE":
        raise ItemError("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _names(definitions: list[AttributeDefinition]) -> list[str]:
    return [definition.AttributeName for definition in definitions]
