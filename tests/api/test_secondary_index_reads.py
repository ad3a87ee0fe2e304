"""Query and Scan of secondary indexes through boto3."""

from typing import Any

import pytest

from keystead_core.keyspace import encode_text, make_row_key
from tests.api.conftest import Front
from tests.api.index_tables import INVALID, create_orders, index, table
from tests.api.test_table_operations import refused

A = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "A"}}}
P = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "p"}}}
BAD_START = "The provided starting key is invalid"


def item(number: int) -> dict[str, Any]:
    """Items 0 to 5, of the partition keys p and q in turn; l falls as the number rises, n is 0, 1, 2, 0, 1, 2."""
    return {
        "pk": {"S": "pq"[number % 2]},
        "sk": {"S": f"s{number}"},
        "a": {"S": "A"},
        "n": {"N": str(number % 3)},
        "l": {"S": f"L{9 - number}"},
        "x": {"S": f"x{number}"},
        "y": {"S": "y" * 5000},
    }


ITEMS = [item(number) for number in range(6)]


def parts(of: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: of[name] for name in names}


def numbers(answer: dict[str, Any]) -> list[int]:
    """Which items were returned."""
    return [int(found["sk"]["S"][1:]) for found in answer["Items"]]


@pytest.fixture
def filled(dynamodb: Any) -> Any:
    """The client, with the table and indexes of `create_orders`, the items above, and one that is in no index."""
    create_orders(dynamodb)
    for one in [*ITEMS, {"pk": {"S": "p"}, "sk": {"S": "s9"}}]:
        dynamodb.put_item(TableName="orders", Item=one)
    return dynamodb


def query(client: Any, name: str, **parameters: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.query(TableName="orders", IndexName=name, **parameters)
    return answer


def test_a_global_index_is_read_in_the_order_of_its_range_key(filled: Any) -> None:
    found = query(filled, "by-a", **A)["Items"]
    assert [one["n"]["N"] for one in found] == ["0", "0", "1", "1", "2", "2"]
    assert all(set(one) == {"a", "n", "pk", "sk"} for one in found)
    backwards = query(filled, "by-a", **A, ScanIndexForward=False)["Items"]
    assert backwards == found[::-1]


def test_a_local_index_is_read_in_the_order_of_its_own_range_key(filled: Any) -> None:
    answer = query(filled, "loc", **P)
    assert numbers(answer) == [4, 2, 0]
    assert answer["Items"][0] == parts(ITEMS[4], "pk", "sk", "l", "x")


def test_each_projection_has_its_attributes(filled: Any) -> None:
    assert query(filled, "some", **A, Limit=1)["Items"][0].keys() == {"a", "n", "pk", "sk", "x"}
    assert query(filled, "whole", **A, Limit=1)["Items"][0].keys() == ITEMS[0].keys()
    assert query(filled, "loc-all", **P, Limit=1)["Items"] == [ITEMS[4]]


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("n = :n", "1", [1, 4]),
        ("n < :n", "1", [0, 3]),
        ("n <= :n", "1", [0, 1, 3, 4]),
        ("n > :n", "1", [2, 5]),
        ("n >= :n", "1", [1, 2, 4, 5]),
        ("n BETWEEN :n AND :n", "1", [1, 4]),
    ],
)
def test_a_condition_on_the_range_key_of_an_index_selects_all_of_its_items(
    filled: Any, condition: str, value: str, expected: list[int]
) -> None:
    values = {":a": {"S": "A"}, ":n": {"N": value}}
    answer = query(filled, "by-a", KeyConditionExpression=f"a = :a AND {condition}", ExpressionAttributeValues=values)
    assert sorted(numbers(answer)) == expected


def test_a_local_index_takes_the_beginning_of_its_range_key(filled: Any) -> None:
    values = {":p": {"S": "p"}, ":l": {"S": "L5"}}
    condition = "pk = :p AND begins_with(l, :l)"
    answer = query(filled, "loc", KeyConditionExpression=condition, ExpressionAttributeValues=values)
    assert numbers(answer) == [4]


def test_legacy_conditions_read_an_index_too(filled: Any) -> None:
    conditions = {
        "a": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "A"}]},
        "n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "1"}]},
    }
    assert sorted(numbers(query(filled, "by-a", KeyConditions=conditions))) == [2, 5]


def test_an_item_leaves_an_index_with_its_key(filled: Any) -> None:
    filled.update_item(TableName="orders", Key=parts(ITEMS[0], "pk", "sk"), UpdateExpression="REMOVE a, l")
    assert 0 not in numbers(query(filled, "by-a", **A)) and 0 not in numbers(query(filled, "loc", **P))
    filled.delete_item(TableName="orders", Key=parts(ITEMS[1], "pk", "sk"))
    assert sorted(numbers(query(filled, "whole", **A))) == [2, 3, 4, 5]


@pytest.mark.parametrize("limit", [1, 2, 4])
@pytest.mark.parametrize(("name", "keys"), [("by-a", A), ("whole", A), ("loc", P)])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_a_query_of_an_index_are_the_whole(
    filled: Any, name: str, keys: dict[str, Any], limit: int, forward: bool
) -> None:
    whole = query(filled, name, **keys, ScanIndexForward=forward)["Items"]
    found: list[Any] = []
    more: dict[str, Any] = {}
    while True:
        page = query(filled, name, **keys, ScanIndexForward=forward, Limit=limit, **more)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == whole


def test_the_last_key_has_the_keys_of_index_and_table(filled: Any) -> None:
    page = query(filled, "by-a", **A, Limit=1)
    assert page["LastEvaluatedKey"] == page["Items"][0]
    assert query(filled, "loc", **P, Limit=1)["LastEvaluatedKey"] == parts(ITEMS[4], "pk", "sk", "l")
    assert query(filled, "whole", **A, Limit=1)["LastEvaluatedKey"].keys() == {"a", "pk", "sk"}


@pytest.mark.parametrize("name", ["by-a", "loc"])
@pytest.mark.parametrize("segments", [1, 3, 8])
def test_segments_of_a_scan_of_an_index_are_the_whole(front: Front, filled: Any, name: str, segments: int) -> None:
    front.backend.rows_per_scan = 2
    found: list[int] = []
    for segment in range(segments):
        more: dict[str, Any] = {}
        while True:
            page = filled.scan(
                TableName="orders", IndexName=name, Segment=segment, TotalSegments=segments, Limit=2, **more
            )
            found += numbers(page)
            if "LastEvaluatedKey" not in page:
                break
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert sorted(found) == list(range(6))


START = parts(ITEMS[2], "a", "n", "pk", "sk")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (parts(START, "a", "n", "pk"), BAD_START),
        ({**START, "x": {"S": "x"}}, BAD_START),
        ({**parts(START, "a", "n", "pk"), "x": {"S": "x"}}, BAD_START),
        ({**START, "n": {"S": "1"}}, "The provided key element does not match the schema"),
        ({**START, "sk": {"N": "1"}}, f"{BAD_START}: The provided key element does not match the schema"),
    ],
)
def test_a_bad_start_key_is_refused(filled: Any, start: dict[str, Any], message: str) -> None:
    refusal = ("ValidationException", message)
    asked = {"TableName": "orders", "IndexName": "by-a", "ExclusiveStartKey": start}
    assert refused(filled.query, **asked, **A) == refusal
    assert refused(filled.scan, **asked) == refusal


@pytest.mark.parametrize(
    ("start", "condition", "message"),
    [
        (
            {**START, "a": {"S": "B"}},
            "a = :a",
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (START, "a = :a AND n < :n", "The provided starting key does not match the range key predicate"),
        (
            {**START, "a": {"S": "B"}},
            "a = :a AND n > :n",
            "The query can return at most one row and cannot be restarted",
        ),
    ],
)
def test_a_start_key_has_to_lie_where_the_query_reads(
    filled: Any, start: dict[str, Any], condition: str, message: str
) -> None:
    values = {":a": {"S": "A"}} | ({":n": {"N": "1"}} if ":n" in condition else {})
    asked = {"KeyConditionExpression": condition, "ExpressionAttributeValues": values, "ExclusiveStartKey": start}
    assert refused(filled.query, TableName="orders", IndexName="by-a", **asked) == ("ValidationException", message)


def test_a_scan_goes_on_in_the_segment_of_its_start_key(filled: Any) -> None:
    asked = {"TableName": "orders", "IndexName": "by-a", "ExclusiveStartKey": START, "TotalSegments": 2}
    own = _hash_of(START) >> 63
    filled.scan(**asked, Segment=own)
    assert refused(filled.scan, **asked, Segment=1 - own) == (
        "ValidationException",
        f"{BAD_START}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: 2 "
        f"Segment: {1 - own}",
    )


def _hash_of(entry: dict[str, Any]) -> int:
    return int.from_bytes(make_row_key(encode_text(entry["a"]["S"]))[:8], "big")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("none", A, "The table does not have the specified index: none"),
        ("by-a", {**A, "ConsistentRead": True}, "Consistent reads are not supported on global secondary indexes"),
        (
            "by-a",
            {**A, "Select": "ALL_ATTRIBUTES"},
            f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index by-a because its "
            "projection type is not ALL",
        ),
        (
            "some",
            {**A, "ProjectionExpression": "y.b, x, z"},
            f"{INVALID}Global secondary index some does not project [y, z]",
        ),
        (
            "by-a",
            {**A, "ProjectionExpression": "n.b"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: n",
        ),
        ("by-a", P, "Query condition missed key schema element: a"),
        (
            "by-a",
            {**A, "FilterExpression": "n <> :a"},
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: n",
        ),
        (
            "by-a",
            {**A, "FilterExpression": "y <> :a"},
            f"{INVALID}Secondary index by-a does not project one or more filter attributes: [y]",
        ),
        (
            "loc",
            {**P, "FilterExpression": "y <> :p"},
            f"{INVALID}Secondary index loc does not project one or more filter attributes: [y]",
        ),
        (
            "by-a",
            {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": ""}}},
            "One or more parameter values are not valid. A value specified for a secondary index key is not "
            "supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-a, "
            "IndexKey: a",
        ),
    ],
)
def test_what_an_index_cannot_answer_is_refused_in_the_services_words(
    filled: Any, name: str, parameters: dict[str, Any], message: str
) -> None:
    asked = {"TableName": "orders", "IndexName": name, **parameters}
    assert refused(filled.query, **asked) == ("ValidationException", message)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ConsistentRead": True}, "Consistent reads are not supported on global secondary indexes"),
        (
            {"Select": "ALL_ATTRIBUTES"},
            f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index by-a because its "
            "projection type is not ALL",
        ),
        ({"ProjectionExpression": "y"}, f"{INVALID}Global secondary index by-a does not project [y]"),
        ({"AttributesToGet": ["y"]}, f"{INVALID}Global secondary index by-a does not project [y]"),
    ],
)
def test_what_a_scan_of_an_index_cannot_answer_is_refused(
    filled: Any, parameters: dict[str, Any], message: str
) -> None:
    asked = {"TableName": "orders", "IndexName": "by-a", **parameters}
    assert refused(filled.scan, **asked) == ("ValidationException", message)


def test_a_name_that_no_index_can_have_is_refused_as_such(filled: Any) -> None:
    assert refused(filled.scan, TableName="orders", IndexName="a!") == (
        "ValidationException",
        "1 validation error detected: Value 'a!' at 'indexName' failed to satisfy constraint: Member must have length "
        "greater than or equal to 3",
    )


def test_filters_look_at_the_keys_of_the_table_and_at_what_is_projected(filled: Any) -> None:
    values = {":a": {"S": "A"}, ":x": {"S": "x3"}, ":p": {"S": "q"}}
    answer = query(
        filled,
        "some",
        KeyConditionExpression="a = :a",
        FilterExpression="x <> :x AND pk = :p",
        ExpressionAttributeValues=values,
    )
    assert (sorted(numbers(answer)), answer["ScannedCount"]) == ([1, 5], 6)


def test_a_scan_filters_by_what_is_in_the_index(filled: Any) -> None:
    asked = {"TableName": "orders", "IndexName": "by-a", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    assert sorted(numbers(filled.scan(**asked, FilterExpression="n = :n"))) == [1, 4]
    assert filled.scan(**asked, FilterExpression="attribute_exists(y) AND n = :n")["Count"] == 0


def test_a_local_index_is_read_consistently_if_asked(front: Front, filled: Any) -> None:
    for consistent in (True, False):
        front.backend.consistent_reads.clear()
        query(filled, "loc", **P, ConsistentRead=consistent)
        assert front.backend.consistent_reads == [consistent]


def capacity(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["ConsumedCapacity"]
    return found


def test_what_a_local_index_does_not_project_is_fetched_from_the_table(filled: Any) -> None:
    asked = {**P, "ReturnConsumedCapacity": "INDEXES"}
    answer = query(filled, "loc", **asked, Select="ALL_ATTRIBUTES")
    assert answer["Items"] == [ITEMS[4], ITEMS[2], ITEMS[0]]
    assert capacity(answer) == {
        "TableName": "orders",
        "CapacityUnits": 3.5,
        "Table": {"CapacityUnits": 3.0},
        "LocalSecondaryIndexes": {"loc": {"CapacityUnits": 0.5}},
    }
    consistent = query(filled, "loc", **asked, ProjectionExpression="y", ConsistentRead=True, Limit=2)
    assert consistent["Items"] == [parts(ITEMS[0], "y")] * 2
    assert capacity(consistent)["CapacityUnits"] == 5.0
    scanned = filled.scan(TableName="orders", IndexName="loc", Select="ALL_ATTRIBUTES")
    assert sorted(numbers(scanned)) == list(range(6)) and scanned["Items"][0].keys() == ITEMS[0].keys()


def test_nothing_is_fetched_for_what_the_index_has(front: Front, filled: Any) -> None:
    front.backend.consistent_reads.clear()
    answer = query(filled, "loc", **P, ProjectionExpression="x, l", ReturnConsumedCapacity="INDEXES")
    counted = query(filled, "loc", **P, Select="COUNT")
    query(filled, "loc-all", **P, Select="ALL_ATTRIBUTES")
    assert len(front.backend.consistent_reads) == 3
    assert answer["Items"][0] == parts(ITEMS[4], "x", "l")
    assert (counted["Count"], capacity(answer)["Table"]["CapacityUnits"]) == (3, 0.0)


def test_what_is_fetched_counts_towards_the_megabyte_of_a_page(dynamodb: Any) -> None:
    local = [index("loc", ["pk", "l"], "KEYS_ONLY")]
    dynamodb.create_table(**table(["pk", "sk", "l"], ["pk", "sk"], LocalSecondaryIndexes=local))
    for number in range(5):
        text = {"S": str(number)}
        large = {"S": "y" * 390_000}
        dynamodb.put_item(TableName="orders", Item={"pk": {"S": "p"}, "sk": text, "l": text, "y": large})
    page = query(dynamodb, "loc", **P, Select="ALL_ATTRIBUTES")
    assert page["Count"] == 3
    rest = query(dynamodb, "loc", **P, Select="ALL_ATTRIBUTES", ExclusiveStartKey=page["LastEvaluatedKey"])
    assert rest["Count"] == 2


@pytest.mark.parametrize(("wanted", "extra"), [("TOTAL", False), ("INDEXES", True)])
def test_a_read_of_a_global_index_costs_the_index_alone(filled: Any, wanted: str, extra: bool) -> None:
    found = capacity(query(filled, "whole", **A, ReturnConsumedCapacity=wanted))
    by_part = {"Table": {"CapacityUnits": 0.0}, "GlobalSecondaryIndexes": {"whole": {"CapacityUnits": 4.0}}}
    assert found == {"TableName": "orders", "CapacityUnits": 4.0, **(by_part if extra else {})}
