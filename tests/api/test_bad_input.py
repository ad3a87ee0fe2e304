"""Bad input gets the real service's type, status and wording, and writes nothing."""

import http.client
import json
import zlib
from typing import Any

import pytest

from tests.api.conftest import Front, stored_json

VALIDATION = "com.amazon.coral.validate#ValidationException"
SERIALIZATION = "com.amazon.coral.service#SerializationException"
NOT_FOUND = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
UNKNOWN = "com.amazon.coral.service#UnknownOperationException"
MANY_DIGITS = "Attempting to store more than 38 significant digits in a Number"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def send(
    front: Front, body: str | bytes, operation: str = "PutItem", method: str = "POST", **headers: str | None
) -> Answer:
    sent: dict[str, str | None] = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    data = body.encode() if isinstance(body, str) else body
    connection.request(method, "/", data, {name: value for name, value in sent.items() if value is not None})
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def put(item: Any, **more: Any) -> str:
    return json.dumps({"TableName": "orders", "Item": item} | more)


def keyed(**attributes: Any) -> str:
    return put({"pk": {"S": "k"}} | attributes)


def nested(levels: int) -> str:
    return '{"M":{"a":' * levels + '{"S":"x"}' + "}}" * levels


def assert_refused(answer: Answer, kind: str, message: str | None) -> None:
    member = "Message" if kind == SERIALIZATION else "message"
    expected = {"__type": kind} | ({} if message is None else {member: message})
    assert (answer.status, json.loads(answer.body)) == (400, expected)
    assert answer.headers["x-amz-crc32"] == str(zlib.crc32(answer.body))
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert len(answer.headers["x-amzn-RequestId"]) == 52


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", None),
        ("{", None),
        ('{"TableName":"orders"', None),
        (b'{"TableName":"\xff"}', None),
        ('{"TableName":"orders","Item":{"pk":{"S":"\\ud800"}}}', None),
        ("[]", "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.PutItemInput"),
        ('"x"', "Unexpected value type in payload"),
        ('{"TableName":5}', "NUMBER_VALUE cannot be converted to String"),
        ('{"TableName":5.5}', "DECIMAL_VALUE cannot be converted to String"),
        ('{"TableName":true}', "TRUE_VALUE cannot be converted to String"),
        ('{"TableName":[]}', "Unrecognized collection type class java.lang.String"),
        ('{"TableName":{}}', "Start of structure or map found where not expected"),
        ('{"TableName":"orders","Item":5}', "Unexpected field type"),
        (
            '{"TableName":"orders","Item":[]}',
            "Unrecognized collection type java.util.Map<java.lang.String, "
            "com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ),
        (put({"pk": "k"}), "Unexpected value type in payload"),
        (
            put({"pk": ["k"]}),
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
        ),
        (put({"pk": {"S": 5}}), "NUMBER_VALUE cannot be converted to String"),
        (keyed(a={"N": 5}), "NUMBER_VALUE cannot be converted to String"),
        (keyed(a={"BOOL": "maybe"}), "Unexpected token received from parser"),
        (keyed(a={"BOOL": 1}), "NUMBER_VALUE cannot be converted to Boolean"),
        (keyed(a={"B": 5}), "only base-64-encoded strings are convertible to bytes"),
        (keyed(a={"B": "abc"}), "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        (keyed(a={"B": "AB=="}), "Invalid last non-pad Base64 character dectected"),
        (keyed(a={"SS": "x"}), "Unexpected field type"),
        (keyed(a={"L": {}}), "Start of structure or map found where not expected"),
        (keyed(a={"L": ["x"]}), "Unexpected value type in payload"),
        (keyed(a={"M": {"b": 1}}), "Unexpected value type in payload"),
    ],
)
def test_what_is_no_json_or_of_the_wrong_type_is_a_serialization_error(
    front: Front, orders: Any, body: str | bytes, message: str | None
) -> None:
    assert_refused(send(front, body), SERIALIZATION, message)
    assert front.backend.writes == 0


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("Scan", {"Limit": 2**31}, "NUMBER_VALUE cannot be converted to Integer"),
        ("Scan", {"Limit": 10**30}, "NUMBER_VALUE cannot be converted to Integer"),
        ("Query", {"Limit": -(2**31) - 1}, "NUMBER_VALUE cannot be converted to Integer"),
        ("Scan", {"Segment": 1, "TotalSegments": 2**31}, "NUMBER_VALUE cannot be converted to Integer"),
        ("UpdateTable", {"WarmThroughput": {"ReadUnitsPerSecond": 2**63}}, "NUMBER_VALUE cannot be converted to Long"),
        ("UpdateTable", {"WarmThroughput": {"WriteUnitsPerSecond": 1e300}}, "NUMBER_VALUE cannot be converted to Long"),
        ("ListTables", {"Limit": 1e300}, "NUMBER_VALUE cannot be converted to Integer"),
    ],
)
def test_a_number_that_is_too_large_for_its_type_is_a_serialization_error(
    front: Front, orders: Any, operation: str, members: dict[str, Any], message: str
) -> None:
    body = json.dumps({"TableName": "orders"} | members)
    assert_refused(send(front, body, operation), SERIALIZATION, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "{}",
            "2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be "
            "null; Value null at 'item' failed to satisfy constraint: Member must not be null",
        ),
        (
            '{"TableName":"ab","Item":{}}',
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have "
            "length greater than or equal to 3",
        ),
        (
            '{"TableName":"bad table!@#","Item":{}}',
            "1 validation error detected: Value 'bad table!@#' at 'tableName' failed to satisfy constraint: Member "
            "must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            '{"TableName":"' + "a" * 256 + '","Item":{}}',
            f"1 validation error detected: Value '{'a' * 256}' at 'tableName' failed to satisfy constraint: Member "
            "must have length less than or equal to 255",
        ),
        (
            put({}, ReturnValues="SOME", ReturnConsumedCapacity="ALL"),
            "2 validation errors detected: Value 'SOME' at 'returnValues' failed to satisfy constraint: Member must "
            "satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]; Value 'ALL' at "
            "'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, "
            "TOTAL, NONE]",
        ),
        (keyed(a={"N": "1" * 39}), MANY_DIGITS),
        (put({"pk": {"S": "k"}}, ReturnValues="ALL_NEW"), "ReturnValues can only be ALL_OLD or NONE"),
        (put({}), "One or more parameter values were invalid: Missing the key pk in the item"),
        (
            put({"pk": {"N": "5"}}),
            "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N",
        ),
        (
            put({"pk": {"S": ""}}),
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            "empty string value. Key: pk",
        ),
        (
            put({"pk": {"S": "k" * 2049}}),
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 "
            "bytes",
        ),
        (keyed(a={"S": "x" * 409_600}), "Item size has exceeded the maximum allowed size"),
        (keyed(a={"N": ""}), "The parameter cannot be converted to a numeric value"),
        (keyed(a={"N": "abc"}), "The parameter cannot be converted to a numeric value: abc"),
        (keyed(a={"NS": ["1", "1.0"]}), "Input collection contains duplicates"),
        (
            keyed(a=None),
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            keyed(a={"X": "unknown"}),
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            keyed(a={"SS": [None]}),
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            '{"TableName":"orders","Item":{"pk":{"S":"k"},"a":' + nested(32) + "}}",
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
            "supported limit",
        ),
        (
            '{"TableName":"orders","Item":{"pk":{"S":"k"},"a":' + nested(100_000) + "}}",
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
            "supported limit",
        ),
    ],
)
def test_what_breaks_a_rule_is_a_validation_error(front: Front, orders: Any, body: str, message: str) -> None:
    assert_refused(send(front, body), VALIDATION, message)
    assert front.backend.writes == 0


def test_names_for_expressions_need_an_expression(front: Front, orders: Any) -> None:
    answer = send(front, put({"pk": {"S": "k"}}, ExpressionAttributeNames={"#a": "a"}))
    assert_refused(answer, VALIDATION, "ExpressionAttributeNames can only be specified when using expressions")


@pytest.mark.parametrize("operation", ["GetItem", "DeleteItem"])
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({}, "The provided key element does not match the schema"),
        ({"pk": {"N": "1"}}, "The provided key element does not match the schema"),
        ({"pk": {"S": "k"}, "sk": {"S": "k"}}, "The provided key element does not match the schema"),
        (
            {"pk": {"S": ""}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            "empty string value. Key: pk",
        ),
        (
            {"pk": {"S": "k" * 2049}},
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 "
            "bytes",
        ),
    ],
)
def test_a_bad_key_is_a_validation_error(
    front: Front, orders: Any, operation: str, key: dict[str, Any], message: str
) -> None:
    answer = send(front, json.dumps({"TableName": "orders", "Key": key}), operation)
    assert_refused(answer, VALIDATION, message)


def test_a_range_key_of_more_than_1024_bytes_is_refused(front: Front, orders: Any) -> None:
    orders.create_table(
        TableName="texts",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"pk": {"S": "k"}, "sk": {"S": "x" * 1025}}
    assert_refused(
        send(front, json.dumps({"TableName": "texts", "Item": item})),
        VALIDATION,
        "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of "
        "1024 bytes",
    )


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("PutItem", {"TableName": "none", "Item": {}}),
        ("GetItem", {"TableName": "none", "Key": {"pk": {"S": "k"}}}),
        ("DeleteItem", {"TableName": "none", "Key": {"pk": {"S": "k"}}}),
        ("Scan", {"TableName": "none"}),
    ],
)
def test_an_unknown_table_is_not_found(front: Front, operation: str, body: dict[str, Any]) -> None:
    assert_refused(send(front, json.dumps(body), operation), NOT_FOUND, "Requested resource not found")


def test_duplicate_members_white_space_and_unknown_members_are_not_stored(front: Front, orders: Any) -> None:
    body = '{ "TableName" : "orders", "Huh": 1, "Item" : { "pk": {"S":"first"}, "pk": {"S":"last", "Y": 1} } }'
    assert send(front, body).status == 200
    assert list(front.backend.rows["orders"].values()) == [b'\x01{"pk":{"S":"last"}}']


def test_values_that_the_service_converts_are_converted(front: Front, orders: Any) -> None:
    body = keyed(a={"BOOL": "yes"}, b={"NULL": False}, c={"S": "x", "N": None}, d={"N": "+01.50E1"})
    assert send(front, body).status == 200
    assert stored_json(front, "orders") == [
        {"pk": {"S": "k"}, "a": {"BOOL": True}, "b": {"NULL": True}, "c": {"S": "x"}, "d": {"N": "15"}}
    ]


@pytest.mark.parametrize(
    "target",
    [None, "", "PutItem", "DynamoDB_20120810.Nothing", "DynamoDB_20120810.CreateBackup", "Other.PutItem"],
)
def test_an_operation_that_is_not_served_is_unknown(front: Front, target: str | None) -> None:
    assert_refused(send(front, "{}", X_Amz_Target=target), UNKNOWN, None)


def test_bad_json_is_found_before_an_unknown_operation(front: Front) -> None:
    assert_refused(send(front, "{", "Nothing"), SERIALIZATION, None)


def test_a_get_says_healthy(front: Front) -> None:
    answer = send(front, b"", method="GET")
    assert answer.status == 200
    assert answer.body == f"healthy: 127.0.0.1:{front.port} ".encode()
    assert answer.headers["x-amz-crc32"] == str(zlib.crc32(answer.body))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_unknown(front: Front, method: str) -> None:
    answer = send(front, b"{}", method=method)
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


def test_a_body_that_does_not_say_it_is_json_is_unknown(front: Front, orders: Any) -> None:
    answer = send(front, put({"pk": {"S": "k"}}), Content_Type="text/plain")
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
    assert front.backend.writes == 0


def test_plain_json_is_taken_and_answered_in_kind(front: Front, orders: Any) -> None:
    answer = send(front, put({"pk": {"S": "k"}}), Content_Type="application/json; charset=utf-8")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")


def test_a_request_of_more_than_sixteen_megabytes_is_too_large(front: Front, orders: Any) -> None:
    answer = send(front, keyed(a={"S": "x" * (16 * 1024 * 1024)}))
    assert answer.status == 413
    assert front.backend.writes == 0


def test_a_bug_behind_the_front_costs_one_request_an_error(front: Front, orders: Any) -> None:
    front.backend.rows["orders"] = None  # type: ignore[assignment]
    answer = send(front, put({"pk": {"S": "k"}}))
    assert answer.status == 500
    assert json.loads(answer.body) == {
        "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
        "message": "Internal server error",
    }
    assert send(front, "{}", "ListTables").status == 200


def test_a_row_of_a_newer_format_is_an_error_and_no_wrong_answer(front: Front, orders: Any) -> None:
    assert send(front, put({"pk": {"S": "k"}})).status == 200
    rows = front.backend.rows["orders"]
    rows[next(iter(rows))] = b'\x02{"pk":{"S":"k"}}'
    answer = send(front, '{"TableName":"orders","Key":{"pk":{"S":"k"}}}', "GetItem")
    assert answer.status == 500
