"""`keystead apply` refuses exactly what the API server refuses, with the same fields and words."""

import pytest

from keystead_operator.spec.validation import schemas, validate, with_defaults
from tests.apiserver.manifests import changed, cluster, table
from tests.apiserver.rest import Api, ApiError, Object

LONG = "x" * 300
BAD: dict[str, Object] = {
    "replicas below": changed(table(), "spec.replicas", 0),
    "replicas above": changed(table(), "spec.replicas", 8),
    "replicas of another type": changed(table(), "spec.replicas", "three"),
    "replicas as truth": changed(table(), "spec.replicas", True),
    "no key schema": changed(table(), "spec.keySchema", None),
    "no hash key": changed(table(), "spec.keySchema", {"rangeKey": "id"}),
    "hash key of no attribute": changed(table(), "spec.keySchema.hashKey", "nobody"),
    "range key of no attribute": changed(table(), "spec.keySchema.rangeKey", "nobody"),
    "hash key twice": changed(table(), "spec.keySchema.rangeKey", "id"),
    "empty hash key": changed(table(), "spec.keySchema.hashKey", ""),
    "long hash key": changed(table(), "spec.keySchema.hashKey", LONG),
    "no attributes": changed(table(), "spec.attributes", None),
    "empty attributes": changed(table(), "spec.attributes", []),
    "attributes as text": changed(table(), "spec.attributes", "id"),
    "too many attributes": table(attributes=[{"name": f"a{i}", "type": "S"} for i in range(65)]),
    "attribute twice": table(attributes=[{"name": "id", "type": "S"}, {"name": "id", "type": "N"}]),
    "attribute unused": table(attributes=[{"name": "id", "type": "S"}, {"name": "x", "type": "N"}]),
    "index of no attribute": table(globalIndexes=[{"name": "by-x", "keySchema": {"hashKey": "x"}}]),
    "indexes of one name": table(globalIndexes=[{"name": "by-id", "keySchema": {"hashKey": "id"}}] * 2),
    "index without a hash key": table(globalIndexes=[{"name": "by-id", "keySchema": {"rangeKey": "id"}}]),
    "index with a key twice": table(globalIndexes=[{"name": "by-id", "keySchema": {"hashKeys": ["id", "id"]}}]),
    "index of a key as both": table(
        globalIndexes=[{"name": "by-id", "keySchema": {"hashKey": "id", "rangeKey": "id"}}]
    ),
    "index that includes nothing": table(
        globalIndexes=[{"name": "by-id", "keySchema": {"hashKey": "id"}, "projection": {"type": "INCLUDE"}}]
    ),
    "index with units of its own": table(
        globalIndexes=[{"name": "by-id", "keySchema": {"hashKey": "id"}, "capacity": {"read": 1, "write": 1}}]
    ),
    "too many indexes": table(
        globalIndexes=[{"name": f"by-id-{number}", "keySchema": {"hashKey": "id"}} for number in range(21)]
    ),
    "too many included attributes": table(
        globalIndexes=[
            {
                "name": f"by-id-{number}",
                "keySchema": {"hashKey": "id"},
                "projection": {"type": "INCLUDE", "attributes": [f"a{one}" for one in range(17)]},
            }
            for number in range(6)
        ]
    ),
    "local index without a range key": table(
        localIndexes=[{"name": "by-id", "keySchema": {"hashKey": "id", "rangeKey": "id"}}]
    ),
    "attribute without type": table(attributes=[{"name": "id"}]),
    "attribute of unknown type": table(attributes=[{"name": "id", "type": "BOOL"}]),
    "deletion policy": changed(table(), "spec.deletionPolicy", "Keep"),
    "deletion protection": changed(table(), "spec.deletionProtection", "yes"),
    "table name with blanks": changed(table(), "spec.tableName", "a b c"),
    "table name short": changed(table(), "spec.tableName", "ab"),
    "table name long": changed(table(), "spec.tableName", LONG),
    "object name short": table("ab"),
    "count and min": changed(table(), "spec.partitions", {"count": 2, "min": 1}),
    "min above max": changed(table(), "spec.partitions", {"min": 3, "max": 2}),
    "no partitions": changed(table(), "spec.partitions", {"count": 0}),
    "read without write": changed(table(), "spec.capacity", {"read": 5}),
    "on demand and read": changed(table(), "spec.capacity", {"onDemand": True, "read": 5}),
    "capacity of nothing": changed(table(), "spec.capacity", {}),
    "minority quorum": table(replicas=3, writeQuorum=1),
    "quorum above replicas": table(replicas=3, writeQuorum=4),
    "zones above replicas": table(replicas=3, durableZones=4),
    "fraction of a replica": changed(table(), "spec.replicas", 2.5),
    "too many tags": changed(table(), "spec.tags", {f"t{i}": "v" for i in range(51)}),
    "tag too long": changed(table(), "spec.tags", {"t": LONG}),
    "tag of another type": changed(table(), "spec.tags", {"t": 1}),
    "cluster without name": changed(table(), "spec.clusterRef", {}),
    "several at once": table(replicas=0, capacity={"read": 1}, deletionPolicy="Keep"),
    "no spec": {key: part for key, part in table().items() if key != "spec"},
    "spec as list": {**table(), "spec": []},
    "more replicas than nodes": cluster(nodes=2),
    "no nodes": cluster(nodes=0),
    "too many nodes": cluster(nodes=1001),
    "cluster's minority quorum": cluster(replication={"replicas": 5, "writeQuorum": 2}, nodes=5),
    "cluster's zones above replicas": cluster(replication={"durableZones": 4}, nodes=5),
    "lease short": cluster(failover={"leaseSeconds": 0.1}),
    "lease as text": cluster(failover={"leaseSeconds": "1s"}),
    "lock": cluster(failover={"lock": "maybe"}),
    "grace without unit": cluster(nodeLossGrace="5"),
    "size with a unit of no kind": cluster(storage={"size": "10Gb"}),
    "size as number": cluster(storage={"size": 10}),
    "zone with capitals": cluster(zones={"names": ["A"]}),
    "zone twice": cluster(zones={"names": ["a", "a"]}),
    "secret without name": cluster(credentials={"secretRef": {}}),
    "no spec, so no credentials": {key: part for key, part in cluster().items() if key != "spec"},
    "credentials of neither kind": cluster(credentials={}),
    "credentials of both kinds": cluster(credentials={"secretRef": {"name": "keys"}, "insecureNoAuth": True}),
    "store of no kind": cluster(backup={"store": "ftp://there"}),
    "backup without store": cluster(backup={}),
    "resources as numbers": cluster(resources={"requests": {"cpu": 1}}),
    "retention": cluster(volumeRetention="Keep"),
    "suspend as text": cluster(suspend="true"),
    "cluster's long name": cluster("x" * 41),
    "name with capitals": cluster("Keystead"),
    "image empty": cluster(image=""),
}


def _own_words(manifest: Object, old: Object | None = None) -> set[str]:
    schema = schemas()[manifest["kind"]]
    before = None if old is None else with_defaults(old, schema)
    verdict = validate(with_defaults(manifest, schema), schema, before)
    assert not verdict.unknown
    return {str(error) for error in verdict.errors}


def _words_of(error: ApiError) -> set[str]:
    """Field and reason of each cause, without the remark that rules were left out."""
    found = {f"{field}: {message}" for field, message in error.causes}
    return {one for one in found if "some validation rules were not checked" not in one}


def _split(words: set[str]) -> tuple[set[str], set[str]]:
    """(what the schema refuses, what the rules refuse)"""
    rules = {one for one in words if one.rpartition(": ")[2] in RULES}
    return words - rules, rules


def _messages(schema: Object) -> set[str]:
    found = {rule["message"] for rule in schema.get("x-kubernetes-validations", [])}
    parts = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return found.union(*(_messages(part) for part in parts if isinstance(part, dict)))


RULES = {message.rpartition(": ")[2] for schema in schemas().values() for message in _messages(schema)}


@pytest.mark.parametrize("what", BAD)
def test_bad_manifest_is_refused_in_the_words_of_the_api_server(api: Api, what: str) -> None:
    """Where the schema refuses something, the two may leave out different rules: the rest is the same to the letter."""
    with pytest.raises(ApiError) as refused:
        api.create(BAD[what], "default")
    assert refused.value.status == 422
    own, theirs = _split(_own_words(BAD[what])), _split(_words_of(refused.value))
    assert own[0] == theirs[0]
    assert own[0] or own[1] == theirs[1]
    assert own[0] or own[1]


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (changed(table(), "spec.colour", "red"), "spec.colour"),
        (changed(table(), "spec.keySchema.sortKey", "id"), "spec.keySchema.sortKey"),
        (cluster(storage={"class": "fast"}), "spec.storage.class"),
        (cluster(tls={"enabled": True, "port": 1}), "spec.tls.port"),
    ],
)
def test_unknown_field_is_refused_by_both(api: Api, manifest: Object, field: str) -> None:
    with pytest.raises(ApiError, match=f'unknown field "{field}"'):
        api.create(manifest, "default")
    schema = schemas()[manifest["kind"]]
    assert validate(with_defaults(manifest, schema), schema).unknown == [field]


SORTED = table(
    attributes=[{"name": "id", "type": "S"}, {"name": "at", "type": "N"}],
    keySchema={"hashKey": "id", "rangeKey": "at"},
)
INDEXED = table(
    attributes=[{"name": name, "type": "S"} for name in ("id", "at", "price", "city")],
    keySchema={"hashKey": "id", "rangeKey": "at"},
    globalIndexes=[
        {"name": "by-city", "keySchema": {"hashKeys": ["city", "at"], "rangeKeys": ["price"]}},
        {"name": "by-at", "keySchema": {"hashKey": "at"}, "projection": {"type": "INCLUDE", "attributes": ["x", "y"]}},
    ],
    localIndexes=[{"name": "by-price", "keySchema": {"hashKey": "id", "rangeKey": "price"}}],
)
CHANGES: dict[str, tuple[Object, str, object]] = {
    "keys turned round": (SORTED, "spec.keySchema", {"hashKey": "at", "rangeKey": "id"}),
    "type of a key": (table(), "spec.attributes", [{"name": "id", "type": "N"}]),
    "key of an index": (
        table(globalIndexes=[{"name": "by-id", "keySchema": {"hashKey": "id"}}]),
        "spec.globalIndexes",
        [{"name": "by-id", "keySchema": {"hashKeys": ["id"]}}],
    ),
    "local indexes": (INDEXED, "spec.localIndexes", []),
    "local indexes taken away": (INDEXED, "spec.localIndexes", None),
    "table name": (table(tableName="orders"), "spec.tableName", "others"),
    "table name given": (table(), "spec.tableName", "others"),
    "table name taken away": (table(tableName="orders"), "spec.tableName", None),
    "cluster of a table": (table(), "spec.clusterRef", {"name": "other"}),
    "volume shrunk": (cluster(storage={"size": "10Gi"}), "spec.storage.size", "9Gi"),
    "volume shrunk in another unit": (cluster(storage={"size": "10Gi"}), "spec.storage.size", "10G"),
    "storage class": (cluster(storage={"className": "fast"}), "spec.storage.className", "slow"),
    "storage class given": (cluster(), "spec.storage.className", "slow"),
    "storage class taken away": (cluster(storage={"className": "fast"}), "spec.storage.className", None),
}


@pytest.mark.parametrize("what", CHANGES)
def test_forbidden_change_is_refused_in_the_words_of_the_api_server(api: Api, namespace: str, what: str) -> None:
    old, path, value = CHANGES[what]
    new = changed(old, path, value)
    stored = api.create(old, namespace)
    new["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    with pytest.raises(ApiError) as refused:
        api.replace(new, namespace)
    assert refused.value.status == 422
    assert _own_words(new, old) == _words_of(refused.value)
    assert api.get(old["kind"], namespace, old["metadata"]["name"])["spec"] == stored["spec"]


ALLOWED: dict[str, tuple[Object, str, object]] = {
    "capacity": (table(), "spec.capacity", {"read": 5, "write": 5}),
    "protection": (table(), "spec.deletionProtection", True),
    "replicas": (table(), "spec.replicas", 5),
    "an index more": (table(), "spec.globalIndexes", [{"name": "by-id", "keySchema": {"hashKey": "id"}}]),
    "an index less": (INDEXED, "spec.globalIndexes", INDEXED["spec"]["globalIndexes"][:1]),
    "volume grown": (cluster(), "spec.storage.size", "20Gi"),
    "volume the same in another unit": (cluster(storage={"size": "10Gi"}), "spec.storage.size", "10240Mi"),
    "nodes": (cluster(), "spec.nodes", 7),
    "lease": (cluster(), "spec.failover", {"leaseSeconds": 2.5}),
    "image": (cluster(), "spec.image", "keystead/keystead:2"),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_allowed_change_is_taken_by_both(api: Api, namespace: str, what: str) -> None:
    old, path, value = ALLOWED[what]
    new = changed(old, path, value)
    new["metadata"]["resourceVersion"] = api.create(old, namespace)["metadata"]["resourceVersion"]
    assert api.replace(new, namespace)["metadata"]["generation"] == 2
    assert _own_words(new, old) == set()


@pytest.mark.parametrize("manifest", [cluster(), cluster(nodes=5, replication={"replicas": 5}), table()])
def test_defaults_are_those_that_the_api_server_fills_in(api: Api, namespace: str, manifest: Object) -> None:
    stored = api.create(manifest, namespace)
    assert stored["spec"] == with_defaults(manifest, schemas()[manifest["kind"]])["spec"]


def test_cluster_that_says_nothing_else_has_all_defaults(api: Api, namespace: str) -> None:
    bare = cluster()
    assert api.create(bare, namespace)["spec"] == with_defaults(bare, schemas()["StorageCluster"])["spec"]
