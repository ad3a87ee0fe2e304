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
        ({"FilterExpression": "a = b"}, "The parameter FilterExpression of Scan is not supported by Keystead yet"),
        ({"AttributesToGet": ["a"]}, "The parameter AttributesToGet of Scan is not supported by Keystead yet"),
    ],
)
def test_a_bad_scan_is_refused(orders: Any, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(orders.exceptions.ClientError) as caught:
        orders.scan(TableName="orders", **parameters)
    assert caught.value.response["Error"] == {"Code": "ValidationException", "Message": message}


def test_a_start_key_of_another_segment_is_refused(filled: Any) -> None:
    start = filled.scan(TableName="orders", Segment=0, TotalSegments=2, Limit=1)["LastEvaluatedKey"]
    with pytest.raises(filled.exceptions.ClientError) as caught:
        filled.scan(TableName="orders", Segment=1, TotalSegments=2, ExclusiveStartKey=start)
    assert caught.value.response["Error"]["Message"] == (
        "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
        "Segment. TotalSegments: 2 Segment: 1"
    )
