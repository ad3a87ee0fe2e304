"""UpdateTimeToLive and DescribeTimeToLive through boto3."""

from typing import Any

import msgspec
import pytest

from tests.api.conftest import Front
from tests.api.test_table_operations import refused


def ttl(attribute: str, enabled: bool = True) -> dict[str, Any]:
    return {"TableName": "orders", "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": enabled}}


def described(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_time_to_live(TableName="orders")["TimeToLiveDescription"]
    return found


def test_time_to_live_is_put_on_and_taken_off(orders: Any) -> None:
    assert described(orders) == {"TimeToLiveStatus": "DISABLED"}
    answer = orders.update_time_to_live(**ttl("until"))
    assert answer["TimeToLiveSpecification"] == {"AttributeName": "until", "Enabled": True}
    assert described(orders) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    orders.update_time_to_live(**ttl("until", False))
    assert described(orders) == {"TimeToLiveStatus": "DISABLED"}


def test_what_would_change_nothing_is_refused(orders: Any) -> None:
    assert refused(orders.update_time_to_live, **ttl("until", False)) == (
        "ValidationException",
        "TimeToLive is already disabled",
    )
    orders.update_time_to_live(**ttl("until"))
    assert refused(orders.update_time_to_live, **ttl("until")) == (
        "ValidationException",
        "TimeToLive is already enabled",
    )
    assert refused(orders.update_time_to_live, **ttl("other")) == (
        "ValidationException",
        "TimeToLive is active on a different AttributeName: current AttributeName is until",
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {},
            "1 validation error detected: Value null at 'timeToLiveSpecification' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            {"TimeToLiveSpecification": {"Enabled": True}},
            "1 validation error detected: Value null at 'timeToLiveSpecification.attributeName' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": ""}},
            "1 validation error detected: Value '' at 'timeToLiveSpecification.attributeName' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1",
        ),
    ],
)
def test_a_bad_specification_is_refused(orders: Any, parameters: dict[str, Any], message: str) -> None:
    assert refused(orders.update_time_to_live, TableName="orders", **parameters) == ("ValidationException", message)


def test_an_unknown_table_is_not_found_by_name(dynamodb: Any) -> None:
    missing = ("ResourceNotFoundException", "Requested resource not found: Table: orders not found")
    assert refused(dynamodb.update_time_to_live, **ttl("until")) == missing
    assert refused(dynamodb.describe_time_to_live, TableName="orders") == missing


def test_time_to_live_of_a_declared_table_is_set_through_the_api(front: Front, orders: Any) -> None:
    table = front.backend.tables["orders"]
    front.backend.tables["orders"] = msgspec.structs.replace(table, managed_by="Table/shop/orders")
    orders.update_time_to_live(**ttl("until"))
    assert described(orders)["TimeToLiveStatus"] == "ENABLED"
