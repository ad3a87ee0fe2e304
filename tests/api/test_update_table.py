"""UpdateTable, and the same settings in CreateTable, through boto3."""

from typing import Any

import msgspec
import pytest

from keystead_core.cluster_map import TableDefinition
from tests.api.conftest import Front, create_table
from tests.api.test_table_operations import refused

INVALID = "One or more parameter values were invalid: "
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}


def described(client: Any, name: str = "orders") -> dict[str, Any]:
    table: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    return table


def replace(front: Front, **fields: Any) -> None:
    table: TableDefinition = front.backend.tables["orders"]
    front.backend.tables["orders"] = msgspec.structs.replace(table, **fields)


def test_billing_goes_to_provisioned_and_back(orders: Any) -> None:
    answer = orders.update_table(TableName="orders", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    assert answer["TableDescription"]["TableStatus"] == "ACTIVE"
    table = described(orders)
    assert table["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **UNITS}
    assert "BillingModeSummary" not in table
    orders.update_table(TableName="orders", BillingMode="PAY_PER_REQUEST")
    summary = described(orders)["BillingModeSummary"]
    assert summary["BillingMode"] == "PAY_PER_REQUEST"
    assert summary["LastUpdateToPayPerRequestDateTime"].timestamp() == 1_700_000_100.5


def test_deletion_protection_is_put_on_and_taken_off(orders: Any) -> None:
    orders.update_table(TableName="orders", DeletionProtectionEnabled=True)
    assert refused(orders.delete_table, TableName="orders")[0] == "ValidationException"
    orders.update_table(TableName="orders", DeletionProtectionEnabled=False)
    orders.delete_table(TableName="orders")


def test_a_stream_is_described_with_its_label_and_arn_which_outlive_it(orders: Any) -> None:
    view = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    orders.update_table(TableName="orders", StreamSpecification=view)
    table = described(orders)
    label = table["LatestStreamLabel"]
    assert table["StreamSpecification"] == view
    assert table["LatestStreamArn"] == f"{table['TableArn']}/stream/{label}"
    assert len(label) == len("2015-07-27T00:48:05.899")
    orders.update_table(TableName="orders", StreamSpecification={"StreamEnabled": False})
    after = described(orders)
    assert "StreamSpecification" not in after and after["LatestStreamLabel"] == label


def test_class_encryption_and_limits_come_back_as_declared(orders: Any) -> None:
    orders.update_table(TableName="orders", TableClass="STANDARD_INFREQUENT_ACCESS")
    orders.update_table(TableName="orders", SSESpecification={"Enabled": True, "KMSMasterKeyId": "alias/own"})
    orders.update_table(TableName="orders", OnDemandThroughput={"MaxReadRequestUnits": 50})
    orders.update_table(TableName="orders", WarmThroughput={"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5000})
    table = described(orders)
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    key = "arn:aws:kms:keystead:000000000000:alias/own"
    assert table["SSEDescription"] == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": -1}
    warm = {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5000, "Status": "ACTIVE"}
    assert table["WarmThroughput"] == warm
    orders.update_table(TableName="orders", SSESpecification={"Enabled": False})
    assert "SSEDescription" not in described(orders)


def test_a_table_is_made_with_the_same_settings(dynamodb: Any) -> None:
    create_table(
        dynamodb,
        "orders",
        TableClass="STANDARD",
        SSESpecification={"Enabled": True, "SSEType": "KMS"},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        OnDemandThroughput={"MaxReadRequestUnits": 7, "MaxWriteRequestUnits": 8},
        WarmThroughput={"ReadUnitsPerSecond": 12_000},
    )
    table = described(dynamodb)
    assert table["TableClassSummary"] == {"TableClass": "STANDARD"}
    assert table["SSEDescription"]["KMSMasterKeyArn"].endswith(":alias/aws/dynamodb")
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    assert table["LatestStreamArn"].startswith(table["TableArn"] + "/stream/")
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 7, "MaxWriteRequestUnits": 8}
    assert table["WarmThroughput"] == {"ReadUnitsPerSecond": 12_000, "Status": "ACTIVE"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {},
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required",
        ),
        (
            {"BillingMode": "PROVISIONED"},
            f"{INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
        ),
        (
            {"ProvisionedThroughput": UNITS},
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
            "PAY_PER_REQUEST",
        ),
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1_000_000_000_001}},
            "Given value 1000000000001 for WriteCapacityUnits is out of bounds",
        ),
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}},
            "1 validation error detected: Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": True}},
            "Invalid StreamViewType: Stream ViewType must not be null or empty when enabling streams.",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}},
            "Invalid StreamViewType: Stream StreamEnabled was false but a StreamViewType was present.",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False}},
            "Table has no stream to disable: TableName: orders",
        ),
        (
            {"OnDemandThroughput": {}},
            f"{INVALID}One or both of MaxReadRequestUnits and MaxWriteRequestUnits must be specified in "
            "OnDemandThroughput",
        ),
        (
            {"OnDemandThroughput": {"MaxReadRequestUnits": 0}},
            f"{INVALID}Given value 0 for MaxReadRequestUnits is out of bounds: it is 1 or more, or -1 for none",
        ),
        (
            {"WarmThroughput": {"ReadUnitsPerSecond": 0}},
            f"{INVALID}Given value 0 for ReadUnitsPerSecond is out of bounds: it is 1 or more",
        ),
        (
            {"SSESpecification": {"Enabled": True, "SSEType": "AES256"}},
            f"{INVALID}SSEType AES256 is not supported, only KMS",
        ),
        (
            {"SSESpecification": {"Enabled": False, "KMSMasterKeyId": "k"}},
            f"{INVALID}SSEType and KMSMasterKeyId can only be specified when SSESpecification is enabled",
        ),
        (
            {"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]},
            "The parameter ReplicaUpdates of UpdateTable is not supported by Keystead yet",
        ),
    ],
)
def test_a_bad_update_is_refused_in_the_services_words(
    front: Front, orders: Any, parameters: dict[str, Any], message: str
) -> None:
    before = front.backend.tables["orders"]
    assert refused(orders.update_table, TableName="orders", **parameters) == ("ValidationException", message)
    assert front.backend.tables["orders"] == before


def test_throughput_that_does_not_change_is_refused_with_the_numbers(orders: Any) -> None:
    orders.update_table(TableName="orders", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    code, message = refused(orders.update_table, TableName="orders", ProvisionedThroughput=UNITS)
    assert code == "ValidationException"
    assert message == (
        "The provisioned throughput for the table will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. "
        "Current WriteCapacityUnits provisioned for the table: 6. Requested WriteCapacityUnits: 6. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )


def test_a_second_stream_is_refused(orders: Any) -> None:
    view = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    orders.update_table(TableName="orders", StreamSpecification=view)
    assert refused(orders.update_table, TableName="orders", StreamSpecification=view) == (
        "ValidationException",
        "Table already has an enabled stream: TableName: orders",
    )


def test_an_unknown_table_is_not_found_by_name(dynamodb: Any) -> None:
    assert refused(dynamodb.update_table, TableName="none", DeletionProtectionEnabled=True) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: none not found",
    )
    assert refused(dynamodb.update_table, DeletionProtectionEnabled=True) == (
        "ValidationException",
        "The parameter 'TableName' is required but was not present in the request",
    )


@pytest.mark.parametrize(("status", "word"), [("CREATING", "created"), ("DELETING", "deleted")])
def test_a_table_in_transition_is_in_use(front: Front, orders: Any, status: str, word: str) -> None:
    replace(front, status=status)
    assert refused(orders.update_table, TableName="orders", DeletionProtectionEnabled=True) == (
        "ResourceInUseException",
        f"Attempt to change a resource which is still in use: Table is being {word}: orders",
    )


def test_a_declared_table_is_changed_through_its_manifest_alone(front: Front, orders: Any) -> None:
    replace(front, managed_by="Table/shop/orders")
    code, message = refused(orders.update_table, TableName="orders", DeletionProtectionEnabled=True)
    assert code == "ValidationException" and "managed by Table/shop/orders" in message
