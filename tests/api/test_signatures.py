"""With configured keys, only requests that are signed with one of them are served."""

import hashlib
import http.client
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keystead_node.api.auth import SignatureV4
from tests.api.conftest import Front, create_table

SERVICE = "com.amazon.coral.service#"
BODY = b'{"TableName":"none"}'


@pytest.fixture
def signed_front() -> Iterator[Front]:
    running = Front(SignatureV4(lambda: {"AKID": "s3cret", "OTHER": "other"}, time.time))
    yield running
    running.stop()


def signed(
    front: Front, path: str = "/", key_id: str = "AKID", secret: str = "s3cret", more: dict[str, str] | None = None
) -> dict[str, str]:
    """The headers of a DescribeTable of BODY, signed by botocore."""
    headers = {"X-Amz-Target": "DynamoDB_20120810.DescribeTable", "Content-Type": "application/x-amz-json-1.0"}
    headers |= more or {}
    request = AWSRequest("POST", front.endpoint + path, headers, BODY)
    SigV4Auth(Credentials(key_id, secret), "dynamodb", "eu-west-2").add_auth(request)
    return dict(request.headers.items())


def send(front: Front, headers: dict[str, str], body: bytes = BODY, path: str = "/") -> tuple[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    connection.request("POST", path, body, headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["__type"], answer.get("message", "")


def test_a_request_signed_with_a_known_key_is_served(signed_front: Front) -> None:
    for key_id, secret in (("AKID", "s3cret"), ("OTHER", "other")):
        client = signed_front.client(key_id, secret)
        create_table(client, f"t-{key_id}")
        client.put_item(TableName=f"t-{key_id}", Item={"pk": {"S": "é"}})
        assert client.scan(TableName=f"t-{key_id}")["Count"] == 1


@pytest.mark.parametrize("path", ["/", "/?b=2&a=1&c=a%20b&d="])
def test_every_part_of_a_request_is_signed(signed_front: Front, path: str) -> None:
    headers = signed(signed_front, path)
    assert send(signed_front, headers, path=path)[0].endswith("#ResourceNotFoundException")
    wrong = SERVICE + "InvalidSignatureException"
    assert send(signed_front, headers, BODY + b" ", path=path)[0] == wrong
    assert send(signed_front, headers, path=path + "&x=1" if "?" in path else "/?x=1")[0] == wrong
    assert send(signed_front, headers | {"X-Amz-Target": "DynamoDB_20120810.DeleteTable"}, path=path)[0] == wrong


def test_a_wrong_secret_and_an_unknown_key_are_told_apart(signed_front: Front) -> None:
    for key_id, code in (("AKID", "InvalidSignatureException"), ("NOBODY", "UnrecognizedClientException")):
        client: Any = signed_front.client(key_id, "guess")
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.list_tables()
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert signed_front.backend.tables == {}


def test_a_request_without_a_signature_misses_its_token(signed_front: Front) -> None:
    headers = signed(signed_front)
    for authorization in ({}, {"Authorization": "Bearer x"}):
        bare = {name: value for name, value in headers.items() if name != "Authorization"} | authorization
        assert send(signed_front, bare) == (
            SERVICE + "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        )


@pytest.mark.parametrize(
    ("old", "new", "kind", "message"),
    [
        ("Signature=", "Sig=", "Incomplete", "Authorization header requires 'Signature' parameter. Authorization="),
        ("/eu-west-2/dynamodb/", "/dynamodb/", "Incomplete", "Credential must have exactly 5 slash-delimited"),
        ("/dynamodb/", "/s3/", "Invalid", "Credential should be scoped to correct service: 'dynamodb'. "),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "Incomplete", "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'"),
        ("SignedHeaders=content-type;host;", "SignedHeaders=", "Invalid", "'Host' must be a 'SignedHeader'"),
    ],
)
def test_a_damaged_signature_says_what_is_wrong(
    signed_front: Front, old: str, new: str, kind: str, message: str
) -> None:
    headers = signed(signed_front)
    assert old in headers["Authorization"]
    headers["Authorization"] = headers["Authorization"].replace(old, new, 1)
    got_kind, got_message = send(signed_front, headers)
    assert got_kind == f"{SERVICE}{kind}SignatureException"
    assert got_message.startswith(message)


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", hashlib.sha256(b"other").hexdigest()])
def test_a_digest_that_is_not_the_bodys_is_no_signature(signed_front: Front, claimed: str) -> None:
    right = hashlib.sha256(BODY).hexdigest()
    assert send(signed_front, signed(signed_front, more={"X-Amz-Content-SHA256": right}))[0].endswith(
        "NotFoundException"
    )
    headers = signed(signed_front, more={"X-Amz-Content-SHA256": claimed})
    assert send(signed_front, headers)[0] == SERVICE + "InvalidSignatureException"


def test_temporary_credentials_are_known_to_nobody(signed_front: Front) -> None:
    headers = signed(signed_front, more={"X-Amz-Security-Token": "token"})
    assert send(signed_front, headers)[0] == SERVICE + "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("shift_seconds", "words"),
    [
        (16 * 60, r"expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 15 min\.\)"),
        (-16 * 60, r"not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 15 min\.\)"),
    ],
)
def test_a_signature_is_good_for_a_quarter_of_an_hour(shift_seconds: int, words: str) -> None:
    running = Front(SignatureV4(lambda: {"AKID": "s3cret"}, lambda: time.time() + shift_seconds))
    try:
        kind, message = send(running, signed(running))
    finally:
        running.stop()
    assert kind == SERVICE + "InvalidSignatureException"
    assert re.fullmatch(f"Signature {words}", message), message


INVALID = SERVICE + "InvalidSignatureException"


def served(front: Front, headers: dict[str, str], body: bytes = BODY) -> bool:
    return send(front, headers, body)[0].endswith("#ResourceNotFoundException")


def test_every_part_of_a_request_is_signed_also_by_a_caller_who_is_known(signed_front: Front) -> None:
    headers = signed(signed_front)
    for _ in range(3):
        assert served(signed_front, headers)
    assert send(signed_front, headers, BODY + b" ")[0] == INVALID
    assert send(signed_front, headers | {"X-Amz-Target": "DynamoDB_20120810.DeleteTable"})[0] == INVALID
    assert send(signed_front, headers | {"Host": "elsewhere"})[0] == INVALID
    assert send(signed_front, headers, path="/?x=1")[0] == INVALID
    last = headers["Authorization"][-1]
    forged = headers["Authorization"][:-1] + ("0" if last != "0" else "1")
    assert send(signed_front, headers | {"Authorization": forged})[0] == INVALID
    assert send(signed_front, headers | {"X-Amz-Security-Token": "t"})[0] == SERVICE + "UnrecognizedClientException"
    assert served(signed_front, headers)


def test_a_known_caller_is_refused_once_its_key_is_gone_or_another_or_its_date_is_past() -> None:
    secrets, shift_seconds = {"AKID": "s3cret"}, [0.0]
    front = Front(SignatureV4(lambda: secrets, lambda: time.time() + shift_seconds[0]))
    try:
        headers = signed(front)
        for _ in range(3):
            assert served(front, headers)
        for later in (16 * 60, -16 * 60):
            shift_seconds[0] = later
            assert send(front, headers)[0] == INVALID
        shift_seconds[0] = 0
        secrets["AKID"] = "changed"
        assert send(front, headers)[0] == INVALID
        del secrets["AKID"]
        assert send(front, headers)[0] == SERVICE + "UnrecognizedClientException"
    finally:
        front.stop()


def test_a_known_caller_is_not_served_under_another_ones_head(signed_front: Front) -> None:
    mine, other = signed(signed_front), signed(signed_front, key_id="OTHER", secret="other")
    assert served(signed_front, mine)
    assert served(signed_front, other)
    mixed = other["Authorization"].partition("Signature=")[0] + mine["Authorization"].partition(", Signature=")[2]
    for head in (mixed, mixed.replace(", ", ", Signature=")):
        assert send(signed_front, mine | {"Authorization": head})[0].startswith(SERVICE)


def test_headers_with_spaces_are_signed_without_them_also_by_a_caller_who_is_known(signed_front: Front) -> None:
    spaced = {"X-Amz-Note": "a  b"}
    for _ in range(2):
        assert served(signed_front, signed(signed_front, more=spaced))


def test_no_json_is_said_before_a_wrong_signature_and_after_a_right_one(signed_front: Front) -> None:
    headers = signed(signed_front)
    assert served(signed_front, headers)
    assert send(signed_front, headers, b"{")[0] == SERVICE + "SerializationException"
