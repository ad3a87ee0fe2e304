"""`spec.globalIndexes` and `spec.localIndexes` of a Table: their schemas and rules, and what they mean."""

from typing import Any, Final

from keystead_core.catalog.indexes import (
    GLOBAL_INDEXES_MAX,
    INCLUDED_IN_ALL_MAX,
    KEY_ATTRIBUTES_MAX,
    LOCAL_INDEXES_MAX,
)
from keystead_core.cluster_map import IndexSpec, KeyAttribute
from keystead_operator.spec.schema import (
    Schema,
    boolean,
    choice,
    list_map,
    plain_list,
    rule,
    string_set,
    struct,
    text,
    with_rules,
)

INCLUDED_MAX: Final = 20
INDEX_NAME_PATTERN: Final = r"^[a-zA-Z0-9_.-]+$"
_IMMUTABLE: Final = rule(
    "self.keySchema == oldSelf.keySchema && self.projection == oldSelf.projection",
    "the keys and the projection of an index are immutable: give another index another name",
)


def global_indexes_schema(capacity: Schema) -> Schema:
    """`capacity`: the schema of an index's units."""
    index = struct(
        "An index with keys of its own, over all items that have them.",
        {"name": _name(), "keySchema": _global_key_schema(), "projection": _projection(), "capacity": capacity},
        required=("name", "keySchema"),
    )
    return list_map(
        "Global indexes. One that is added is filled from the table; an empty list drops all, without the field those "
        "of the table stay as they are.",
        with_rules(index, _IMMUTABLE),
        key="name",
        items_max=GLOBAL_INDEXES_MAX,
    )


def local_indexes_schema() -> Schema:
    keys = struct(
        "The key of the index.",
        {
            "hashKey": _attribute("The hash key of the table."),
            "rangeKey": _attribute("What orders the items of one partition key."),
        },
        required=("hashKey", "rangeKey"),
    )
    index = struct(
        "Another order of the items of one partition key.",
        {"name": _name(), "keySchema": keys, "projection": _projection()},
        required=("name", "keySchema"),
    )
    described = list_map(
        "Local indexes: they come and go with the table.", index, key="name", items_max=LOCAL_INDEXES_MAX
    )
    return with_rules(described, rule("self == oldSelf", "local indexes are immutable"))


def index_states_schema() -> Schema:
    """Of the status."""
    index = struct(
        "An index.",
        {
            "name": text("Name of the index.", length_max=255),
            "status": text("CREATING or ACTIVE.", length_max=32),
            "backfilling": boolean("Whether older items are being brought into it."),
        },
        required=("name", "status"),
    )
    return list_map("The indexes that there are.", index, key="name", items_max=GLOBAL_INDEXES_MAX + LOCAL_INDEXES_MAX)


def _name() -> Schema:
    return text("Name of the index in the API.", length_max=255, minLength=3, pattern=INDEX_NAME_PATTERN)


def _attribute(description: str) -> Schema:
    return text(description, length_max=255, minLength=1)


def _attributes(description: str) -> Schema:
    names = plain_list(description, _attribute("An attribute."), items_max=KEY_ATTRIBUTES_MAX, minItems=1)
    return with_rules(names, rule("self.all(a, self.exists_one(b, a == b))", "no attribute can be in a key twice"))


def _global_key_schema() -> Schema:
    schema = struct(
        "The key of the index: one attribute of a kind, or up to four.",
        {
            "hashKey": _attribute("The partition key."),
            "hashKeys": _attributes("The partition key, where it is several attributes together."),
            "rangeKey": _attribute("The sort key."),
            "rangeKeys": _attributes("The sort key, where it is several attributes, one after the other."),
        },
    )
    return with_rules(
        schema,
        rule("has(self.hashKey) != has(self.hashKeys)", "give either hashKey or hashKeys"),
        rule("!has(self.rangeKey) || !has(self.rangeKeys)", "rangeKey excludes rangeKeys"),
        rule(
            "!has(self.rangeKey) || ((!has(self.hashKey) || self.hashKey != self.rangeKey)"
            " && (!has(self.hashKeys) || !(self.rangeKey in self.hashKeys)))",
            "no attribute can be in a key twice",
        ),
        rule(
            "!has(self.rangeKeys) || self.rangeKeys.all(r, (!has(self.hashKey) || self.hashKey != r)"
            " && (!has(self.hashKeys) || !(r in self.hashKeys)))",
            "no attribute can be in a key twice",
        ),
    )


def _projection() -> Schema:
    schema = struct(
        "What of an item is in the index, beside its keys and those of the table.",
        {
            "type": choice("KEYS_ONLY, INCLUDE (attributes) or ALL.", "KEYS_ONLY", "INCLUDE", "ALL", default="ALL"),
            "attributes": string_set(
                "The attributes that INCLUDE takes.", _attribute("An attribute."), items_max=INCLUDED_MAX, minItems=1
            ),
        },
        default={"type": "ALL"},
    )
    return with_rules(
        schema,
        rule("(self.type == 'INCLUDE') == has(self.attributes)", "give attributes with INCLUDE, and only with it"),
    )


_GLOBAL_USES: Final = (
    "((has(g.keySchema.hashKey) && g.keySchema.hashKey == a.name)"
    " || (has(g.keySchema.rangeKey) && g.keySchema.rangeKey == a.name)"
    " || (has(g.keySchema.hashKeys) && a.name in g.keySchema.hashKeys)"
    " || (has(g.keySchema.rangeKeys) && a.name in g.keySchema.rangeKeys))"
)
USED_BY_AN_INDEX: Final = (
    f"(has(self.globalIndexes) && self.globalIndexes.exists(g, {_GLOBAL_USES}))"
    " || (has(self.localIndexes) && self.localIndexes.exists(l, l.keySchema.rangeKey == a.name))"
)
"""Of a spec, whether an index has the attribute `a` in its key."""
_IS_ON_DEMAND: Final = "(has({0}.onDemand) && {0}.onDemand)"


def _declared(names: str) -> str:
    return f"(!has(g.keySchema.{names}) || g.keySchema.{names}.all(n, self.attributes.exists(a, a.name == n)))"


def _declared_one(name: str) -> str:
    return f"(!has(g.keySchema.{name}) || self.attributes.exists(a, a.name == g.keySchema.{name}))"


def _included(indexes: str) -> str:
    sizes = f"self.{indexes}.map(i, has(i.projection.attributes) ? size(i.projection.attributes) : 0)"
    return f"(has(self.{indexes}) ? {sizes}.sum() : 0)"


def index_rules() -> list[Schema]:
    """Rules of the whole spec."""
    declared = [_declared_one("hashKey"), _declared_one("rangeKey"), _declared("hashKeys"), _declared("rangeKeys")]
    own, of_table = _IS_ON_DEMAND.format("g.capacity"), _IS_ON_DEMAND.format("self.capacity")
    return [
        rule(
            f"!has(self.globalIndexes) || self.globalIndexes.all(g, {' && '.join(declared)})",
            "the keys of every global index must be attributes",
        ),
        rule(
            "!has(self.localIndexes) || self.localIndexes.all(l,"
            " self.attributes.exists(a, a.name == l.keySchema.rangeKey))",
            "the rangeKey of every local index must be one of the attributes",
        ),
        rule(
            "!has(self.localIndexes) || size(self.localIndexes) == 0 || has(self.keySchema.rangeKey)",
            "a table with local indexes needs a rangeKey",
        ),
        rule(
            "!has(self.localIndexes) || self.localIndexes.all(l, l.keySchema.hashKey == self.keySchema.hashKey"
            " && l.keySchema.rangeKey != self.keySchema.hashKey)",
            "a local index has the table's hashKey, and another attribute as rangeKey",
        ),
        rule(
            "!has(self.localIndexes) || !has(self.globalIndexes)"
            " || self.localIndexes.all(l, !self.globalIndexes.exists(g, g.name == l.name))",
            "the names of indexes must differ",
        ),
        rule(
            f"!has(self.globalIndexes) || self.globalIndexes.all(g, !has(g.capacity) || {own} == {of_table})",
            "the indexes of a table on demand are on demand, those of a provisioned one have units",
        ),
        rule(
            f"{_included('globalIndexes')} + {_included('localIndexes')} <= {INCLUDED_IN_ALL_MAX}",
            f"the projections of all indexes name {INCLUDED_IN_ALL_MAX} attributes at most",
        ),
        rule("has(self.localIndexes) == has(oldSelf.localIndexes)", "local indexes are immutable"),
    ]


def global_index_specs(spec: dict[str, Any], types: dict[str, str]) -> tuple[IndexSpec, ...] | None:
    """In the order of their names; None where the spec says nothing of them. `types`: of the attributes."""
    if "globalIndexes" not in spec:
        return None
    return tuple(
        _global_spec(index, types, spec["capacity"])
        for index in sorted(spec["globalIndexes"], key=lambda one: str(one["name"]))
    )


def _global_spec(index: dict[str, Any], types: dict[str, str], of_table: dict[str, Any]) -> IndexSpec:
    """Units that it does not have of its own are those of its table."""
    keys, units = index["keySchema"], index.get("capacity", of_table)
    return IndexSpec(
        name=index["name"],
        is_global=True,
        hash=[KeyAttribute(name, types[name]) for name in _names(keys, "hashKey")],
        range=[KeyAttribute(name, types[name]) for name in _names(keys, "rangeKey")],
        projection=index["projection"]["type"],
        included=sorted(index["projection"].get("attributes", ())),
        read_units=units.get("read", 0),
        write_units=units.get("write", 0),
    )


def local_index_specs(spec: dict[str, Any], types: dict[str, str]) -> tuple[IndexSpec, ...]:
    """In the order of their names."""
    return tuple(
        IndexSpec(
            name=index["name"],
            is_global=False,
            hash=[KeyAttribute(name, types[name]) for name in _names(index["keySchema"], "hashKey")],
            range=[KeyAttribute(name, types[name]) for name in _names(index["keySchema"], "rangeKey")],
            projection=index["projection"]["type"],
            included=sorted(index["projection"].get("attributes", ())),
        )
        for index in sorted(spec.get("localIndexes", ()), key=lambda one: str(one["name"]))
    )


def _names(keys: dict[str, Any], kind: str) -> list[str]:
    return [keys[kind]] if kind in keys else list(keys.get(f"{kind}s", ()))
