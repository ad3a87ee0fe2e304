"""Queries of global indexes whose keys have several hash and range attributes, through boto3."""

import re
from typing import Any

import pytest

from tests.api.index_tables import index, table
from tests.api.test_secondary_index_reads import query
from tests.api.test_table_operations import refused

KEYS = ["t:HASH", "r:HASH", "round:RANGE", "score:RANGE"]


@pytest.fixture
def matches(dynamodb: Any) -> Any:
    """The client, with an index of two hash and two range attributes."""
    of_all = [index("by-match", KEYS)]
    dynamodb.create_table(**table(["pk", "t", "r", "round", "score:N"], ["pk"], GlobalSecondaryIndexes=of_all))
    for number in range(12):
        match = {
            "pk": {"S": str(number)},
            "t": {"S": "T"},
            "r": {"S": "NA" if number < 8 else "EU"},
            "round": {"S": ["final", "semi"][number % 2]},
            "score": {"N": str(number % 4 * 5)},
        }
        dynamodb.put_item(TableName="orders", Item=match)
    dynamodb.put_item(TableName="orders", Item={"pk": {"S": "sparse"}, "t": {"S": "T"}, "r": {"S": "NA"}})
    return dynamodb


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", ["0", "4", "2", "6", "1", "5", "3", "7"]),
        ("AND #round = :final", ["0", "4", "2", "6"]),
        ("AND begins_with(#round, :f)", ["0", "4", "2", "6"]),
        ("AND #round = :final AND score = :ten", ["2", "6"]),
        ("AND #round = :final AND score < :ten", ["0", "4"]),
        ("AND score >= :ten AND #round = :final", ["2", "6"]),
        ("AND #round > :final", ["1", "5", "3", "7"]),
    ],
)
def test_range_attributes_are_given_from_the_first_on(matches: Any, condition: str, expected: list[str]) -> None:
    values = {":t": {"S": "T"}, ":r": {"S": "NA"}, ":final": {"S": "final"}, ":f": {"S": "f"}, ":ten": {"N": "10"}}
    named = set(re.findall(r":\w+", f":t :r {condition}"))
    asked: dict[str, Any] = {
        "KeyConditionExpression": f"t = :t AND r = :r {condition}",
        "ExpressionAttributeValues": {name: value for name, value in values.items() if name in named},
    }
    if condition:
        asked["ExpressionAttributeNames"] = {"#round": "round"}
    found: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = query(matches, "by-match", **asked, Limit=3, **more)
        found += [one["pk"]["S"] for one in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        assert page["LastEvaluatedKey"].keys() == {"t", "r", "round", "score", "pk"}
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("t = :t", "Query condition missed key schema element: r"),
        ("t = :t AND r = :t AND score = :n", "Query condition missed key schema element: round"),
        ("t = :t AND r > :t", "Query key condition not supported"),
    ],
)
def test_all_hash_attributes_and_no_gap_are_needed(matches: Any, condition: str, message: str) -> None:
    values = {":t": {"S": "T"}} | ({":n": {"N": "1"}} if ":n" in condition else {})
    asked = {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}
    assert refused(matches.query, TableName="orders", IndexName="by-match", **asked) == ("ValidationException", message)
