"""CreateTable with secondary indexes, and how they are described, through boto3."""

from typing import Any

import msgspec
import pytest

from keystead_core.cluster_map import index_table
from tests.api.conftest import Front, create_table
from tests.api.index_tables import INVALID, create_orders, definitions, index, key_schema, table
from tests.api.test_table_operations import refused

UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
PROVISIONED = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}


def described(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_table(TableName="orders")["Table"]
    return found


def test_indexes_are_described_as_they_were_asked_for(dynamodb: Any) -> None:
    local = index("loc", ["pk", "l"], "INCLUDE", "y", "x")
    of_all = [index("z-first", ["a", "n"], "KEYS_ONLY"), index("a-last", ["n"])]
    parameters = table(["sk", "pk", "n:N", "l", "a"], ["pk", "sk"])
    created = dynamodb.create_table(**parameters, LocalSecondaryIndexes=[local], GlobalSecondaryIndexes=of_all)
    assert [one["IndexStatus"] for one in created["TableDescription"]["GlobalSecondaryIndexes"]] == ["CREATING"] * 2
    found = described(dynamodb)
    assert found["AttributeDefinitions"] == definitions("a", "l", "n:N", "pk", "sk")
    (described_local,) = found["LocalSecondaryIndexes"]
    assert described_local == {
        "IndexName": "loc",
        "KeySchema": key_schema("pk", "l"),
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "y"]},
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": f"{found['TableArn']}/index/loc",
    }
    first, last = found["GlobalSecondaryIndexes"]
    assert first == {
        "IndexName": "z-first",
        "KeySchema": key_schema("a", "n"),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
        "IndexStatus": "ACTIVE",
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": f"{found['TableArn']}/index/z-first",
    }
    assert last["IndexName"] == "a-last" and last["Projection"] == {"ProjectionType": "ALL"}


def test_a_table_without_indexes_is_described_without_them(orders: Any) -> None:
    assert not {"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} & set(described(orders))


def test_a_global_index_counts_its_own_entries(dynamodb: Any) -> None:
    create_orders(dynamodb)
    for number in range(3):
        more = {"a": {"S": "A"}} if number else {}
        dynamodb.put_item(TableName="orders", Item={"pk": {"S": "p"}, "sk": {"S": str(number)}, **more})
    counts = {one["IndexName"]: one["ItemCount"] for one in described(dynamodb)["GlobalSecondaryIndexes"]}
    assert counts == {"by-a": 0, "some": 0, "whole": 2}


def test_units_and_limits_of_indexes_are_kept(dynamodb: Any) -> None:
    warm = {"ReadUnitsPerSecond": 13_000}
    of_all = [index("by-a", ["a"], ProvisionedThroughput=UNITS, WarmThroughput=warm)]
    dynamodb.create_table(**table(["pk", "a"], ["pk"], **PROVISIONED, GlobalSecondaryIndexes=of_all))
    (found,) = described(dynamodb)["GlobalSecondaryIndexes"]
    assert found["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **UNITS}
    assert found["WarmThroughput"] == warm | {"Status": "ACTIVE"}


def test_limits_of_on_demand_indexes_are_kept(dynamodb: Any) -> None:
    of_all = [index("by-a", ["a"], OnDemandThroughput={"MaxReadRequestUnits": 50})]
    dynamodb.create_table(**table(["pk", "a"], ["pk"], GlobalSecondaryIndexes=of_all))
    (found,) = described(dynamodb)["GlobalSecondaryIndexes"]
    assert found["OnDemandThroughput"] == {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": -1}


def test_a_global_index_has_up_to_four_hash_and_four_range_attributes(dynamodb: Any) -> None:
    keys = [*(f"h{n}:HASH" for n in range(4)), *(f"r{n}:RANGE" for n in range(4))]
    names = [key.partition(":")[0] for key in keys]
    dynamodb.create_table(**table(["pk", *names], ["pk"], GlobalSecondaryIndexes=[index("many", keys)]))
    assert described(dynamodb)["GlobalSecondaryIndexes"][0]["KeySchema"] == key_schema(*keys)


@pytest.mark.parametrize(
    ("indexes", "message"),
    [
        ({"GlobalSecondaryIndexes": []}, f"{INVALID}List of GlobalSecondaryIndexes is empty"),
        ({"LocalSecondaryIndexes": []}, f"{INVALID}List of LocalSecondaryIndexes is empty"),
        (
            {"GlobalSecondaryIndexes": [index("by-a", ["a"])]},
            f"{INVALID}Some AttributeDefinitions are not used. AttributeDefinitions: [pk, sk, a, b, n], keys used: "
            "[pk, sk, a]",
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-a", ["a", "q"])]},
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: [a, q], "
            "AttributeDefinitions: [pk, sk, a, b, n]",
        ),
    ],
)
def test_indexes_need_just_what_is_defined(dynamodb: Any, indexes: dict[str, Any], message: str) -> None:
    parameters = table(["pk", "sk", "a", "b", "n:N"], ["pk", "sk"], **indexes)
    assert refused(dynamodb.create_table, **parameters) == ("ValidationException", message)


def test_an_attribute_is_defined_once(dynamodb: Any) -> None:
    parameters = table(["pk", "a", "a:N"], ["pk"], GlobalSecondaryIndexes=[index("by-a", ["a"])])
    assert refused(dynamodb.create_table, **parameters) == (
        "ValidationException",
        "Attribute Name is duplicated: a",
    )


BY_A = index("by-a", ["a"])


@pytest.mark.parametrize(
    ("of_all", "message"),
    [
        ([BY_A, BY_A], f"{INVALID}Duplicate index name: by-a"),
        (
            [index("a", ["a"])],
            "1 validation error detected: Value 'a' at 'globalSecondaryIndexes.1.member.indexName' failed to satisfy "
            "constraint: Member must have length greater than or equal to 3",
        ),
        (
            [index("by/a", ["a"])],
            "1 validation error detected: Value 'by/a' at 'globalSecondaryIndexes.1.member.indexName' failed to "
            "satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            [{"IndexName": "by-a", "KeySchema": key_schema("a")}],
            "1 validation error detected: Value null at 'globalSecondaryIndexes.1.member.projection' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            [index("by-a", ["a"], "SOME")],
            "1 validation error detected: Value 'SOME' at "
            "'globalSecondaryIndexes.1.member.projection.projectionType' failed to satisfy constraint: Member must "
            "satisfy enum value set: [ALL, INCLUDE, KEYS_ONLY]",
        ),
        ([index("by-a", ["a"], None)], f"{INVALID}Unknown ProjectionType: null"),
        (
            [index("by-a", ["a"], "ALL", "x")],
            f"{INVALID}ProjectionType is ALL, but NonKeyAttributes is specified",
        ),
        (
            [index("by-a", ["a"], "KEYS_ONLY", "x")],
            f"{INVALID}ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
        ),
        (
            [index("by-a", ["a"], "INCLUDE")],
            f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        (
            [index("by-a", ["a"], "INCLUDE", "x", "x")],
            f"{INVALID}Duplicate element in NonKeyAttributes: x",
        ),
        ([index("by-a", ["a", "a"])], "The KeySchema contains multiple key attributes with the same name"),
        ([index("by-a", ["a:RANGE"])], "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
        (
            [index("by-a", ["a:HASH", "pk:RANGE", "sk:HASH"])],
            f"{INVALID}All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ),
        (
            [index("by-a", ["a"], ProvisionedThroughput=UNITS)],
            f"{INVALID}ProvisionedThroughput should not be specified for index: by-a when BillingMode is "
            "PAY_PER_REQUEST",
        ),
        (
            [index(f"by-{number}", ["a"]) for number in range(21)],
            f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20",
        ),
        (
            [index(f"by-{number}", ["a"], "INCLUDE", *(f"x{n}" for n in range(17))) for number in range(6)],
            f"{INVALID}Number of NonKeyAttributes in all projections exceeds the per-table limit of 100",
        ),
    ],
)
def test_a_bad_global_index_is_refused_in_the_services_words(
    front: Front, dynamodb: Any, of_all: list[Any], message: str
) -> None:
    parameters = table(["pk", "sk", "a"], ["pk", "sk"], GlobalSecondaryIndexes=of_all)
    assert refused(dynamodb.create_table, **parameters) == ("ValidationException", message)
    assert front.backend.tables == {}


@pytest.mark.parametrize("kind", ["HASH", "RANGE"])
def test_a_fifth_key_attribute_of_a_kind_is_too_many(dynamodb: Any, kind: str) -> None:
    names = [f"k{number}" for number in range(5 if kind == "HASH" else 6)]
    keys = [f"{name}:{kind if place else 'HASH'}" for place, name in enumerate(names)]
    parameters = table(["pk", *names], ["pk"], GlobalSecondaryIndexes=[index("many", keys)])
    assert refused(dynamodb.create_table, **parameters) == (
        "ValidationException",
        f"{INVALID}The KeySchema exceeds the maximum allowed number of {kind} key attributes",
    )


@pytest.mark.parametrize(
    ("of_index", "message"),
    [
        ({}, "ProvisionedThroughput is not specified for index: by-a"),
        (
            {"ProvisionedThroughput": UNITS, "OnDemandThroughput": {"MaxWriteRequestUnits": 5}},
            "MaxWriteRequestUnits for OnDemandThroughput for index: by-a cannot be specified when table BillingMode "
            "is PROVISIONED.",
        ),
    ],
)
def test_an_index_is_billed_as_its_table_is(dynamodb: Any, of_index: dict[str, Any], message: str) -> None:
    of_all = [index("by-a", ["a"], **of_index)]
    parameters = table(["pk", "a"], ["pk"], **PROVISIONED, GlobalSecondaryIndexes=of_all)
    assert refused(dynamodb.create_table, **parameters) == ("ValidationException", INVALID + message)


@pytest.mark.parametrize(
    ("local", "message"),
    [
        (
            [index("loc", ["l", "sk"])],
            f"{INVALID}Index KeySchema does not have the same leading hash key as table KeySchema for index: loc. "
            "index hash key: l, table hash key: pk",
        ),
        (
            [index("loc", ["pk"]), index("other", ["pk", "l"])],
            f"{INVALID}Index KeySchema does not have a range key for index: loc",
        ),
        (
            [index("loc", ["pk", "pk"]), index("other", ["pk", "l"])],
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            [index("loc", ["pk:HASH", "l:HASH"])],
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            [index("loc", ["pk", "l", "sk"])],
            "1 validation error detected: Value '[KeySchemaElement(attributeName=pk, keyType=HASH), "
            "KeySchemaElement(attributeName=l, keyType=RANGE), KeySchemaElement(attributeName=sk, keyType=RANGE)]' at "
            "'localSecondaryIndexes.1.member.keySchema' failed to satisfy constraint: Member must have length less "
            "than or equal to 2",
        ),
        ([index("loc", ["pk", "l"])] * 2, f"{INVALID}Duplicate index name: loc"),
        (
            [index(f"loc-{number}", ["pk", "l"]) for number in range(6)],
            f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        ),
    ],
)
def test_a_bad_local_index_is_refused_in_the_services_words(dynamodb: Any, local: list[Any], message: str) -> None:
    parameters = table(["pk", "sk", "l"], ["pk", "sk"], LocalSecondaryIndexes=local)
    assert refused(dynamodb.create_table, **parameters) == ("ValidationException", message)


def test_a_local_index_needs_a_table_with_a_range_key(dynamodb: Any) -> None:
    parameters = table(["pk", "l"], ["pk"], LocalSecondaryIndexes=[index("loc", ["pk", "l"])])
    assert refused(dynamodb.create_table, **parameters) == (
        "ValidationException",
        f"{INVALID}Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
    )


def test_a_local_and_a_global_index_may_not_have_one_name(dynamodb: Any) -> None:
    parameters = table(
        ["pk", "sk", "l"],
        ["pk", "sk"],
        LocalSecondaryIndexes=[index("same", ["pk", "l"])],
        GlobalSecondaryIndexes=[index("same", ["l"])],
    )
    assert refused(dynamodb.create_table, **parameters) == (
        "ValidationException",
        f"{INVALID}Duplicate index name: same",
    )


def test_what_holds_an_index_is_no_table_to_a_client(front: Front, dynamodb: Any) -> None:
    create_orders(dynamodb)
    held = index_table("orders", "by-a")
    assert held in front.backend.tables
    assert dynamodb.list_tables()["TableNames"] == ["orders"]
    for name in (held, f"arn:aws:dynamodb:keystead:000000000000:table/{held}"):
        for call, more in (
            (dynamodb.get_item, {"Key": {"a": {"S": "A"}, "n": {"N": "1"}}}),
            (dynamodb.put_item, {"Item": {"a": {"S": "A"}, "n": {"N": "1"}}}),
            (dynamodb.delete_item, {"Key": {"a": {"S": "A"}, "n": {"N": "1"}}}),
            (dynamodb.update_item, {"Key": {"a": {"S": "A"}, "n": {"N": "1"}}}),
            (dynamodb.scan, {}),
            (dynamodb.describe_table, {}),
            (dynamodb.delete_table, {}),
            (dynamodb.update_table, {"DeletionProtectionEnabled": True}),
        ):
            code, message = refused(call, TableName=name, **more)
            assert (code, "regular expression pattern" in message) == ("ValidationException", True)
        assert refused(dynamodb.batch_get_item, RequestItems={name: {"Keys": [{"a": {"S": "A"}}]}})[0] == (
            "ValidationException"
        )
    assert refused(dynamodb.list_tags_of_resource, ResourceArn=f"arn:aws:dynamodb:a:1:table/{held}")[0] == (
        "ValidationException"
    )


def test_a_table_is_not_deleted_while_an_index_is_made(front: Front, dynamodb: Any) -> None:
    create_orders(dynamodb)
    found = front.backend.tables["orders"]
    creating = [msgspec.structs.replace(one, status="CREATING" if one.is_global else "ACTIVE") for one in found.indexes]
    front.backend.tables["orders"] = msgspec.structs.replace(found, indexes=creating)
    assert refused(dynamodb.delete_table, TableName="orders") == (
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, "
        "updated, or deleted.",
    )
    front.backend.indexes.finish("orders")
    deleted = dynamodb.delete_table(TableName="orders")["TableDescription"]
    assert len(deleted["GlobalSecondaryIndexes"]) == 3
    assert front.backend.tables == {}


def test_a_table_may_be_made_anew_without_its_index(dynamodb: Any) -> None:
    create_orders(dynamodb)
    dynamodb.delete_table(TableName="orders")
    create_table(dynamodb, "orders")
    assert "GlobalSecondaryIndexes" not in described(dynamodb)
