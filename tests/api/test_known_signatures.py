"""A caller whose signature was right once is known: later requests are checked by digests that are begun already."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keystead_node.api.auth import SignatureV4
from keystead_node.api.digests import SigningKeys, hmac_halves, sha256
from keystead_node.api.gate import signed_request
from keystead_node.api.http_requests import Request, RequestParser

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
SECRETS = {"AKID": "s3cret", "OTHER": "other"}


def request(
    monkeypatch: pytest.MonkeyPatch, body: bytes, at: float = NOW, key_id: str = "AKID", **more: str
) -> Request:
    """As it comes out of the parser, signed by botocore at that time."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(at, UTC))
    headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0", **more}
    made = AWSRequest("POST", "http://here:8000/", headers, body)
    SigV4Auth(Credentials(key_id, SECRETS[key_id]), "dynamodb", "eu-west-2").add_auth(made)
    head = "".join(f"{name}: {value}\r\n" for name, value in made.headers.items())
    parser = RequestParser()
    parser.feed(f"POST / HTTP/1.1\r\nHost: here:8000\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return parser.requests.pop()


@pytest.fixture
def authenticator(monkeypatch: pytest.MonkeyPatch) -> SignatureV4:
    """It knows both callers."""
    found = SignatureV4(lambda: SECRETS, lambda: NOW)
    for key_id in SECRETS:
        first = request(monkeypatch, b"{}", key_id=key_id)
        assert found.known(first) == ""
        assert found(signed_request(first)) == key_id
    return found


@pytest.mark.parametrize("length", [0, 1, 55, 56, 64, 383, 384, 385, 2047, 2048, 400_000])
def test_bodies_of_every_length_are_known(
    monkeypatch: pytest.MonkeyPatch, authenticator: SignatureV4, length: int
) -> None:
    body = b"x" * length
    for _ in range(2):
        assert authenticator.known(request(monkeypatch, body)) == "AKID"
    spoiled = request(monkeypatch, body)
    spoiled.body += b"y"
    assert authenticator.known(spoiled) == ""


def test_each_date_is_known_within_its_day_and_time(
    monkeypatch: pytest.MonkeyPatch, authenticator: SignatureV4
) -> None:
    for seconds in (1, 2, 1, 899, 900, -900):
        assert authenticator.known(request(monkeypatch, b"{}", NOW + seconds)) == "AKID"
    for seconds in (901, -901, 86_400):
        assert authenticator.known(request(monkeypatch, b"{}", NOW + seconds)) == ""


def test_headers_that_change_are_known_and_those_of_another_request_are_not_its_own(
    monkeypatch: pytest.MonkeyPatch, authenticator: SignatureV4
) -> None:
    noted = [request(monkeypatch, b"{}", **{"X-Amz-Note": note}) for note in ("a", "b")]
    assert authenticator(signed_request(noted[0])) == "AKID"
    for one in (*noted, *noted):
        assert authenticator.known(one) == "AKID"
    noted[0].headers[b"x-amz-note"] = b"b"
    assert authenticator.known(noted[0]) == ""
    del noted[1].headers[b"x-amz-note"]
    assert authenticator.known(noted[1]) == ""


def test_two_callers_with_the_same_headers_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, authenticator: SignatureV4
) -> None:
    for _ in range(2):
        for key_id in SECRETS:
            assert authenticator.known(request(monkeypatch, b"{}", key_id=key_id)) == key_id
    mine, other = request(monkeypatch, b"{}"), request(monkeypatch, b"{}", key_id="OTHER")
    signature = other.headers[b"authorization"][-64:]
    mine.headers[b"authorization"] = mine.headers[b"authorization"][:-64] + signature
    assert authenticator.known(mine) == ""


def test_more_dates_than_are_kept_are_all_known(monkeypatch: pytest.MonkeyPatch, authenticator: SignatureV4) -> None:
    for seconds in range(-900, 900):
        assert authenticator.known(request(monkeypatch, b"{}", NOW + seconds)) == "AKID"


def test_digests_are_those_of_the_standard_library() -> None:
    for length in range(0, 600, 7):
        data = bytes(range(256)) * 3
        assert sha256(data[:length]).digest() == hashlib.sha256(data[:length]).digest()
        key = SigningKeys().key("s3cret", "20260131", f"region-{length}")
        inner, outer = hmac_halves(key)
        inner.update(data[:length])
        outer.update(inner.digest())
        assert outer.digest() == hmac.digest(key, data[:length], "sha256")


def test_a_key_longer_than_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than a block"):
        hmac_halves(bytes(65))
