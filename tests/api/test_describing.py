"""What is described of the service as a whole, and of backups."""

from typing import Any

import boto3
from botocore.config import Config

from tests.api.conftest import Front
from tests.api.test_table_operations import refused


def test_limits_are_those_of_a_new_account(dynamodb: Any) -> None:
    limits = dynamodb.describe_limits()
    assert limits["AccountMaxReadCapacityUnits"] == limits["AccountMaxWriteCapacityUnits"] == 80_000
    assert limits["TableMaxReadCapacityUnits"] == limits["TableMaxWriteCapacityUnits"] == 40_000


def test_the_endpoint_is_the_one_that_was_asked(front: Front, dynamodb: Any) -> None:
    (endpoint,) = dynamodb.describe_endpoints()["Endpoints"]
    assert endpoint == {"Address": f"127.0.0.1:{front.port}", "CachePeriodInMinutes": 1440}


def test_a_client_that_discovers_endpoints_works(front: Front, orders: Any) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=front.endpoint,
        region_name="eu-west-2",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(endpoint_discovery_enabled=True, retries={"total_max_attempts": 1}),
    )
    client.put_item(TableName="orders", Item={"pk": {"S": "k"}})
    assert client.get_item(TableName="orders", Key={"pk": {"S": "k"}})["Item"] == {"pk": {"S": "k"}}


def test_continuous_backups_are_as_of_a_new_table(orders: Any) -> None:
    described = orders.describe_continuous_backups(TableName="orders")["ContinuousBackupsDescription"]
    assert described["ContinuousBackupsStatus"] == "ENABLED"
    assert described["PointInTimeRecoveryDescription"] == {"PointInTimeRecoveryStatus": "DISABLED"}
    assert refused(orders.describe_continuous_backups, TableName="none") == (
        "TableNotFoundException",
        "Table not found: none",
    )
