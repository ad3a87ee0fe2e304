"""Global indexes that come to a table, change and go by UpdateTable, through boto3."""

from typing import Any

import pytest

from keystead_core.cluster_map import index_table
from tests.api.conftest import Front
from tests.api.index_tables import INVALID, create_orders, definitions, index, key_schema, table
from tests.api.test_table_operations import refused

UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
ONE_AT_A_TIME = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
BY_B: dict[str, Any] = {"Create": index("by-b", ["b"])}
NOTHING = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)


def update(client: Any, *updates: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.update_table(TableName="orders", GlobalSecondaryIndexUpdates=list(updates), **more)
    found: dict[str, Any] = answer["TableDescription"]
    return found


def statuses(client: Any) -> dict[str, str]:
    found = client.describe_table(TableName="orders")["Table"].get("GlobalSecondaryIndexes", [])
    return {one["IndexName"]: one["IndexStatus"] for one in found}


def refusal(client: Any, *updates: dict[str, Any], **more: Any) -> tuple[str, str]:
    return refused(client.update_table, TableName="orders", GlobalSecondaryIndexUpdates=list(updates), **more)


@pytest.fixture
def on_demand(dynamodb: Any) -> Any:
    """The client, with the table `orders` and its global index by-a."""
    of_all = [index("by-a", ["a"], "KEYS_ONLY")]
    dynamodb.create_table(**table(["pk", "a"], ["pk"], GlobalSecondaryIndexes=of_all))
    return dynamodb


@pytest.fixture
def provisioned(dynamodb: Any) -> Any:
    of_all = [index("by-a", ["a"], ProvisionedThroughput=UNITS)]
    billing = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
    dynamodb.create_table(**table(["pk", "a"], ["pk"], **billing, GlobalSecondaryIndexes=of_all))
    return dynamodb


def test_a_new_index_is_backfilling_until_all_items_are_in_it(front: Front, on_demand: Any) -> None:
    on_demand.put_item(TableName="orders", Item={"pk": {"S": "p"}, "b": {"S": "B"}})
    front.backend.indexes.slow = True
    answer = update(on_demand, BY_B, AttributeDefinitions=definitions("b"))
    assert answer["TableStatus"] == "ACTIVE"
    created = answer["GlobalSecondaryIndexes"][1]
    assert (created["IndexName"], created["IndexStatus"], created["Backfilling"]) == ("by-b", "CREATING", True)
    assert answer["AttributeDefinitions"] == definitions("a", "b", "pk")
    query = {
        "TableName": "orders",
        "IndexName": "by-b",
        "KeyConditionExpression": "b = :b",
        "ExpressionAttributeValues": {":b": {"S": "B"}},
    }
    backfilling = ("ValidationException", "Cannot read from backfilling global secondary index: by-b")
    assert refused(on_demand.query, **query) == backfilling
    assert refused(on_demand.scan, TableName="orders", IndexName="by-b") == backfilling
    front.backend.indexes.finish("orders")
    assert on_demand.query(**query)["Items"] == [{"pk": {"S": "p"}, "b": {"S": "B"}}]
    table_after = on_demand.describe_table(TableName="orders")["Table"]
    assert "Backfilling" not in table_after["GlobalSecondaryIndexes"][1]


def test_a_new_index_needs_no_definitions_of_what_is_a_key_already(on_demand: Any) -> None:
    created = {"Create": index("by-ba", ["b", "a"])}
    update(on_demand, created, AttributeDefinitions=definitions("b", "unused:N"))
    found = on_demand.describe_table(TableName="orders")["Table"]
    assert found["AttributeDefinitions"] == definitions("a", "b", "pk")
    assert found["GlobalSecondaryIndexes"][1]["KeySchema"] == key_schema("b", "a")


def test_an_index_goes_with_the_attributes_that_only_it_had_as_keys(front: Front, on_demand: Any) -> None:
    answer = update(on_demand, {"Delete": {"IndexName": "by-a"}})
    assert "GlobalSecondaryIndexes" not in answer
    assert answer["AttributeDefinitions"] == definitions("pk")
    assert index_table("orders", "by-a") not in front.backend.tables
    assert refused(on_demand.scan, TableName="orders", IndexName="by-a") == (
        "ValidationException",
        "The table does not have the specified index: by-a",
    )


def test_units_of_an_index_change(provisioned: Any) -> None:
    more = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 6}
    update(provisioned, {"Update": {"IndexName": "by-a", "ProvisionedThroughput": more}})
    (found,) = provisioned.describe_table(TableName="orders")["Table"]["GlobalSecondaryIndexes"]
    assert found["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **more}


def test_on_demand_limits_of_an_index_change(on_demand: Any) -> None:
    update(on_demand, {"Update": {"IndexName": "by-a", "OnDemandThroughput": {"MaxReadRequestUnits": 50}}})
    (found,) = on_demand.describe_table(TableName="orders")["Table"]["GlobalSecondaryIndexes"]
    assert found["OnDemandThroughput"] == {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": -1}


def test_the_billing_of_a_table_changes_with_that_of_its_indexes(on_demand: Any) -> None:
    billing = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
    assert refused(on_demand.update_table, TableName="orders", **billing) == (
        "ValidationException",
        f"{INVALID}ProvisionedThroughput must be specified for index: by-a",
    )
    update(on_demand, {"Update": {"IndexName": "by-a", "ProvisionedThroughput": UNITS}}, **billing)
    (found,) = on_demand.describe_table(TableName="orders")["Table"]["GlobalSecondaryIndexes"]
    assert found["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **UNITS}
    on_demand.update_table(TableName="orders", BillingMode="PAY_PER_REQUEST")
    (found,) = on_demand.describe_table(TableName="orders")["Table"]["GlobalSecondaryIndexes"]
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 0


def test_only_one_index_comes_or_goes_at_a_time(front: Front, on_demand: Any) -> None:
    wanted = {"AttributeDefinitions": definitions("b")}
    limited = ("LimitExceededException", ONE_AT_A_TIME)
    delete = {"Delete": {"IndexName": "by-a"}}
    assert refusal(on_demand, BY_B, {"Create": index("by-c", ["b"])}, **wanted) == limited
    assert refusal(on_demand, BY_B, delete, **wanted) == limited
    front.backend.indexes.slow = True
    update(on_demand, BY_B, **wanted)
    assert refusal(on_demand, {"Create": index("by-c", ["b"])}, **wanted) == limited
    assert refusal(on_demand, delete) == limited
    update(on_demand, {"Delete": {"IndexName": "by-b"}})
    assert statuses(on_demand) == {"by-a": "ACTIVE"}


def test_a_table_has_at_most_twenty_global_indexes(dynamodb: Any) -> None:
    of_all = [index(f"by-{number}", ["a"]) for number in range(20)]
    dynamodb.create_table(**table(["pk", "a"], ["pk"], GlobalSecondaryIndexes=of_all))
    assert refusal(dynamodb, {"Create": index("by-20", ["a"])}, AttributeDefinitions=definitions("a")) == (
        "LimitExceededException",
        "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20",
    )


@pytest.mark.parametrize("action", ["Update", "Delete"])
def test_an_index_that_is_not_there_is_not_found(on_demand: Any, action: str) -> None:
    more = {"OnDemandThroughput": {"MaxReadRequestUnits": 5}} if action == "Update" else {}
    assert refusal(on_demand, {action: {"IndexName": "by-z", **more}}) == (
        "ResourceNotFoundException",
        "Requested resource not found: Index by-z for table orders",
    )


@pytest.mark.parametrize("action", ["Update", "Delete"])
def test_a_local_index_cannot_be_changed(dynamodb: Any, action: str) -> None:
    create_orders(dynamodb)
    assert refusal(dynamodb, {action: {"IndexName": "loc"}}) == (
        "ValidationException",
        f"Cannot {action.lower()} an index that is not a GlobalSecondaryIndex: loc",
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"GlobalSecondaryIndexUpdates": []}, NOTHING),
        ({"AttributeDefinitions": definitions("b")}, NOTHING),
        (
            {"GlobalSecondaryIndexUpdates": [], "DeletionProtectionEnabled": True},
            f"{INVALID}List of GlobalSecondaryIndexUpdates is empty",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{}]},
            f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
            "GlobalSecondaryIndexUpdate.Delete must not be null",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [BY_B | {"Delete": {"IndexName": "by-a"}}]},
            f"{INVALID}Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-a"}}] * 2},
            f"{INVALID}Only one global secondary index update per index is allowed simultaneously. Index: by-a",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{"Create": index("by-a", ["a"])}]},
            "Attempting to create an index which already exists",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [BY_B]},
            f"{INVALID}AttributeDefinitions is not specified for index: by-b",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [BY_B], "AttributeDefinitions": definitions("c")},
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: [b], "
            "AttributeDefinitions: [c]",
        ),
        (
            {
                "GlobalSecondaryIndexUpdates": [{"Create": index("by-b", ["b", "a"])}],
                "AttributeDefinitions": definitions("b", "a:N"),
            },
            "invalid attribute, SchemaElement redefined should be of same type as previously defined",
        ),
        (
            {
                "GlobalSecondaryIndexUpdates": [{"Create": index("by-b", ["b"], "INCLUDE")}],
                "AttributeDefinitions": definitions("b"),
            },
            f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        (
            {
                "GlobalSecondaryIndexUpdates": [{"Create": index("by-b", ["b"], ProvisionedThroughput=UNITS)}],
                "AttributeDefinitions": definitions("b"),
            },
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: by-b when "
            "BillingMode is PAY_PER_REQUEST",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "by-a", "ProvisionedThroughput": UNITS}}]},
            f"{INVALID}The only Updates for index: by-a when TableThroughputMode is PAY_PER_REQUEST can be to "
            "OnDemandThroughput, WarmThroughput",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [BY_B], "DeletionProtectionEnabled": True},
            "DeletionProtection modification must be the only operation in the request",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [BY_B], "ProvisionedThroughput": UNITS},
            "You cannot create or delete index while updating table IOPS",
        ),
    ],
)
def test_a_bad_update_of_indexes_is_refused_in_the_services_words(
    front: Front, on_demand: Any, parameters: dict[str, Any], message: str
) -> None:
    before = dict(front.backend.tables)
    assert refused(on_demand.update_table, TableName="orders", **parameters) == ("ValidationException", message)
    assert front.backend.tables == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (BY_B, f"{INVALID}Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: by-b"),
        (
            {"Update": {"IndexName": "by-a"}},
            f"{INVALID}Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: by-a",
        ),
        (
            {"Update": {"IndexName": "by-a", "ProvisionedThroughput": UNITS}},
            "The provisioned throughput for the index by-a will not change. The requested value equals the current "
            "value. Current ReadCapacityUnits provisioned for the index: 5. Requested ReadCapacityUnits: 5. Current "
            "WriteCapacityUnits provisioned for the index: 6. Requested WriteCapacityUnits: 6. Refer to the Amazon "
            "DynamoDB Developer Guide for current limits and how to request higher limits.",
        ),
        (
            {"Update": {"IndexName": "by-a", "OnDemandThroughput": {"MaxReadRequestUnits": 5}}},
            f"{INVALID}MaxReadRequestUnits for OnDemandThroughput for index : by-a cannot be specified when the table "
            "BillingMode is PROVISIONED",
        ),
    ],
)
def test_an_index_of_a_provisioned_table_needs_units(provisioned: Any, change: dict[str, Any], message: str) -> None:
    assert refusal(provisioned, change, AttributeDefinitions=definitions("b")) == ("ValidationException", message)
