"""The fast way and the slow way to read a request agree, and no bytes bring either down."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_node.api.actions.batch_get_item import READER as BATCH_GET
from keystead_node.api.actions.batch_write_item import READER as BATCH_WRITE
from keystead_node.api.actions.delete_item import READER as DELETE
from keystead_node.api.actions.get_item import READER as GET
from keystead_node.api.actions.put_item import READER as PUT
from keystead_node.api.actions.query import READER as QUERY
from keystead_node.api.actions.scan import READER as SCAN
from keystead_node.api.actions.update_item import READER as UPDATE
from keystead_node.api.errors import ApiError
from keystead_node.api.requests import RequestReader

TEXT = st.text("ab\u00e9\u0000\U0001f980", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT | st.sampled_from("SNBLM"), inner, max_size=2),
    max_leaves=4,
)
VALUE = st.recursive(
    st.builds(lambda s: {"S": s}, TEXT)
    | st.builds(lambda n: {"N": n}, st.sampled_from(["1", "1.0", "-0", "1e5", "x", "1" * 39, ""]))
    | st.builds(lambda b: {"B": b}, st.sampled_from(["", "AA==", "AB==", "A"]))
    | st.builds(lambda b: {"BOOL": b}, st.sampled_from([True, "yes", 1]))
    | st.builds(lambda b: {"NULL": b}, st.booleans())
    | st.builds(lambda kind, members: {kind: members}, st.sampled_from(["SS", "NS", "BS"]), st.lists(TEXT, max_size=2))
    | JSON,
    lambda inner: (
        st.builds(lambda members: {"L": members}, st.lists(inner, max_size=2))
        | st.builds(lambda members: {"M": members}, st.dictionaries(TEXT, inner, max_size=2))
    ),
    max_leaves=4,
)
ITEM = st.dictionaries(TEXT, VALUE, max_size=3)
KEYS = st.lists(ITEM, max_size=2)
MORE = st.fixed_dictionaries(
    {},
    optional={
        "ReturnValues": st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW", "X"]),
        "ReturnConsumedCapacity": st.sampled_from(["TOTAL", "X"]),
        "ConsistentRead": st.sampled_from([True, "no", None]),
        "Limit": st.sampled_from([0, 1, 1.5, "1"]),
        "Unknown": st.just(1),
        "ConditionExpression": st.sampled_from(["x", "a = :v", "attribute_exists(#a)"]),
        "UpdateExpression": st.sampled_from(["SET a = :v", "REMOVE", "ADD #a :v"]),
        "ExpressionAttributeNames": st.sampled_from([{"#a": "a"}, {"#a": None}, {}, "x"]),
        "ExpressionAttributeValues": st.builds(lambda value: {":v": value}, VALUE),
        "Expected": st.builds(lambda value: {"a": {"Value": value}}, VALUE) | st.just({"a": None}),
        "AttributeUpdates": st.builds(lambda value: {"a": {"Value": value}}, VALUE) | st.just({"a": {"Value": None}}),
        "ConditionalOperator": st.sampled_from(["AND", "NOR"]),
    },
)
TEXTS = st.sampled_from(["pk = :p", "#n = :p", "a", "a, b", "size(", "", 1, None])
NAMES = st.dictionaries(st.sampled_from(["#n", "#m", "n"]), st.sampled_from(["pk", "", "x", None]), max_size=2) | JSON
VALUES = st.dictionaries(st.sampled_from([":p", ":q", "p"]), VALUE, max_size=2) | JSON
CONDITIONS = st.dictionaries(
    TEXT,
    st.fixed_dictionaries(
        {},
        optional={
            "ComparisonOperator": st.sampled_from(["EQ", "IN", "NULL", "NONE", 5, None]),
            "AttributeValueList": st.lists(VALUE, max_size=2) | JSON,
        },
    ),
    max_size=2,
)
ATTRIBUTES = st.lists(st.sampled_from(["a", "b", "", None, 1]), max_size=3)
PROJECTIONS = st.fixed_dictionaries(
    {}, optional={"ProjectionExpression": TEXTS, "ExpressionAttributeNames": NAMES, "AttributesToGet": ATTRIBUTES}
)
PAGES = st.fixed_dictionaries(
    {"TableName": st.just("t.1")},
    optional={
        "ExclusiveStartKey": ITEM,
        "FilterExpression": TEXTS,
        "ProjectionExpression": TEXTS,
        "ExpressionAttributeNames": NAMES,
        "ExpressionAttributeValues": VALUES,
        "AttributesToGet": ATTRIBUTES,
        "ConditionalOperator": st.sampled_from(["OR", "XOR", None]),
        "Select": st.sampled_from(["COUNT", "ALL_PROJECTED_ATTRIBUTES", "ALL"]),
        "ScanIndexForward": st.sampled_from([False, "no", 3]),
        "KeyConditionExpression": TEXTS,
        "KeyConditions": CONDITIONS,
        "QueryFilter": CONDITIONS,
        "ScanFilter": CONDITIONS,
        "Segment": st.integers(-1, 2),
        "TotalSegments": st.integers(0, 2),
    },
)
READERS: dict[str, tuple[RequestReader[Any, Any], st.SearchStrategy[Any]]] = {
    "PutItem": (PUT, st.builds(lambda item, more: {"TableName": "t.1", "Item": item} | more, ITEM, MORE)),
    "DeleteItem": (DELETE, st.builds(lambda key, more: {"TableName": "t.1", "Key": key} | more, ITEM, MORE)),
    "UpdateItem": (UPDATE, st.builds(lambda key, more: {"TableName": "t.1", "Key": key} | more, ITEM, MORE)),
    "GetItem": (
        GET,
        st.builds(lambda key, shown, more: {"TableName": "t.1", "Key": key} | shown | more, ITEM, PROJECTIONS, MORE),
    ),
    "Scan": (SCAN, st.builds(lambda page, more: page | more, PAGES, MORE)),
    "Query": (QUERY, st.builds(lambda page, more: page | more, PAGES, MORE)),
    "BatchGetItem": (
        BATCH_GET,
        st.builds(
            lambda keys, shown, more: {"RequestItems": {"t.1": {"Keys": keys} | shown | more}},
            st.lists(ITEM, max_size=2),
            PROJECTIONS,
            MORE,
        ),
    ),
    "BatchWriteItem": (
        BATCH_WRITE,
        st.builds(lambda item: {"RequestItems": {"t.1": [{"PutRequest": {"Item": item}}]}}, ITEM),
    ),
}


def outcome(reader: RequestReader[Any, Any], body: bytes, fast: bool) -> tuple[Any, ...]:
    reader._fast = fast
    try:
        request, prepared = reader.read(body)
    except ApiError as error:
        return error.kind, error.message
    finally:
        reader._fast = True
    return request, repr(prepared)


@pytest.mark.parametrize("operation", READERS)
@given(data=st.data())
def test_both_ways_give_the_same_request_or_the_same_error(operation: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(READERS[operation][1])).encode()
    reader, _ = READERS[operation]
    assert outcome(reader, body, fast=True) == outcome(reader, body, fast=False)


@pytest.mark.parametrize("operation", READERS)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(operation: str, data: st.DataObject) -> None:
    body = bytearray(json.dumps(data.draw(READERS[operation][1])).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    reader, _ = READERS[operation]
    in_fast_way = outcome(reader, bytes(body), fast=True)
    if isinstance(in_fast_way[0], str):
        assert in_fast_way == outcome(reader, bytes(body), fast=False)
    else:
        # The fast way leaves a table's name to the lookup: a name that is not found goes the slow way then.
        slow = outcome(reader, bytes(body), fast=False)
        assert slow == in_fast_way or "Member must satisfy regular expression pattern" in slow[1]
