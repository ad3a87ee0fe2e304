"""Scan: pages, segments, counts and refusals, through boto3."""

from typing import Any

import pytest

from tests.api.conftest import Front

KEYS = {f"k{number:02}" for number in range(40)}


@pytest.fixture
def filled(orders: Any) -> Any:
    for key in sorted(KEYS):
        orders.put_item(TableName="orders", Item={"pk": {"S": key}, "v": {"N": "1"}})
    return orders


def keys_of(pages: Any) -> list[str]:
    return [item["pk"]["S"] for page in pages for item in page["Items"]]


def test_a_scan_returns_every_item_once_across_partitions(front: Front, filled: Any) -> None:
    page = filled.scan(TableName="orders")
    assert front.backend.rows_per_scan < page["Count"] == page["ScannedCount"] == 40
    assert sorted(keys_of([page])) == sorted(KEYS)
    assert "LastEvaluatedKey" not in page


@pytest.mark.parametrize("limit", [1, 7, 8, 39])
def test_pages_of_any_size_return_every_item_once(filled: Any, limit: int) -> None:
    pages = list(filled.get_paginator("scan").paginate(TableName="orders", PaginationConfig={"PageSize": limit}))
    assert all(page["Count"] <= limit for page in pages)
    assert sorted(keys_of(pages)) == sorted(KEYS)


@pytest.mark.parametrize("segments", [1, 3, 64])
def test_segments_together_return_every_item_once(filled: Any, segments: int) -> None:
    pages = [
        page
        for segment in range(segments)
        for page in filled.get_paginator("scan").paginate(
            TableName="orders", Segment=segment, TotalSegments=segments, PaginationConfig={"PageSize": 5}
        )
    ]
    assert sorted(keys_of(pages)) == sorted(KEYS)


def test_items_of_one_partition_key_come_in_the_order_of_their_sort_keys(orders: Any) -> None:
    for number in ("10", "-1", "9", "0.5", "-20"):
        orders.put_item(TableName="lines", Item={"pk": {"S": "p"}, "sk": {"N": number}})
    items = orders.scan(TableName="lines")["Items"]
    assert [item["sk"]["N"] for item in items] == ["-20", "-1", "0.5", "9", "10"]


def test_a_page_ends_at_a_megabyte_and_goes_on_behind(orders: Any) -> None:
    for number in range(6):
        orders.put_item(TableName="orders", Item={"pk": {"S": str(number)}, "p": {"S": "x" * 300_000}})
    pages = list(orders.get_paginator("scan").paginate(TableName="orders"))
    assert [page["Count"] for page in pages] == [4, 2]
    assert set(pages[0]["LastEvaluatedKey"]) == {"pk"}


def test_a_count_returns_no_items(filled: Any) -> None:
    page = filled.scan(TableName="orders", Select="COUNT")
    assert page["Count"] == 40 and "Items" not in page


def test_a_consistent_scan_reads_consistently_and_costs_double(front: Front, filled: Any) -> None:
    units = []
    for consistent in (False, True):
        front.backend.consistent_reads.clear()
        page = filled.scan(TableName="orders", ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL")
        assert set(front.backend.consistent_reads) == {consistent}
        units.append(page["ConsumedCapacity"]["CapacityUnits"])
    assert units == [0.5, 1.0]


def test_an_empty_table_scans_to_nothing(orders: Any) -> None:
    page = orders.scan(TableName="orders", Limit=1)
    assert (page["Count"], page["Items"]) == (0, []) and "LastEvaluatedKey" not in page


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"Limit": 0},
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value "
            "greater than or equal to 1",
        ),
        (
            {"Segment": 0},
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
            "present",
        ),
        (
            {"TotalSegments": 4},
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
            "present",
        ),
        (
            {"Segment": 5, "TotalSegments": 5},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not less "
            "than TotalSegments: 5",
        ),
        (
            {"Segment": -1, "TotalSegments": 1_000_001},
            "2 validation errors detected: Value '1000001' at 'totalSegments' failed to satisfy constraint: Member "
            "must have value less than or equal to 1000000; Value '-1' at 'segment' failed to satisfy constraint: "
            "Member must have value greater than or equal to 0",
        ),
        (
            {"ExclusiveStartKey": {"other": {"S": "a"}}},
            "The provided starting key is invalid: The provided key element does not match the schema",
        ),
        (
            {"ExclusiveStartKey": {"pk": {}}},
            "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the "
            "supported datatypes",
        ),
        ({"IndexName": "by_price"}, "The table does not have the specified index: by_price"),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            {"Select": "SPECIFIC_ATTRIBUTES"},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            {"Select": "COUNT", "ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            {"Select": "ALL_ATTRIBUTES", "AttributesToGet": ["a"]},
            "Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES",
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES", "ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES",
        ),
        (
            {"FilterExpression": "a = b", "AttributesToGet": ["a"], "ConditionalOperator": "OR"},
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            "{AttributesToGet, ConditionalOperator} Expression parameters: {FilterExpression}",
        ),
        (
            {"ProjectionExpression": "a", "ExpressionAttributeValues": {":a": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null",
        ),
        (
            {"FilterExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}, ":b": {"S": "b"}}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}",
        ),
        (
            {"FilterExpression": "a = :a", "ExpressionAttributeValues": {":a": {"N": "x"}}},
            "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x "
            "for key :a",
        ),
        ({"FilterExpression": "a b"}, 'Invalid FilterExpression: Syntax error; token: "b", near: "a b"'),
        ({"ProjectionExpression": ""}, "Invalid ProjectionExpression: The expression can not be empty;"),
        (
            {"FilterExpression": "pk.a = b"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        (
            {"ProjectionExpression": "pk[0]"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        (
            {"AttributesToGet": []},
            "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy constraint: Member must "
            "have length greater than or equal to 1",
        ),
        (
            {"ScanFilter": {"a": {}}},
            "1 validation error detected: Value null at 'scanFilter.a.member.comparisonOperator' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            {"ScanFilter": {"a": {"ComparisonOperator": "X"}}, "ConditionalOperator": "X"},
            "2 validation errors detected: Value 'X' at 'scanFilter.a.member.comparisonOperator' failed to satisfy "
            "constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, "
            "NE, LE, BEGINS_WITH, GE, CONTAINS]; Value 'X' at 'conditionalOperator' failed to satisfy constraint: "
            "Member must satisfy enum value set: [OR, AND]",
        ),
        (
            {"ScanFilter": {"a": {"ComparisonOperator": "EQ"}}},
            "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
        ),
        ({"ConditionalOperator": "OR"}, "ConditionalOperator cannot be used without Filter or Expected"),
        (
            {"IndexName": "x"},
            "1 validation error detected: Value 'x' at 'indexName' failed to satisfy constraint: Member must have "
            "length greater than or equal to 3",
        ),
    ],
)
def test_a_bad_scan_is_refused(orders: Any, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(orders.exceptions.ClientError) as caught:
        orders.scan(TableName="orders", **parameters)
    assert caught.value.response["Error"] == {"Code": "ValidationException", "Message": message}


def test_a_filter_leaves_out_items_that_were_read_and_paid(orders: Any) -> None:
    for number in range(20):
        item = {"pk": {"S": "p"}, "sk": {"N": str(number)}, "v": {"N": str(number % 4)}, "x": {"S": "x" * 1000}}
        orders.put_item(TableName="lines", Item=item)
    values = {":v": {"N": "1"}}
    parameters = {"TableName": "lines", "ReturnConsumedCapacity": "TOTAL", "ConsistentRead": True}
    page = orders.scan(
        FilterExpression="v = :v", ProjectionExpression="sk", ExpressionAttributeValues=values, **parameters
    )
    assert page["Items"] == [{"sk": {"N": str(number)}} for number in (1, 5, 9, 13, 17)]
    assert (page["Count"], page["ScannedCount"], page["ConsumedCapacity"]["CapacityUnits"]) == (5, 20, 5.0)
    assert "LastEvaluatedKey" not in page
    page = orders.scan(
        FilterExpression="v = :v", ExpressionAttributeValues=values, Select="COUNT", Limit=6, **parameters
    )
    assert (page["Count"], page["ScannedCount"], page["ConsumedCapacity"]["CapacityUnits"]) == (2, 6, 2.0)
    assert page["LastEvaluatedKey"] == {"pk": {"S": "p"}, "sk": {"N": "5"}} and "Items" not in page


def test_a_scan_may_filter_by_key_attributes(filled: Any) -> None:
    values = {":low": {"S": "k10"}, ":high": {"S": "k12"}}
    page = filled.scan(
        TableName="orders", FilterExpression="pk BETWEEN :low AND :high", ExpressionAttributeValues=values
    )
    assert sorted(keys_of([page])) == ["k10", "k11", "k12"] and page["ScannedCount"] == 40


def test_legacy_filters_are_joined_by_the_conditional_operator(orders: Any) -> None:
    for number in range(6):
        item = {"pk": {"S": "p"}, "sk": {"N": str(number)}, "a.b": {"N": str(number)}}
        orders.put_item(TableName="lines", Item=item)
    conditions = {
        "a.b": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "2.0"}]},
        "sk": {"ComparisonOperator": "IN", "AttributeValueList": [{"N": "0"}, {"N": "3"}]},
    }
    for operator, expected in ((None, ["3"]), ("AND", ["3"]), ("OR", ["0", "2", "3", "4", "5"])):
        more = {} if operator is None else {"ConditionalOperator": operator}
        page = orders.scan(TableName="lines", ScanFilter=conditions, AttributesToGet=["a.b"], **more)
        assert page["Items"] == [{"a.b": {"N": number}} for number in expected]


def test_a_page_that_ends_at_its_limit_has_a_key_to_go_on_from(filled: Any) -> None:
    page = filled.scan(TableName="orders", Limit=40)
    assert page["Count"] == 40
    rest = filled.scan(TableName="orders", ExclusiveStartKey=page["LastEvaluatedKey"])
    assert rest["Count"] == 0 and "LastEvaluatedKey" not in rest


def test_an_unknown_table_is_told_before_an_unknown_index(orders: Any) -> None:
    with pytest.raises(orders.exceptions.ResourceNotFoundException):
        orders.scan(TableName="none", IndexName="by_price")


def test_a_start_key_of_another_segment_is_refused(filled: Any) -> None:
    start = filled.scan(TableName="orders", Segment=0, TotalSegments=2, Limit=1)["LastEvaluatedKey"]
    with pytest.raises(filled.exceptions.ClientError) as caught:
        filled.scan(TableName="orders", Segment=1, TotalSegments=2, ExclusiveStartKey=start)
    assert caught.value.response["Error"]["Message"] == (
        "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
        "Segment. TotalSegments: 2 Segment: 1"
    )
