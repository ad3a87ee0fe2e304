"""A request may carry its signature in the query string: whoever holds it may send it, until it expires."""

import hashlib
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keystead_node.api.auth import SignatureV4
from tests.api.conftest import Front, create_table

SERVICE = "com.amazon.coral.service#"
BODY = b'{"TableName":"orders","Item":{"pk":{"S":"presigned"}}}'
TARGET = {"X-Amz-Target": "DynamoDB_20120810.PutItem"}
JSON = {"Content-Type": "application/x-amz-json-1.0"}


class QueryAuth(SigV4QueryAuth):
    """botocore's, for a request with a body: its own would move a JSON body into the query string."""

    def payload(self, request: Any) -> str:
        return hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def clock() -> list[float]:
    """What the front adds to the time."""
    return [0.0]


@pytest.fixture
def signed_front(clock: list[float]) -> Iterator[Front]:
    running = Front(SignatureV4(lambda: {"AKID": "s3cret"}, lambda: time.time() + clock[0]))
    create_table(running.client("AKID", "s3cret"), "orders")
    yield running
    running.stop()


def presigned(front: Front, expires: object = 60, headers: dict[str, str] = TARGET, token: str | None = None) -> str:
    request = AWSRequest("POST", f"{front.endpoint}/", dict(headers | JSON))
    QueryAuth(Credentials("AKID", "s3cret", token), "dynamodb", "eu-west-2", expires).add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def send(front: Front, path: str, body: bytes = BODY, headers: dict[str, str] = TARGET) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    connection.request("POST", path, body, headers | JSON)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer.get("__type", ""), answer.get("message", "")


def test_a_presigned_request_is_served_to_whoever_sends_it(signed_front: Front) -> None:
    assert send(signed_front, presigned(signed_front)) == (200, "", "")
    assert list(signed_front.client("AKID", "s3cret").scan(TableName="orders")["Items"]) == [{"pk": {"S": "presigned"}}]


def test_it_may_be_sent_until_it_expires_and_not_a_second_longer(signed_front: Front, clock: list[float]) -> None:
    path = presigned(signed_front, expires=3600)
    for age in (0.0, 3590.0):
        clock[0] = age
        assert send(signed_front, path)[0] == 200
    clock[0] = 3602.0
    status, kind, message = send(signed_front, path)
    assert (status, kind) == (400, SERVICE + "InvalidSignatureException")
    assert message.startswith("Signature expired: 2") and message.endswith(" - 60 min.)")


def test_one_of_the_future_is_not_current_yet(signed_front: Front, clock: list[float]) -> None:
    path = presigned(signed_front, expires=604_800)
    clock[0] = -16 * 60.0
    assert send(signed_front, path)[2].startswith("Signature not yet current: ")


@pytest.mark.parametrize("expires", [0, -1, 604_801, "soon", "", "1e3", 10**40])
def test_it_lives_a_second_to_a_week(signed_front: Front, expires: object) -> None:
    assert send(signed_front, presigned(signed_front, 604_800))[0] == 200
    assert send(signed_front, presigned(signed_front, expires)) == (
        400,
        SERVICE + "IncompleteSignatureException",
        "X-Amz-Expires must be a number of seconds from 1 to 604800",
    )


def test_nothing_of_it_may_be_changed(signed_front: Front) -> None:
    path = presigned(signed_front, expires=60)
    wrong = (400, SERVICE + "InvalidSignatureException")
    assert send(signed_front, path, BODY.replace(b"presigned", b"something"))[:2] == wrong
    assert send(signed_front, path.replace("X-Amz-Expires=60", "X-Amz-Expires=604800"))[:2] == wrong
    assert send(signed_front, path + "&X-Amz-Expires=604800")[:2] == wrong
    other = {"X-Amz-Target": "DynamoDB_20120810.DeleteTable"}
    assert send(signed_front, path, headers=other)[:2] == wrong
    assert "orders" in signed_front.backend.tables


def test_the_operation_has_to_be_signed(signed_front: Front) -> None:
    path = presigned(signed_front, headers={})
    assert send(signed_front, path) == (
        400,
        SERVICE + "InvalidSignatureException",
        "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
    )


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("X-Amz-Algorithm", ["Algorithm", "Credential", "Signature", "SignedHeaders", "Date"]),
        ("X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d", ["SignedHeaders"]),
    ],
)
def test_an_incomplete_one_says_what_is_missing(signed_front: Front, query: str, missing: list[str]) -> None:
    says = "".join(f"AWS query-string parameters must include 'X-Amz-{name}'. " for name in missing)
    assert send(signed_front, f"/?{query}") == (
        400,
        SERVICE + "IncompleteSignatureException",
        says + "Re-examine the query-string parameters.",
    )


def test_without_the_name_of_the_algorithm_there_is_no_signature(signed_front: Front) -> None:
    path = "/?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d"
    assert send(signed_front, path)[1:] == (
        SERVICE + "MissingAuthenticationTokenException",
        "Request is missing Authentication Token",
    )


def test_a_signature_in_both_places_is_refused(signed_front: Front) -> None:
    assert send(signed_front, "/?X-Amz-Algorithm", headers=TARGET | {"Authorization": "X"})[1:] == (
        SERVICE + "InvalidSignatureException",
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    )


def test_strangers_and_temporary_credentials_are_not_recognized(signed_front: Front) -> None:
    path = presigned(signed_front)
    unrecognized = (
        400,
        SERVICE + "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
    assert send(signed_front, path.replace("AKID", "NOBODY")) == unrecognized
    assert send(signed_front, presigned(signed_front, token="token")) == unrecognized
