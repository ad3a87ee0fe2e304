"""What a client is told of a limit that was reached."""

import msgspec
import pytest

from keystead_core.capacity.limits import Cause, Kind
from keystead_node.api.errors import Throttled
from keystead_node.api.throttling import capacity_exceeded

ARN = "arn:aws:dynamodb:keystead:000000000000:table/orders"


@pytest.mark.parametrize(
    ("kind", "cause", "reason"),
    [
        (Kind.READ, Cause.PROVISIONED, "TableReadProvisionedThroughputExceeded"),
        (Kind.WRITE, Cause.PARTITION, "TableWriteKeyRangeThroughputExceeded"),
    ],
)
def test_a_provisioned_table_has_one_error_and_two_reasons(kind: Kind, cause: Cause, reason: str) -> None:
    error = capacity_exceeded("orders", True, kind, cause)
    assert isinstance(error, Throttled) and error.status == 400
    assert msgspec.json.decode(error.body()) == {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The level of configured provisioned throughput for the table was exceeded. Consider increasing "
        "your provisioning level with the UpdateTable API.",
        "ThrottlingReasons": [{"reason": reason, "resource": ARN}],
    }


def test_an_index_is_told_from_its_table() -> None:
    for name in ("orders/by-date", "orders/index/by-date"):
        error = capacity_exceeded(name, True, Kind.READ, Cause.PROVISIONED)
        assert (error.reason, error.resource) == ("IndexReadProvisionedThroughputExceeded", f"{ARN}/index/by-date")
        assert str(error).startswith("The level of configured provisioned throughput for one or more global secondary")


def test_a_table_on_demand_is_throttled_by_its_own_maximum_in_other_words_than_by_a_partitions_limit() -> None:
    maximum = capacity_exceeded("orders", False, Kind.WRITE, Cause.ON_DEMAND_MAXIMUM)
    assert msgspec.json.decode(maximum.body()) == {
        "__type": "com.amazon.coral.availability#ThrottlingException",
        "message": "Throughput exceeds the maximum OnDemandThroughput configured on table or index",
        "throttlingReasons": [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": ARN}],
    }
    partition = capacity_exceeded("orders", False, Kind.READ, Cause.PARTITION)
    assert partition.reason == "TableReadKeyRangeThroughputExceeded"
    assert "check if you have a hot key" in str(partition)
