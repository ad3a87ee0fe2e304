"""The Table resource (kst): one table, as it is declared. See crds/tables.keystead.io.yaml for the result."""

from typing import Any, Final

from keystead_operator.spec.crd import column, definition
from keystead_operator.spec.indexes import (
    USED_BY_AN_INDEX,
    global_indexes_schema,
    index_rules,
    index_states_schema,
    local_indexes_schema,
)
from keystead_operator.spec.schema import (
    LONG_MAX,
    Schema,
    boolean,
    choice,
    conditions,
    integer,
    list_map,
    long,
    mapping,
    reference,
    rule,
    string_set,
    struct,
    text,
    with_rules,
)

TABLE_NAME_PATTERN: Final = r"^[a-zA-Z0-9_.-]+$"
UNITS_MAX: Final = 40_000_000
PARTITIONS_MAX: Final = 100_000
REPLICAS_MAX: Final = 7
ATTRIBUTES_MAX: Final = 64


def _attributes() -> Schema:
    attribute = struct(
        "A key attribute and its type.",
        {
            "name": text("Name of the attribute.", length_max=255, minLength=1),
            "type": choice("S (string), N (number) or B (binary).", "S", "N", "B"),
        },
        required=("name", "type"),
    )
    attribute = with_rules(attribute, rule("self.type == oldSelf.type", "the type of an attribute is immutable"))
    return list_map(
        "The attributes that keys of the table and of its indexes are made of.",
        attribute,
        key="name",
        items_max=ATTRIBUTES_MAX,
        minItems=1,
    )


def _key_schema() -> Schema:
    schema = struct(
        "Which attributes are the key of an item.",
        {
            "hashKey": text("The partition key: items with the same value live together.", length_max=255, minLength=1),
            "rangeKey": text("The sort key: orders the items of one partition key.", length_max=255, minLength=1),
        },
        required=("hashKey",),
    )
    return with_rules(
        schema,
        rule("self == oldSelf", "the key schema is immutable"),
        rule("!has(self.rangeKey) || self.rangeKey != self.hashKey", "hashKey and rangeKey must differ"),
    )


def _capacity(description: str, **more: Any) -> Schema:
    schema = struct(
        description,
        {
            "onDemand": boolean("Take what comes."),
            "read": long("Read capacity units.", 1, UNITS_MAX),
            "write": long("Write capacity units.", 1, UNITS_MAX),
        },
        **more,
    )
    return with_rules(
        schema,
        rule(
            "has(self.onDemand) && self.onDemand"
            " ? !has(self.read) && !has(self.write) : has(self.read) && has(self.write)",
            "give either onDemand: true, or both read and write",
        ),
    )


def _partitions() -> Schema:
    schema = struct(
        "How many partitions the table has: a fixed count, or limits between which it splits.",
        {
            "count": integer("Exactly so many partitions.", 1, PARTITIONS_MAX),
            "min": integer("At least so many partitions, from the start.", 1, PARTITIONS_MAX),
            "max": integer("At most so many partitions.", 1, PARTITIONS_MAX),
        },
    )
    return with_rules(
        schema,
        rule("!has(self.count) || (!has(self.min) && !has(self.max))", "count excludes min and max"),
        rule("!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max"),
    )


def _spec() -> Schema:
    spec = struct(
        "The desired table.",
        {
            "clusterRef": with_rules(
                reference("The StorageCluster that holds the table.", default={"name": "keystead"}),
                rule("self == oldSelf", "clusterRef is immutable"),
            ),
            "tableName": with_rules(
                text(
                    "Name of the table in the DynamoDB API; the object's own name if absent.",
                    length_max=255,
                    minLength=3,
                    pattern=TABLE_NAME_PATTERN,
                ),
                rule("self == oldSelf", "tableName is immutable"),
            ),
            "attributes": _attributes(),
            "keySchema": _key_schema(),
            "replicas": integer("Voters of each partition; the cluster's if absent.", 1, REPLICAS_MAX),
            "writeQuorum": integer("Voters that hold a write before it is acknowledged.", 1, REPLICAS_MAX),
            "durableZones": integer("Zones that hold a write before it is acknowledged.", 1, REPLICAS_MAX),
            "capacity": _capacity("Provisioned units, or on demand.", default={"onDemand": True}),
            "globalIndexes": global_indexes_schema(_capacity("Units of its own; those of the table if absent.")),
            "localIndexes": local_indexes_schema(),
            "partitions": _partitions(),
            "deletionProtection": boolean("Refuse to delete the table and its rows.", default=False),
            "deletionPolicy": choice(
                "What becomes of the rows when this object is deleted.", "Delete", "Retain", default="Delete"
            ),
            "tags": mapping("Tags as the DynamoDB API shows them.", text("Value.", length_max=256), entries_max=50),
        },
        required=("attributes", "keySchema"),
    )
    return with_rules(
        spec,
        rule(
            "self.attributes.exists(a, a.name == self.keySchema.hashKey)",
            "keySchema.hashKey must be one of the attributes",
        ),
        rule(
            "!has(self.keySchema.rangeKey) || self.attributes.exists(a, a.name == self.keySchema.rangeKey)",
            "keySchema.rangeKey must be one of the attributes",
        ),
        rule(
            "self.attributes.all(a, a.name == self.keySchema.hashKey"
            f" || (has(self.keySchema.rangeKey) && a.name == self.keySchema.rangeKey) || {USED_BY_AN_INDEX})",
            "every attribute must be used by keySchema or an index",
        ),
        rule(
            "!has(self.writeQuorum) || !has(self.replicas)"
            " || (self.writeQuorum <= self.replicas && self.writeQuorum * 2 > self.replicas)",
            "writeQuorum must be a majority of replicas and at most all of them",
        ),
        rule(
            "!has(self.durableZones) || !has(self.replicas) || self.durableZones <= self.replicas",
            "durableZones must not be above replicas",
        ),
        rule("has(self.tableName) == has(oldSelf.tableName)", "tableName is immutable"),
        *index_rules(),
    )


def _status() -> Schema:
    return struct(
        "The observed table.",
        {
            "observedGeneration": long("The generation that this status is about.", 0, LONG_MAX),
            "conditions": conditions(),
            "state": text("CREATING, ACTIVE or DELETING.", length_max=32),
            "tableId": text("Identity of the table, new each time that one is created.", length_max=64),
            "partitions": integer("Partitions now.", 0, PARTITIONS_MAX),
            "partitionsServing": integer("Partitions that have a master.", 0, PARTITIONS_MAX),
            "replicas": text("Level replicas of all that should be, as 6/6.", length_max=32),
            "capacity": text("The capacity in words.", length_max=64),
            "mastersBalanced": text("Largest and smallest number of masters of a node, as 3-2.", length_max=32),
            "indexes": index_states_schema(),
            "splits": text("How far the table is on its way to more partitions.", length_max=256),
            "pendingChanges": string_set(
                "Declared changes that cannot be carried out, and why.", text("One.", length_max=512), items_max=32
            ),
        },
    )


def table_definition() -> dict[str, Any]:
    """The CustomResourceDefinition of Table."""
    root = struct(
        "A table of a Keystead cluster.",
        {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _spec(),
            "status": _status(),
        },
        required=("spec",),
    )
    root = with_rules(
        root,
        rule(
            "has(self.spec.tableName) || size(self.metadata.name) >= 3",
            "a table name has at least 3 characters: give spec.tableName or a longer name",
        ),
    )
    available = '.status.conditions[?(@.type=="Available")]'
    columns = [
        column("Ready", f"{available}.status", "Whether the table serves reads and writes."),
        column("Partitions", ".status.partitions", "Number of partitions.", "integer"),
        column("Replicas", ".status.replicas", "Level replicas of all that should be."),
        column("Capacity", ".status.capacity", "Declared capacity."),
        column("Masters", ".status.mastersBalanced", "Most and fewest masters of a node."),
        column("Reason", f"{available}.reason", "Why the table is or is not ready."),
        column("Table", ".spec.tableName", "Name in the DynamoDB API.", priority=1),
        column("Cluster", ".spec.clusterRef.name", "The StorageCluster.", priority=1),
    ]
    return definition(kind="Table", plural="tables", short="kst", schema=root, columns=columns)
