"""BatchWriteItem and BatchGetItem through boto3."""

from typing import Any

import pytest

from keystead_node.api.errors import OutcomeUnknown, Throttled, Unavailable
from tests.api.conftest import Front


def put(key: str, **more: Any) -> dict[str, Any]:
    return {"PutRequest": {"Item": {"pk": {"S": key}} | more}}


def delete(key: str) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": {"pk": {"S": key}}}}


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(Exception) as caught:
        call(**parameters)
    error = caught.value.response["Error"]  # type: ignore[attr-defined]
    return error["Code"], error["Message"]


def test_a_batch_puts_and_deletes_in_several_tables(front: Front, orders: Any) -> None:
    orders.put_item(TableName="orders", Item={"pk": {"S": "old"}})
    line = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    answer = orders.batch_write_item(
        RequestItems={"orders": [put("new"), delete("old")], "lines": [{"PutRequest": {"Item": line}}]},
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["UnprocessedItems"] == {}
    assert answer["ConsumedCapacity"] == [
        {"TableName": "orders", "CapacityUnits": 2.0},
        {"TableName": "lines", "CapacityUnits": 1.0},
    ]
    assert len(front.backend.rows["orders"]) == 1
    got = orders.batch_get_item(
        RequestItems={
            "orders": {"Keys": [{"pk": {"S": "new"}}, {"pk": {"S": "old"}}], "ConsistentRead": True},
            "lines": {"Keys": [line]},
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert got["Responses"] == {"orders": [{"pk": {"S": "new"}}], "lines": [line]}
    assert got["UnprocessedKeys"] == {}
    assert got["ConsumedCapacity"] == [
        {"TableName": "orders", "CapacityUnits": 2.0},
        {"TableName": "lines", "CapacityUnits": 0.5},
    ]


def test_rows_that_were_not_written_come_back_unprocessed(front: Front, orders: Any) -> None:
    front.backend.failures = [None, Throttled(), Unavailable()]
    requests = [put("a"), put("b", n={"N": "1"}), delete("c")]
    answer = orders.batch_write_item(RequestItems={"orders": requests})
    assert answer["UnprocessedItems"] == {"orders": requests[1:]}


def test_a_batch_of_which_nothing_was_written_is_the_error_itself(front: Front, orders: Any) -> None:
    front.backend.failures = [Throttled(), Throttled()]
    code, _ = refused(orders.batch_write_item, RequestItems={"orders": [put("a"), put("b")]})
    assert code == "ThrottlingException"


def test_a_row_whose_outcome_is_unknown_is_never_called_unprocessed(front: Front, orders: Any) -> None:
    front.backend.failures = [None, OutcomeUnknown(), Throttled()]
    code, _ = refused(orders.batch_write_item, RequestItems={"orders": [put("a"), put("b"), put("c")]})
    assert code == "InternalServerError"


def test_keys_that_could_not_be_read_come_back_unprocessed(front: Front, orders: Any) -> None:
    orders.put_item(TableName="orders", Item={"pk": {"S": "a"}})
    front.backend.failures = [None, Throttled()]
    keys = [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]
    got = orders.batch_get_item(RequestItems={"orders": {"Keys": keys, "ConsistentRead": True}})
    assert got["Responses"] == {"orders": keys[:1]}
    assert got["UnprocessedKeys"] == {"orders": {"Keys": keys[1:], "ConsistentRead": True}}


def test_a_response_of_sixteen_megabytes_leaves_the_rest_unprocessed(orders: Any) -> None:
    payload = {"S": "x" * 400_000}
    keys = [{"pk": {"S": f"{number:02}"}} for number in range(45)]
    for key in keys:
        orders.put_item(TableName="orders", Item=key | {"p": payload})
    got = orders.batch_get_item(RequestItems={"orders": {"Keys": keys}})
    assert len(got["Responses"]["orders"]) == 16 * 1024 * 1024 // 400_040
    assert len(got["UnprocessedKeys"]["orders"]["Keys"]) == 45 - len(got["Responses"]["orders"])


EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
    "string value. Key: pk"
)
MISMATCH = "The provided key element does not match the schema"
TWO_KINDS = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({}, "The requestItems parameter is required for BatchWriteItem"),
        ({"orders": [put("a"), delete("a")]}, "Provided list of item keys contains duplicates"),
        ({"orders": [{}]}, TWO_KINDS),
        ({"orders": [put("a") | delete("b")]}, TWO_KINDS),
        ({"orders": [put("")]}, EMPTY_KEY),
        ({"orders": [delete("")]}, EMPTY_KEY),
        ({"orders": [{"PutRequest": {"Item": {"pk": {"N": "5"}}}}]}, MISMATCH),
        ({"orders": [{"PutRequest": {"Item": {"other": {"S": "a"}}}}]}, MISMATCH),
        ({"orders": [put("a", p={"S": "x" * 409_600})]}, "Item size has exceeded the maximum allowed size"),
        ({"orders": [put("a"), put("b", n={"N": "1e126"})]}, None),
        (
            {"orders": [put(str(n)) for n in range(13)], "others": [put(str(n)) for n in range(13)]},
            "Too many items requested for the BatchWriteItem call",
        ),
    ],
)
def test_a_bad_batch_writes_nothing(front: Front, orders: Any, requests: Any, message: str | None) -> None:
    code, text = refused(orders.batch_write_item, RequestItems=requests)
    assert code == "ValidationException"
    assert text == (
        message or "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )
    assert front.backend.writes == 0


def test_more_than_twenty_five_writes_of_a_table_break_the_maps_constraint(front: Front, orders: Any) -> None:
    code, text = refused(orders.batch_write_item, RequestItems={"orders": [put(str(n)) for n in range(26)]})
    assert code == "ValidationException"
    assert text.startswith("1 validation error detected: Value '{orders=[WriteRequest(putRequest=")
    assert text.endswith(
        "]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have "
        "length less than or equal to 25, Member must have length greater than or equal to 1]"
    )
    assert front.backend.writes == 0


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({}, "The requestItems parameter is required for BatchGetItem"),
        ({"orders": {"Keys": [{"pk": {"S": "a"}}] * 2}}, "Provided list of item keys contains duplicates"),
        ({"orders": {"Keys": [{"pk": {"S": "a"}, "x": {"S": "b"}}]}}, MISMATCH),
        ({"orders": {"Keys": [{"pk": {"S": ""}}]}}, EMPTY_KEY),
        (
            {"orders": {"Keys": []}},
            "1 validation error detected: Value '[]' at 'requestItems.orders.member.keys' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1",
        ),
        (
            {"a!": {"Keys": [{"pk": {"S": "a"}}]}},
            "1 validation error detected: Value '{a!=KeysAndAttributes(keys=[{pk=AttributeValue(s=a)}])}' at "
            "'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length "
            "less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy "
            "regular expression pattern: [a-zA-Z0-9_.-]+]",
        ),
        (
            {name: {"Keys": [{"pk": {"S": str(n)}} for n in range(51)]} for name in ("orders", "lines")},
            "Too many items requested for the BatchGetItem call",
        ),
        (
            {"orders": {"Keys": [{"pk": {"S": "a"}}], "ExpressionAttributeNames": {"#a": "a"}}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"orders": {"Keys": [{"pk": {"S": "a"}}], "ProjectionExpression": "a", "AttributesToGet": ["a"]}},
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            "{AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            {"orders": {"Keys": [{"pk": {"S": "a"}}], "AttributesToGet": ["a", "b", "a"]}},
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        ),
        (
            {
                "lines": {"Keys": [{"pk": {"S": "a"}, "sk": {"N": "1"}}], "ProjectionExpression": "sk.a"},
                "orders": {"Keys": [{"pk": {"S": "a"}}], "ProjectionExpression": "sk.a"},
            },
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: sk",
        ),
        (
            {"orders": {"Keys": [{"pk": {"S": "a"}}], "ProjectionExpression": "a, #b"}},
            "Invalid ProjectionExpression: An expression attribute name used in the document path is not defined; "
            "attribute name: #b",
        ),
    ],
)
def test_a_bad_batch_of_keys_is_refused(orders: Any, requests: Any, message: str) -> None:
    assert refused(orders.batch_get_item, RequestItems=requests) == ("ValidationException", message)


def test_each_table_of_a_batch_has_its_own_projection(orders: Any) -> None:
    line = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    orders.put_item(TableName="orders", Item={"pk": {"S": "a"}, "v": {"N": "1"}, "w": {"L": [{"S": "x"}, {"S": "y"}]}})
    orders.put_item(TableName="lines", Item=line | {"v": {"N": "2"}, "p": {"S": "x" * 9000}})
    got = orders.batch_get_item(
        RequestItems={
            "orders": {
                "Keys": [{"pk": {"S": "a"}}],
                "ProjectionExpression": "#w[1], nothing",
                "ExpressionAttributeNames": {"#w": "w"},
            },
            "lines": {"Keys": [line], "AttributesToGet": ["v", "sk"], "ConsistentRead": True},
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert got["Responses"] == {"orders": [{"w": {"L": [{"S": "y"}]}}], "lines": [{"v": {"N": "2"}, "sk": {"N": "1"}}]}
    assert [table["CapacityUnits"] for table in got["ConsumedCapacity"]] == [0.5, 3.0]


def test_an_item_without_any_of_the_attributes_asked_for_is_empty_but_there(orders: Any) -> None:
    orders.put_item(TableName="orders", Item={"pk": {"S": "a"}})
    keys = [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]
    got = orders.batch_get_item(RequestItems={"orders": {"Keys": keys, "ProjectionExpression": "v"}})
    assert got["Responses"] == {"orders": [{}]}


def test_keys_come_back_unprocessed_with_all_that_was_said_of_their_table(front: Front, orders: Any) -> None:
    front.backend.failures = [None, Throttled(), None, Throttled()]
    keys = [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]
    named = {"ProjectionExpression": "#v", "ExpressionAttributeNames": {"#v": "v"}}
    got = orders.batch_get_item(RequestItems={"orders": {"Keys": keys, "ConsistentRead": True} | named})
    assert got["UnprocessedKeys"] == {"orders": {"Keys": keys[1:], "ConsistentRead": True} | named}
    got = orders.batch_get_item(RequestItems={"orders": {"Keys": keys, "AttributesToGet": ["v"]}})
    assert got["UnprocessedKeys"] == {"orders": {"Keys": keys[1:], "AttributesToGet": ["v"]}}


def test_more_than_a_hundred_keys_of_a_table_break_the_lists_constraint(orders: Any) -> None:
    keys = [{"pk": {"S": str(n)}} for n in range(101)]
    code, text = refused(orders.batch_get_item, RequestItems={"orders": {"Keys": keys}})
    assert code == "ValidationException"
    assert text.endswith(
        "' at 'requestItems.orders.member.keys' failed to satisfy constraint: Member must have length less than or "
        "equal to 100"
    )


def test_a_batch_that_names_an_unknown_table_writes_nothing(front: Front, orders: Any) -> None:
    for call, requests in (
        (orders.batch_write_item, {"orders": [put("a")], "none": [put("a")]}),
        (orders.batch_get_item, {"none": {"Keys": [{"pk": {"S": "a"}}]}}),
    ):
        assert refused(call, RequestItems=requests) == ("ResourceNotFoundException", "Requested resource not found")
    assert front.backend.writes == 0
