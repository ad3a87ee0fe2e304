"""What the DynamoDB front itself costs: PutItem and GetItem of 1 KiB items, and Query of 100 such, over a backend that
does nothing.

    python benchmarks/api_handler.py [--requests 20000] [--profile FILE]

Microseconds of one core per request, in layers: the action alone (decode, check, encode, key); the handler without a
server; the same where requests are signed and their signatures checked, and where the key has a policy besides; the
whole front behind 16 keep-alive connections from a client in another process; and for comparison, on the same
connections, the same handler behind aiohttp's low-level server, and a bare asyncio protocol that answers fixed bytes,
which is what the sockets themselves cost.
"""

import argparse
import asyncio
import cProfile
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvloop
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keystead_core.access_policy import parse_policy
from keystead_core.cluster_map import KeyAttribute, TableDefinition
from keystead_node.api.actions import ACTIONS
from keystead_node.api.app import make_handler
from keystead_node.api.auth import SignatureV4
from keystead_node.api.context import Context
from keystead_node.api.gate import Gate
from keystead_node.api.http_requests import Request
from keystead_node.api.http_server import Handler, HttpServer
from keystead_node.api.permissions import KeyPolicy

TABLE = TableDefinition(
    name="orders",
    table_id="t",
    hash_key=KeyAttribute("id", "S"),
    range_key=None,
    partitions=1,
    replicas=3,
    write_quorum=0,
    durable_zones=1,
    created_at=0.0,
    status="ACTIVE",
)
ITEM = {"id": {"S": "order-000001"}, "amount": {"N": "42"}, "payload": {"S": "x" * 1000}}
BODIES = {
    "PutItem": msgspec.json.encode({"TableName": "orders", "Item": ITEM}),
    "GetItem": msgspec.json.encode({"TableName": "orders", "Key": {"id": ITEM["id"]}, "ConsistentRead": True}),
    "Query": msgspec.json.encode(
        {
            "TableName": "orders",
            "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": ITEM["id"]},
            "Limit": 100,
        }
    ),
}
ROW = b"\x01" + msgspec.json.encode(ITEM)
CONNECTIONS = 16
SECRET = "0123456789abcdef0123456789abcdef"
POLICY = b"""{"Statement": [
  {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "arn:aws:dynamodb:*:*:table/ord*"},
  {"Effect": "Deny", "Action": "dynamodb:DeleteTable", "Resource": "*"}
]}"""


class NullBackend:
    """Takes everything, keeps nothing."""

    def table(self, name: str) -> TableDefinition | None:
        return TABLE

    async def write(self, *_: Any) -> bytes | None:
        return None

    async def read(self, *_: Any) -> bytes | None:
        return ROW

    async def scan(self, *_: Any) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        return [(b"", ROW)] * 100, b""


def signed(operation: str, key_id: str) -> Request:
    """A request as a client with an access key sends it."""
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", "http://127.0.0.1:8000/", headers, BODIES[operation])
    SigV4Auth(Credentials(key_id, SECRET), "dynamodb", "eu-west-2").add_auth(request)
    found = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    return Request(b"POST", b"/", found | {b"host": b"127.0.0.1:8000"}, BODIES[operation], True, b"")


async def time_calls(call: Callable[[], Awaitable[Any]], count: int) -> float:
    """Microseconds of this process's CPU per call."""
    started = time.process_time()
    for _ in range(count):
        await call()
    return (time.process_time() - started) / count * 1e6


def raw_request(port: int, operation: str) -> bytes:
    body = BODIES[operation]
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: DynamoDB_20120810.{operation}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(port: int, operation: str, count: int) -> None:
    """Sends `count` requests over all connections together."""
    message = raw_request(port, operation)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // CONNECTIONS):
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))


def run_load(port: int, operation: str, count: int) -> None:
    uvloop.run(load(port, operation, count))


class FixedAnswer(asyncio.Protocol):
    """Answers whatever arrives in one piece."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def behind_aiohttp(handler: Handler) -> web.Server:
    """What the front would be with a library in the place of its own server."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
        body = await request.read()
        answer = await handler(Request(request.method.encode(), b"/", headers, body, True, b""))
        lines = [line.split(": ", 1) for line in answer.headers.decode().splitlines()]
        return web.Response(status=answer.status, body=answer.body, headers=dict(lines))

    return web.Server(handle, access_log=None)


async def listen(protocol: Any) -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def time_server(port: int, operation: str, count: int) -> float:
    """Microseconds of this process's CPU per request, its share of the kernel's included."""
    process = multiprocessing.get_context("spawn").Process(target=run_load, args=(port, operation, count))
    started = time.process_time()
    process.start()
    while process.is_alive():
        await asyncio.sleep(0.02)
    assert process.exitcode == 0, "the client failed"
    return (time.process_time() - started) / count * 1e6


async def measure(count: int) -> None:
    backend: Any = NullBackend()
    handler = make_handler(backend)
    signature = SignatureV4(lambda: {"BENCH": SECRET, "LIMITED": SECRET}, time.time)
    policies = {"LIMITED": KeyPolicy(parse_policy(POLICY, ACTIONS))}
    checking = make_handler(backend, Gate(signature, lambda: policies))
    listeners = [await listen(protocol) for protocol in (HttpServer(handler), behind_aiohttp(handler), FixedAnswer)]
    front_port, aiohttp_port, fixed_port = (port for _, port in listeners)
    for operation, body in BODIES.items():
        action = ACTIONS[operation]
        context = Context(backend)
        headers = {
            b"x-amz-target": f"DynamoDB_20120810.{operation}".encode(),
            b"content-type": b"application/x-amz-json-1.0",
        }
        request = Request(b"POST", b"/", headers, body, True, b"")
        by_key, limited = signed(operation, "BENCH"), signed(operation, "LIMITED")
        assert (await checking(by_key)).status == (await checking(limited)).status == 200
        layers = {
            "action": await time_calls(lambda: action(context, body), count),  # noqa: B023
            "handler": await time_calls(lambda: handler(request), count),  # noqa: B023
            "handler of signed requests": await time_calls(lambda: checking(by_key), count),  # noqa: B023
            "and of a key with a policy": await time_calls(lambda: checking(limited), count),  # noqa: B023
            "front": await time_server(front_port, operation, count),
            "front behind aiohttp": await time_server(aiohttp_port, operation, count),
            "sockets alone": await time_server(fixed_port, operation, count),
        }
        print(f"{operation}: " + ", ".join(f"{layer} {cost:.1f} us" for layer, cost in layers.items()))
    for listener, _ in listeners:
        listener.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--profile", help="write cProfile statistics of the server's process to this file")
    arguments = parser.parse_args()
    if arguments.profile:
        with cProfile.Profile() as profile:
            uvloop.run(measure(arguments.requests))
        profile.dump_stats(arguments.profile)
    else:
        uvloop.run(measure(arguments.requests))


if __name__ == "__main__":
    main()
