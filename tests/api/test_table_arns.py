"""Where the service takes a table's name it takes its ARN too."""

from typing import Any

import pytest

from tests.api.conftest import Front, create_table
from tests.api.test_table_operations import refused

ARN = "arn:aws:dynamodb:eu-west-2:123456789012:table/orders"
KEY = {"pk": {"S": "k"}}


def test_items_are_written_and_read_by_arn(front: Front, orders: Any) -> None:
    orders.put_item(TableName=ARN, Item=KEY)
    answer = orders.get_item(TableName=ARN, Key=KEY, ReturnConsumedCapacity="TOTAL")
    assert answer["Item"] == KEY and answer["ConsumedCapacity"]["TableName"] == "orders"
    assert orders.scan(TableName=ARN)["Items"] == [KEY]
    orders.delete_item(TableName=ARN, Key=KEY)
    assert front.backend.rows["orders"] == {}


def test_batches_answer_under_the_name_that_they_were_given(orders: Any) -> None:
    left = orders.batch_write_item(RequestItems={ARN: [{"PutRequest": {"Item": KEY}}]})
    assert left["UnprocessedItems"] == {}
    assert orders.batch_get_item(RequestItems={ARN: {"Keys": [KEY]}})["Responses"] == {ARN: [KEY]}


def test_tables_are_made_described_changed_and_deleted_by_arn(dynamodb: Any) -> None:
    assert create_table(dynamodb, ARN)["TableDescription"]["TableName"] == "orders"
    assert dynamodb.describe_table(TableName=ARN)["Table"]["TableName"] == "orders"
    dynamodb.update_table(TableName=ARN, DeletionProtectionEnabled=True)
    dynamodb.update_table(TableName=ARN, DeletionProtectionEnabled=False)
    specification = {"AttributeName": "until", "Enabled": True}
    dynamodb.update_time_to_live(TableName=ARN, TimeToLiveSpecification=specification)
    assert dynamodb.describe_time_to_live(TableName=ARN)["TimeToLiveDescription"]["AttributeName"] == "until"
    dynamodb.describe_continuous_backups(TableName=ARN)
    dynamodb.delete_table(TableName=ARN)
    assert dynamodb.list_tables()["TableNames"] == []


@pytest.mark.parametrize("arn", ["arn:aws:dynamodb:eu-west-2:1:index/orders", ARN + "/index/x", "arn:aws:s3:::orders"])
def test_an_arn_of_anything_else_is_no_name(orders: Any, arn: str) -> None:
    for call, more in ((orders.describe_table, {}), (orders.get_item, {"Key": KEY})):
        code, message = refused(call, TableName=arn, **more)
        assert code == "ValidationException" and "at 'tableName' failed to satisfy constraint" in message


def test_a_bad_name_in_an_arn_is_refused_as_a_name(orders: Any) -> None:
    for name in ("ab", "a!cd"):
        arn = f"arn:aws:dynamodb:eu-west-2:123456789012:table/{name}"
        code, message = refused(orders.get_item, TableName=arn, Key=KEY)
        assert code == "ValidationException" and f"Value '{name}' at 'tableName'" in message
        assert refused(orders.batch_get_item, RequestItems={arn: {"Keys": [KEY]}})[0] == "ValidationException"


def test_a_table_that_is_not_there_is_named_without_its_arn(dynamodb: Any) -> None:
    assert refused(dynamodb.describe_table, TableName=ARN) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: orders not found",
    )
    assert refused(dynamodb.get_item, TableName=ARN, Key=KEY) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
