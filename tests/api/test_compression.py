"""Bodies may travel as gzip: requests that say so, and answers to clients that ask for it."""

import gzip
import http.client
import json
import time
import zlib
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keystead_node.api.auth import SignatureV4
from keystead_node.api.compression import takes_gzip
from keystead_node.api.http_requests import BODY_BYTES_MAX
from tests.api.conftest import Front, create_table

SERIALIZATION = "com.amazon.coral.service#SerializationException"


def ask(
    front: Front, operation: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    common = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
    connection.request("POST", "/", body, common | (headers or {}))
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert int(str(response.headers["x-amz-crc32"])) == zlib.crc32(content)
    return response.status, response.headers, content


def put(pk: str, size: int = 10) -> bytes:
    return json.dumps({"TableName": "orders", "Item": {"pk": {"S": pk}, "v": {"S": "x" * size}}}).encode()


GZIP = {"Content-Encoding": "gzip"}


def test_a_compressed_request_is_served(front: Front, orders: Any) -> None:
    assert ask(front, "PutItem", gzip.compress(put("packed")), GZIP)[0] == 200
    assert ask(front, "PutItem", gzip.compress(put("packed 2")), {"Content-Encoding": " GZip "})[0] == 200
    found = {item["pk"]["S"] for item in orders.scan(TableName="orders")["Items"]}
    assert found == {"packed", "packed 2"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", None),
        (b"{}", "The request body is not valid gzip"),
        (gzip.compress(put("a"))[:-4], "The request body ends within its gzip data, or goes on behind it"),
        (gzip.compress(put("a")) + b"more", "The request body ends within its gzip data, or goes on behind it"),
        (gzip.compress(put("a"))[:-8] + b"12345678", "The request body is not valid gzip"),
        (gzip.compress(b"no JSON"), None),
        (
            gzip.compress(b" " * (BODY_BYTES_MAX + 1)),
            f"The request body has more than {BODY_BYTES_MAX} bytes when it is decompressed",
        ),
    ],
    ids=["empty", "plain", "cut", "longer", "checksum", "text", "bomb"],
)
def test_what_is_no_compressed_request_is_a_serialization_exception(
    front: Front, orders: Any, body: bytes, message: str | None
) -> None:
    status, _, content = ask(front, "PutItem", body, GZIP)
    answer = json.loads(content)
    assert status == 400 and answer["__type"] == SERIALIZATION
    if body:
        assert answer.get("Message") == message
    assert orders.scan(TableName="orders")["Count"] == 0


def test_the_signature_is_of_the_bytes_as_they_are_sent() -> None:
    front = Front(SignatureV4(lambda: {"AKID": "s3cret"}, time.time))
    try:
        create_table(front.client("AKID", "s3cret"), "orders")
        body = gzip.compress(put("packed"))
        headers = {"X-Amz-Target": "DynamoDB_20120810.PutItem", "Content-Type": "application/x-amz-json-1.0", **GZIP}
        request = AWSRequest("POST", f"{front.endpoint}/", headers, body)
        SigV4Auth(Credentials("AKID", "s3cret"), "dynamodb", "eu-west-2").add_auth(request)
        signed = dict(request.headers.items())
        assert ask(front, "PutItem", body, signed)[0] == 200
        _, _, content = ask(front, "PutItem", gzip.compress(put("other")), signed)
        assert b"#InvalidSignatureException" in content
        # Who cannot sign gets nothing decompressed: the answer is about the signature.
        bomb = gzip.compress(b" " * (BODY_BYTES_MAX + 1))
        assert b"#MissingAuthenticationTokenException" in ask(front, "PutItem", bomb, GZIP)[2]
    finally:
        front.stop()


@pytest.mark.parametrize("size", [2_000, 300_000])
def test_a_large_answer_is_compressed_for_who_asks(front: Front, orders: Any, size: int) -> None:
    orders.put_item(TableName="orders", Item={"pk": {"S": "1"}, "v": {"S": "x" * size}})
    asked = b'{"TableName":"orders","Key":{"pk":{"S":"1"}}}'
    _, plain_headers, plain = ask(front, "GetItem", asked, {"Accept-Encoding": "identity"})
    assert plain_headers["Content-Encoding"] is None and len(plain) > size
    status, headers, packed = ask(front, "GetItem", asked, {"Accept-Encoding": "deflate, gzip;q=0.5"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert len(packed) < len(plain) // 10 and gzip.decompress(packed) == plain
    assert ask(front, "GetItem", asked)[2] == plain


def test_a_small_answer_is_left_as_it_is(front: Front, orders: Any) -> None:
    _, headers, content = ask(front, "ListTables", b"{}", {"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] is None and json.loads(content)["TableNames"] == ["lines", "orders"]


def test_boto3_gets_what_it_asks_for(front: Front, orders: Any) -> None:
    """It asks for identity."""
    orders.put_item(TableName="orders", Item={"pk": {"S": "1"}, "v": {"S": "x" * 5000}})
    seen = []
    orders.meta.events.register("after-call.dynamodb", lambda http_response, **_: seen.append(http_response.headers))
    assert len(orders.get_item(TableName="orders", Key={"pk": {"S": "1"}})["Item"]["v"]["S"]) == 5000
    assert "content-encoding" not in {name.lower() for name in seen[0]}


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        (b"gzip", True),
        (b"GZIP ;q=1.0", True),
        (b"br, gzip", True),
        (b"identity", False),
        (b"", False),
        (b"*", False),
        (b"gzip; q=0", False),
        (b"gzip;q=0.000, identity", False),
        (b"x-gzipped", False),
    ],
)
def test_gzip_is_taken_by_who_names_it_and_gives_it_a_weight(header: bytes, takes: bool) -> None:
    assert takes_gzip(header) is takes
