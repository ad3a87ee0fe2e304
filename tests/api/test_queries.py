"""Query: conditions on keys, directions, pages, filters, counts, costs and refusals, through boto3."""

from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key

from tests.api.conftest import Front, create_table

P = {"S": "p"}
BY_KEY = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": P}}
OUTSIDE = "The provided starting key is outside query boundaries based on provided conditions"
NOT_SCALAR = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: "
EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
    "string value. Key: "
)


def n(number: object) -> dict[str, str]:
    return {"N": str(number)}


def eq(value: dict[str, Any]) -> dict[str, Any]:
    return {"ComparisonOperator": "EQ", "AttributeValueList": [value]}


def keyed(expression: str, **values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a KeyConditionExpression and its values."""
    named = {f":{name}": value for name, value in values.items()}
    return {"KeyConditionExpression": expression, "ExpressionAttributeValues": named}


def sorts(page: dict[str, Any]) -> list[int]:
    return [int(item["sk"]["N"]) for item in page["Items"]]


@pytest.fixture
def lines(orders: Any) -> Any:
    """The client, with ten items of the partition key p in `lines`, and one each of two others."""
    for key in ("o", "q"):
        orders.put_item(TableName="lines", Item={"pk": {"S": key}, "sk": n(5)})
    for number in range(10):
        item = {"pk": P, "sk": n(number), "v": n(number % 3), "m": {"M": {"a": {"S": "x"}}}}
        orders.put_item(TableName="lines", Item=item)
    orders.put_item(TableName="orders", Item={"pk": P, "v": n(1)})
    return orders


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(Exception) as caught:
        call(**parameters)
    error = caught.value.response["Error"]  # type: ignore[attr-defined]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("", {}, range(10)),
        (" AND sk = :a", {"a": n("3.0")}, [3]),
        (" AND sk < :a", {"a": n(3)}, [0, 1, 2]),
        (" AND sk <= :a", {"a": n(3)}, [0, 1, 2, 3]),
        (" AND sk > :a", {"a": n(7)}, [8, 9]),
        (" AND :a <= sk", {"a": n(7)}, [7, 8, 9]),
        (" AND sk BETWEEN :a AND :b", {"a": n(3), "b": n("5.5")}, [3, 4, 5]),
        (" AND sk = :a", {"a": n(30)}, []),
    ],
)
@pytest.mark.parametrize("forward", [True, False])
def test_a_query_returns_the_items_that_its_key_condition_names_in_order(
    lines: Any, condition: str, values: dict[str, Any], expected: Any, forward: bool
) -> None:
    page = lines.query(TableName="lines", ScanIndexForward=forward, **keyed("pk = :p" + condition, p=P, **values))
    assert sorts(page) == (list(expected) if forward else list(expected)[::-1])
    assert page["Count"] == page["ScannedCount"] == len(expected) and "LastEvaluatedKey" not in page


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("EQ", [3], [3]),
        ("LE", [1], [0, 1]),
        ("LT", [1], [0]),
        ("GE", [8], [8, 9]),
        ("GT", [8], [9]),
        ("BETWEEN", [2, 4], [2, 3, 4]),
    ],
)
def test_legacy_key_conditions_mean_the_same(lines: Any, operator: str, values: list[int], expected: list[int]) -> None:
    on_range = {"ComparisonOperator": operator, "AttributeValueList": [n(value) for value in values]}
    page = lines.query(TableName="lines", KeyConditions={"pk": eq(P), "sk": on_range})
    assert sorts(page) == expected


@pytest.mark.parametrize(
    ("kind", "sort_keys", "prefix", "expected"),
    [
        ("S", ["a", "ab", "ab\x00", "abc", "b", "é"], "ab", ["ab", "ab\x00", "abc"]),
        ("S", ["a", "\U0001f980", "\U0001f980x", "\uffff"], "\U0001f980", ["\U0001f980", "\U0001f980x"]),
        ("B", [b"\x00", b"\xff", b"\xff\x00", b"\xff\xff"], b"\xff", [b"\xff", b"\xff\x00", b"\xff\xff"]),
    ],
)
def test_begins_with_selects_a_prefix_of_the_sort_key(
    dynamodb: Any, kind: str, sort_keys: list[Any], prefix: Any, expected: list[Any]
) -> None:
    create_table(dynamodb, "texts", "S", kind)
    for sort_key in sort_keys:
        dynamodb.put_item(TableName="texts", Item={"pk": P, "sk": {kind: sort_key}})
    condition = keyed("pk = :p AND begins_with(sk, :a)", p=P, a={kind: prefix})
    page = dynamodb.query(TableName="texts", **condition)
    assert [item["sk"][kind] for item in page["Items"]] == expected
    legacy = {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{kind: prefix}]}
    page = dynamodb.query(TableName="texts", KeyConditions={"pk": eq(P), "sk": legacy}, ScanIndexForward=False)
    assert [item["sk"][kind] for item in page["Items"]] == expected[::-1]


def test_a_table_without_a_sort_key_has_one_item_for_a_query(lines: Any) -> None:
    page = lines.query(TableName="orders", **BY_KEY)
    assert page["Items"] == [{"pk": P, "v": n(1)}] and "LastEvaluatedKey" not in page
    page = lines.query(TableName="orders", Limit=1, **BY_KEY)
    rest = lines.query(TableName="orders", ExclusiveStartKey=page["LastEvaluatedKey"], **BY_KEY)
    assert rest["Items"] == [] and "LastEvaluatedKey" not in rest


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
def test_pages_of_any_size_return_every_item_once_and_in_order(lines: Any, limit: int, forward: bool) -> None:
    paginator = lines.get_paginator("query")
    pages = list(
        paginator.paginate(TableName="lines", ScanIndexForward=forward, PaginationConfig={"PageSize": limit}, **BY_KEY)
    )
    numbers = [number for page in pages for number in sorts(page)]
    assert numbers == (list(range(10)) if forward else list(range(9, -1, -1)))
    assert len(pages) == 10 // limit + 1


def test_a_page_that_ends_at_its_limit_has_a_key_to_go_on_from(lines: Any) -> None:
    assert lines.query(TableName="lines", Limit=10, **BY_KEY)["LastEvaluatedKey"] == {"pk": P, "sk": n(9)}
    assert "LastEvaluatedKey" not in lines.query(TableName="lines", Limit=11, **BY_KEY)


def test_a_start_key_need_not_be_an_items(lines: Any) -> None:
    start = {"pk": P, "sk": n("5.5")}
    assert sorts(lines.query(TableName="lines", ExclusiveStartKey=start, **BY_KEY)) == [6, 7, 8, 9]
    page = lines.query(TableName="lines", ExclusiveStartKey=start, ScanIndexForward=False, **BY_KEY)
    assert sorts(page) == [5, 4, 3, 2, 1, 0]


def test_a_filter_leaves_out_items_that_were_read_and_paid(lines: Any) -> None:
    parameters = keyed("pk = :p", p=P, v=n(1)) | {"FilterExpression": "v = :v AND attribute_exists(m.a)"}
    page = lines.query(TableName="lines", **parameters)
    assert (sorts(page), page["Count"], page["ScannedCount"]) == ([1, 4, 7], 3, 10)
    page = lines.query(TableName="lines", Limit=4, ScanIndexForward=False, **parameters)
    assert (sorts(page), page["ScannedCount"], page["LastEvaluatedKey"]["sk"]) == ([7], 4, n(6))
    page = lines.query(TableName="lines", Limit=1, **parameters)
    assert (page["Items"], page["Count"], page["ScannedCount"]) == ([], 0, 1)
    assert page["LastEvaluatedKey"] == {"pk": P, "sk": n(0)}


def test_a_legacy_filter_goes_with_legacy_key_conditions_and_an_expression_too(lines: Any) -> None:
    keys = {"pk": eq(P)}
    conditions = {"v": eq(n(1)), "m": {"ComparisonOperator": "NULL"}}
    for operator, expected in ((None, []), ("AND", []), ("OR", [1, 4, 7])):
        more = {} if operator is None else {"ConditionalOperator": operator}
        assert sorts(lines.query(TableName="lines", KeyConditions=keys, QueryFilter=conditions, **more)) == expected
    page = lines.query(
        TableName="lines",
        KeyConditions=keys,
        FilterExpression="v = :v",
        ExpressionAttributeValues={":v": n(2)},
    )
    assert sorts(page) == [2, 5, 8]


def test_a_projection_returns_parts_of_items_and_the_whole_key_to_go_on_from(lines: Any) -> None:
    projected = {"ProjectionExpression": "#m.a, none_such", "ExpressionAttributeNames": {"#m": "m"}}
    page = lines.query(TableName="lines", Limit=1, Select="SPECIFIC_ATTRIBUTES", **projected, **BY_KEY)
    assert page["Items"] == [{"m": {"M": {"a": {"S": "x"}}}}]
    assert page["LastEvaluatedKey"] == {"pk": P, "sk": n(0)}
    page = lines.query(TableName="lines", Limit=1, KeyConditions={"pk": eq(P)}, AttributesToGet=["v", "m.a"])
    assert page["Items"] == [{"v": n(0)}]


def test_a_count_returns_no_items(lines: Any) -> None:
    page = lines.query(TableName="lines", Select="COUNT", **BY_KEY)
    assert (page["Count"], page["ScannedCount"]) == (10, 10) and "Items" not in page
    parameters = keyed("pk = :p", p=P, v=n(1)) | {"FilterExpression": "v = :v"}
    page = lines.query(TableName="lines", Select="COUNT", **parameters)
    assert (page["Count"], page["ScannedCount"]) == (3, 10) and "Items" not in page


@pytest.mark.parametrize("wanted", ["TOTAL", "INDEXES"])
def test_a_query_costs_what_was_read_before_filter_and_projection(front: Front, lines: Any, wanted: str) -> None:
    for number in range(10):
        item = {"pk": {"S": "big"}, "sk": n(number), "x": {"S": "x" * 1000}}
        lines.put_item(TableName="lines", Item=item)
    condition = keyed("pk = :p", p={"S": "big"}, v=n(1)) | {"FilterExpression": "v = :v", "ProjectionExpression": "v"}
    for consistent, units in ((False, 1.5), (True, 3.0)):
        front.backend.consistent_reads.clear()
        page = lines.query(TableName="lines", ConsistentRead=consistent, ReturnConsumedCapacity=wanted, **condition)
        assert set(front.backend.consistent_reads) == {consistent}
        table = {"Table": {"CapacityUnits": units}} if wanted == "INDEXES" else {}
        assert page["ConsumedCapacity"] == {"TableName": "lines", "CapacityUnits": units} | table


def test_a_query_that_finds_nothing_costs_a_read_all_the_same(lines: Any) -> None:
    page = lines.query(TableName="lines", ReturnConsumedCapacity="TOTAL", **keyed("pk = :p", p={"S": "none"}))
    assert (page["Count"], page["Items"], page["ConsumedCapacity"]["CapacityUnits"]) == (0, [], 0.5)


def test_a_page_ends_with_the_item_that_brings_it_to_a_megabyte(orders: Any) -> None:
    for number in range(6):
        orders.put_item(TableName="lines", Item={"pk": P, "sk": n(number), "x": {"S": "x" * 300_000}})
    pages = list(orders.get_paginator("query").paginate(TableName="lines", ScanIndexForward=False, **BY_KEY))
    assert [sorts(page) for page in pages] == [[5, 4, 3, 2], [1, 0]]


def test_a_page_that_is_looked_into_is_as_long_as_the_sizes_of_its_items_say(orders: Any) -> None:
    """Numbers are stored as text: the JSON of these items is more than twice their size."""
    numbers = {"L": [n("1" * 38)] * 4000}  # 21 bytes each with its place in the list
    for number in range(16):
        orders.put_item(TableName="lines", Item={"pk": P, "sk": n(number), "x": numbers})
    whole = orders.query(TableName="lines", **BY_KEY)
    assert whole["Count"] == 6
    for parameters in ({"ProjectionExpression": "sk"}, {"ReturnConsumedCapacity": "TOTAL"}):
        page = orders.query(TableName="lines", **parameters, **BY_KEY)
        assert page["Count"] == 13 and page["LastEvaluatedKey"]["sk"] == n(12)
    assert page["ConsumedCapacity"]["CapacityUnits"] == 133.5


NEITHER = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
MISFIT = "One or more parameter values were invalid: Condition parameter type does not match schema type"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, NEITHER),
        ({"TableName": "none"}, NEITHER),
        ({"KeyConditions": {}}, "Conditions can be of length 1 or 2 only"),
        (
            {"KeyConditions": {"pk": eq(P)}} | BY_KEY,
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            "{KeyConditions} Expression parameters: {KeyConditionExpression}",
        ),
        (
            {"QueryFilter": {"v": eq(n(1))}, "AttributesToGet": ["v"]} | BY_KEY,
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            "{AttributesToGet, QueryFilter} Expression parameters: {KeyConditionExpression}",
        ),
        (
            {"KeyConditions": {"pk": eq(P)}, "ExpressionAttributeValues": {":p": P}},
            "ExpressionAttributeValues can only be specified when using expressions: FilterExpression and "
            "KeyConditionExpression are null",
        ),
        (
            {"KeyConditions": {"pk": eq(P)}, "ExpressionAttributeNames": {"#p": "pk"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (keyed("pk = ", p=P), 'Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "= "'),
        (
            keyed("pk = :q", p=P),
            "Invalid KeyConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :q",
        ),
        (
            keyed("pk = :p", p=P, q=P),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:q}",
        ),
        (
            keyed("pk = :p", p=P, a=n(1)) | {"FilterExpression": "a.b.", "ProjectionExpression": "c c"},
            'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "."',
        ),
        (keyed("pk = :p OR sk = :a", p=P, a=n(1)), "Invalid operator used in KeyConditionExpression: OR"),
        (keyed("pk = :p AND pk = :p", p=P), "KeyConditionExpressions must only contain one condition per key"),
        (keyed("sk = :a", a=n(1)), "Query condition missed key schema element: pk"),
        (keyed("pk = :p AND v = :a", p=P, a=n(1)), "Query condition missed key schema element: sk"),
        (keyed("pk = :p", p=n(1)), MISFIT),
        ({"KeyConditions": {"pk": eq(P), "sk": eq(P)}}, MISFIT),
        (keyed("pk = :p", p={"S": ""}), EMPTY_KEY + "pk"),
        (
            keyed("pk = :p", p={"S": "x" * 2049}),
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 "
            "bytes",
        ),
        (
            keyed("pk = :p AND sk BETWEEN :a AND :b", p=P, a=n(2), b=n(1)),
            "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to "
            "lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            {"KeyConditions": {"pk": {"ComparisonOperator": "GT", "AttributeValueList": [P]}}},
            "Query key condition not supported",
        ),
        (
            {"KeyConditions": {"pk": eq(P), "sk": {"ComparisonOperator": "NOT_NULL"}}},
            "Attempted conditional constraint is not an indexable operation",
        ),
        (
            {"KeyConditions": {"pk": eq(P), "sk": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [n(1)]}}},
            "One or more parameter values were invalid: Invalid number of argument(s) for the BETWEEN "
            "ComparisonOperator",
        ),
        (
            {"KeyConditions": {"pk": eq(P), "sk": {"AttributeValueList": [n(1)]}}},
            "1 validation error detected: Value null at 'keyConditions.sk.member.comparisonOperator' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            {"KeyConditions": {"pk": eq(P), "sk": eq({})}},
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            {"KeyConditions": {"pk": eq(P)}, "ConditionalOperator": "OR"},
            "ConditionalOperator cannot be used without Filter or Expected",
        ),
        (
            {"KeyConditions": {"pk": eq(P)}, "QueryFilter": {"v": eq(n(1))}, "ConditionalOperator": "AND"},
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ),
        (
            {"FilterExpression": "sk > :p"} | BY_KEY,
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
        ),
        (
            {"KeyConditions": {"pk": eq(P)}, "QueryFilter": {"pk": eq(P)}},
            "QueryFilter can only contain non-primary key attributes: Primary key attribute: pk",
        ),
        ({"FilterExpression": "pk.a = :p"} | BY_KEY, NOT_SCALAR + "pk"),
        ({"ProjectionExpression": "sk[1]"} | BY_KEY, NOT_SCALAR + "sk"),
        ({"IndexName": "by_price"} | BY_KEY, "The table does not have the specified index: by_price"),
        (
            {"IndexName": "by_price", "Select": "ALL_PROJECTED_ATTRIBUTES"} | BY_KEY,
            "The table does not have the specified index: by_price",
        ),
        (
            {"IndexName": "x"} | BY_KEY,
            "1 validation error detected: Value 'x' at 'indexName' failed to satisfy constraint: Member must have "
            "length greater than or equal to 3",
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES"} | BY_KEY,
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            {"Select": "SPECIFIC_ATTRIBUTES"} | BY_KEY,
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            {"Select": "COUNT", "KeyConditions": {"pk": eq(P)}, "AttributesToGet": ["v"]},
            "Cannot specify the AttributesToGet when choosing to get only the Count",
        ),
        (
            {"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "v"} | BY_KEY,
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        ),
        (
            {"Limit": 0} | BY_KEY,
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value "
            "greater than or equal to 1",
        ),
    ],
)
def test_a_bad_query_is_refused(lines: Any, parameters: dict[str, Any], message: str) -> None:
    assert refused(lines.query, **{"TableName": "lines"} | parameters) == ("ValidationException", message)


ABOVE_THREE = keyed("pk = :p AND sk > :a", p=P, a=n(3))


@pytest.mark.parametrize(
    ("start", "parameters", "message"),
    [
        ({}, BY_KEY, "The provided starting key is invalid"),
        ({"pk": P}, BY_KEY, "The provided starting key is invalid"),
        ({"pk": P, "v": n(1)}, BY_KEY, "The provided starting key is invalid"),
        ({"pk": P, "sk": n(1), "v": n(1)}, BY_KEY, "The provided starting key is invalid"),
        ({"pk": P, "sk": P}, BY_KEY, "The provided key element does not match the schema"),
        ({"pk": {"S": ""}, "sk": n(1)}, BY_KEY, EMPTY_KEY + "pk"),
        (
            {"pk": P, "sk": {}},
            {},
            "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the "
            "supported datatypes",
        ),
        ({"pk": P, "sk": n("x")}, BY_KEY, "The parameter cannot be converted to a numeric value: x"),
        ({"pk": {"S": "q"}, "sk": n(5)}, BY_KEY, OUTSIDE),
        ({"pk": P, "sk": n(3)}, ABOVE_THREE, "The provided starting key does not match the range key predicate"),
        (
            {"pk": {"S": "q"}, "sk": n(5)},
            ABOVE_THREE,
            "The query can return at most one row and cannot be restarted",
        ),
    ],
)
@pytest.mark.parametrize("forward", [True, False])
def test_a_start_key_where_the_query_does_not_read_is_refused(
    lines: Any, start: dict[str, Any], parameters: dict[str, Any], message: str, forward: bool
) -> None:
    answer = refused(lines.query, TableName="lines", ExclusiveStartKey=start, ScanIndexForward=forward, **parameters)
    assert answer == ("ValidationException", message)


def test_an_unknown_table_is_told_before_an_unknown_index(lines: Any) -> None:
    code, message = refused(lines.query, TableName="none", IndexName="by_price", **BY_KEY)
    assert (code, message) == ("ResourceNotFoundException", "Requested resource not found")


def test_a_query_goes_by_the_tables_arn_and_tells_its_name(front: Front, lines: Any) -> None:
    arn = lines.describe_table(TableName="lines")["Table"]["TableArn"]
    page = lines.query(TableName=arn, ReturnConsumedCapacity="TOTAL", **BY_KEY)
    assert page["Count"] == 10 and page["ConsumedCapacity"]["TableName"] == "lines"


def test_the_resource_interface_builds_its_own_expressions(front: Front, lines: Any) -> None:
    table = front.resource().Table("lines")
    page = table.query(
        KeyConditionExpression=Key("pk").eq("p") & Key("sk").between(2, 8), FilterExpression=Attr("v").ne(1)
    )
    assert [int(item["sk"]) for item in page["Items"]] == [2, 3, 5, 6, 8]
