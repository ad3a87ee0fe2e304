"""The front speaks HTTP as clients expect it: connections are kept, closed, pipelined and dropped."""

import socket
from typing import Any

import pytest

from tests.api.conftest import Front

BODY = b'{"TableName":"orders","Item":{"pk":{"S":"k"}}}'


def request(version: str = "HTTP/1.1", method: str = "POST", **headers: str) -> bytes:
    lines = [f"{method} / {version}", "Host: x", "Content-Type: application/x-amz-json-1.0"]
    lines += ["X-Amz-Target: DynamoDB_20120810.PutItem", f"Content-Length: {len(BODY)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + BODY


def open_socket(front: Front) -> socket.socket:
    return socket.create_connection(("127.0.0.1", front.port), timeout=10)


def read_answer(stream: Any) -> tuple[int, dict[str, str], bytes]:
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    return status, headers, stream.read(int(headers["Content-Length"]))


def test_a_connection_is_kept_and_its_requests_may_be_pipelined(front: Front, orders: Any) -> None:
    with open_socket(front) as connection, connection.makefile("rb") as stream:
        connection.sendall(request() * 3)
        answers = [read_answer(stream) for _ in range(3)]
        connection.sendall(request())
        answers.append(read_answer(stream))
    assert [(status, body) for status, _, body in answers] == [(200, b"{}")] * 4
    assert len({headers["x-amzn-RequestId"] for _, headers, _ in answers}) == 4
    assert all("Connection" not in headers and headers["Date"].endswith("GMT") for _, headers, _ in answers)
    assert front.backend.writes == 4


@pytest.mark.parametrize(
    ("version", "asked", "answered"),
    [
        ("HTTP/1.1", {"Connection": "close"}, "close"),
        ("HTTP/1.0", {}, "close"),
        ("HTTP/1.0", {"Connection": "keep-alive"}, "keep-alive"),
    ],
)
def test_a_connection_is_closed_or_kept_as_asked(
    front: Front, orders: Any, version: str, asked: dict[str, str], answered: str
) -> None:
    with open_socket(front) as connection, connection.makefile("rb") as stream:
        connection.sendall(request(version, **asked))
        status, headers, _ = read_answer(stream)
        assert (status, headers["Connection"]) == (200, answered)
        if answered == "close":
            assert stream.read() == b""


def test_a_head_request_has_no_body(front: Front) -> None:
    with open_socket(front) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = stream.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n")


def test_a_client_that_leaves_before_its_answer_does_no_harm(front: Front, orders: Any) -> None:
    for _ in range(20):
        with open_socket(front) as connection:
            connection.sendall(request() * 5)
    front.client().list_tables()
    assert front.operations[-1] == ("ListTables", "")


def test_a_large_answer_arrives_whole_at_a_slow_reader(front: Front, orders: Any) -> None:
    for number in range(3):
        orders.put_item(TableName="orders", Item={"pk": {"S": str(number)}, "p": {"S": "x" * 300_000}})
    scan = b'{"TableName":"orders"}'
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.Scan\r\nContent-Length: {len(scan)}\r\n"
    with open_socket(front) as connection, connection.makefile("rb", buffering=512) as stream:
        connection.sendall((head.encode() + b"Content-Type: application/x-amz-json-1.0\r\n\r\n" + scan) * 8)
        bodies = {read_answer(stream)[2] for _ in range(8)}
    assert len(bodies) == 1 and len(bodies.pop()) > 900_000


def test_bytes_that_are_no_http_are_refused(front: Front) -> None:
    with open_socket(front) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"hello\r\n\r\n")
        assert stream.readline().split()[1] == b"400"
    front.client().list_tables()
