"""CreateTable, DescribeTable, ListTables and DeleteTable through boto3."""

from typing import Any

import msgspec
import pytest

from tests.api.conftest import Front, create_table


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(Exception) as caught:
        call(**parameters)
    error = caught.value.response["Error"]  # type: ignore[attr-defined]
    return error["Code"], error["Message"]


def test_a_created_table_is_described_as_it_was_asked_for(dynamodb: Any) -> None:
    created = create_table(dynamodb, "orders", "B", "N", DeletionProtectionEnabled=True)["TableDescription"]
    assert created["TableStatus"] == "CREATING"
    table = dynamodb.describe_table(TableName="orders")["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableName"] == "orders"
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert table["AttributeDefinitions"] == [
        {"AttributeName": "pk", "AttributeType": "B"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ]
    assert table["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert table["DeletionProtectionEnabled"] is True
    assert table["TableArn"].endswith(":table/orders")
    assert table["ItemCount"] == 0
    assert table["CreationDateTime"].timestamp() == 1_700_000_000.25


def test_boto3s_waiter_sees_the_table_exist(dynamodb: Any) -> None:
    create_table(dynamodb, "orders")
    dynamodb.get_waiter("table_exists").wait(TableName="orders", WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_provisioned_throughput_is_kept(dynamodb: Any) -> None:
    dynamodb.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
    )
    throughput = dynamodb.describe_table(TableName="orders")["Table"]["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (5, 6)


def test_tags_say_what_dynamodb_has_no_parameter_for(front: Front, dynamodb: Any) -> None:
    tags = {"keystead:partitions": "8", "keystead:replicas": "5", "keystead:durable-zones": "2"}
    tags |= {"keystead:write-quorum": "3", "team": "shop"}
    create_table(dynamodb, "orders", Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    table = front.backend.tables["orders"]
    assert (table.partitions, table.replicas, table.durable_zones, table.write_quorum) == (8, 5, 2, 3)
    assert table.tags == tags


def test_what_no_tag_says_is_left_to_the_cluster(front: Front, dynamodb: Any) -> None:
    create_table(dynamodb, "orders")
    table = front.backend.tables["orders"]
    assert (table.partitions, table.replicas, table.durable_zones, table.write_quorum) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"keystead:partitions": "0"}, "Tag keystead:partitions must be a whole number from 1 to 10000, not '0'"),
        ({"keystead:replicas": "three"}, "Tag keystead:replicas must be a whole number from 1 to 7, not 'three'"),
        (
            {"keystead:replicas": "2", "keystead:durable-zones": "3"},
            "Tag keystead:durable-zones must not be above keystead:replicas",
        ),
        (
            {"keystead:replicas": "4", "keystead:write-quorum": "2"},
            "Tag keystead:write-quorum must be more than half of keystead:replicas, and not above",
        ),
        (
            {"keystead:zones": "3"},
            "Unknown tag keystead:zones; known are keystead:partitions, keystead:replicas, keystead:durable-zones, "
            "keystead:write-quorum",
        ),
    ],
)
def test_a_bad_tag_creates_no_table(front: Front, dynamodb: Any, tags: dict[str, str], message: str) -> None:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    with pytest.raises(dynamodb.exceptions.ClientError) as caught:
        create_table(dynamodb, "orders", Tags=listed)
    assert caught.value.response["Error"]["Message"] == f"One or more parameter values were invalid: {message}"
    assert front.backend.tables == {}


PK = {"AttributeName": "pk", "AttributeType": "S"}
SK = {"AttributeName": "sk", "AttributeType": "S"}
HASH = {"AttributeName": "pk", "KeyType": "HASH"}
RANGE = {"AttributeName": "sk", "KeyType": "RANGE"}
ON_DEMAND = {"TableName": "orders", "BillingMode": "PAY_PER_REQUEST"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"AttributeDefinitions": [PK], "KeySchema": [HASH]},
            "The parameter 'TableName' is required but was not present in the request",
        ),
        (
            {"TableName": "ab", "AttributeDefinitions": [PK], "KeySchema": [HASH]},
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 3",
        ),
        (
            {"TableName": "orders"},
            "2 validation errors detected: Value null at 'attributeDefinitions' failed to satisfy constraint: "
            "Member must not be null; Value null at 'keySchema' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"TableName": "orders", "AttributeDefinitions": [PK], "KeySchema": [HASH]},
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be "
            "specified when BillingMode is PROVISIONED",
        ),
        (
            ON_DEMAND
            | {
                "AttributeDefinitions": [PK],
                "KeySchema": [HASH],
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
            },
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be "
            "specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK], "KeySchema": [HASH, RANGE]},
            "Invalid KeySchema: Some index key attribute have no definition",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [SK], "KeySchema": [HASH]},
            "One or more parameter values were invalid: Some index key attributes are not defined in "
            "AttributeDefinitions. Keys: [pk], AttributeDefinitions: [sk]",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK, SK], "KeySchema": [HASH]},
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match "
            "number of attributes defined in AttributeDefinitions",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [SK], "KeySchema": [RANGE]},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK, SK], "KeySchema": [HASH, HASH | {"AttributeName": "sk"}]},
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK, SK], "KeySchema": [HASH, HASH | {"KeyType": "RANGE"}]},
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK], "KeySchema": [HASH, RANGE, RANGE]},
            "1 validation error detected: Value '[KeySchemaElement(attributeName=pk, keyType=HASH), "
            "KeySchemaElement(attributeName=sk, keyType=RANGE), KeySchemaElement(attributeName=sk, keyType=RANGE)]' "
            "at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK | {"AttributeType": "X"}], "KeySchema": [HASH]},
            "1 validation error detected: Value 'X' at 'attributeDefinitions.1.member.attributeType' failed to "
            "satisfy constraint: Member must satisfy enum value set: [B, N, S]",
        ),
        (
            ON_DEMAND | {"AttributeDefinitions": [PK], "KeySchema": [HASH], "GlobalSecondaryIndexes": []},
            "One or more parameter values were invalid: List of GlobalSecondaryIndexes is empty",
        ),
        (
            ON_DEMAND
            | {"AttributeDefinitions": [PK], "KeySchema": [HASH], "StreamSpecification": {"StreamEnabled": True}},
            "Invalid StreamViewType: Stream ViewType must not be null or empty when enabling streams.",
        ),
    ],
)
def test_a_bad_table_is_refused_in_the_services_words(
    front: Front, dynamodb: Any, parameters: dict[str, Any], message: str
) -> None:
    assert refused(dynamodb.create_table, **parameters) == ("ValidationException", message)
    assert front.backend.tables == {}


def test_a_table_that_exists_is_in_use(dynamodb: Any) -> None:
    create_table(dynamodb, "orders")
    with pytest.raises(dynamodb.exceptions.ResourceInUseException, match="Table already exists: orders"):
        create_table(dynamodb, "orders")


def test_unknown_tables_are_not_found_by_name(dynamodb: Any) -> None:
    for call in (dynamodb.describe_table, dynamodb.delete_table):
        assert refused(call, TableName="none") == (
            "ResourceNotFoundException",
            "Requested resource not found: Table: none not found",
        )


def test_a_deleted_table_is_gone(dynamodb: Any) -> None:
    create_table(dynamodb, "orders")
    assert dynamodb.delete_table(TableName="orders")["TableDescription"]["TableStatus"] == "DELETING"
    assert dynamodb.list_tables()["TableNames"] == []


def test_a_protected_table_is_not_deleted(front: Front, dynamodb: Any) -> None:
    create_table(dynamodb, "orders", DeletionProtectionEnabled=True)
    assert refused(dynamodb.delete_table, TableName="orders") == (
        "ValidationException",
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
    )
    assert "orders" in front.backend.tables


@pytest.mark.parametrize(("status", "word"), [("CREATING", "created"), ("DELETING", "deleted")])
def test_a_table_in_transition_takes_no_items_and_is_in_use(
    front: Front, dynamodb: Any, status: str, word: str
) -> None:
    create_table(dynamodb, "orders")
    front.backend.tables["orders"] = msgspec.structs.replace(front.backend.tables["orders"], status=status)
    assert refused(dynamodb.put_item, TableName="orders", Item={"pk": {"S": "k"}}) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    assert refused(dynamodb.delete_table, TableName="orders") == (
        "ResourceInUseException",
        f"Attempt to change a resource which is still in use: Table is being {word}: orders",
    )


def test_tables_are_listed_by_name_in_pages(dynamodb: Any) -> None:
    for name in ("ccc", "aaa", "bbb"):
        create_table(dynamodb, name)
    first = dynamodb.list_tables(Limit=2)
    assert (first["TableNames"], first["LastEvaluatedTableName"]) == (["aaa", "bbb"], "bbb")
    second = dynamodb.list_tables(Limit=2, ExclusiveStartTableName="bbb")
    assert second["TableNames"] == ["ccc"] and "LastEvaluatedTableName" not in second
    names = [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    assert names == ["aaa", "bbb", "ccc"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"Limit": 101},
            "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value "
            "less than or equal to 100",
        ),
        (
            {"Limit": 0, "ExclusiveStartTableName": "a!cd"},
            "2 validation errors detected: Value 'a!cd' at 'exclusiveStartTableName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'limit' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1",
        ),
    ],
)
def test_bad_list_parameters_are_refused(dynamodb: Any, parameters: dict[str, Any], message: str) -> None:
    assert refused(dynamodb.list_tables, **parameters) == ("ValidationException", message)
