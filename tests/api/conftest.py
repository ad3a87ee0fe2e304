"""A real server on loopback over a backend in memory, and real boto3 clients."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config

from keystead_node.api.app import make_handler
from keystead_node.api.audit import Audit
from keystead_node.api.auth import Authenticator
from keystead_node.api.gate import Gate
from keystead_node.api.http_server import HttpServer
from keystead_node.api.permissions import Policies
from tests.api.memory_backend import MemoryBackend


class Front:
    """A running front. `operations`: what the metrics hook was told, as (operation, error kind)."""

    def __init__(
        self, auth: Authenticator | None = None, policies: Policies | None = None, audit: Audit | None = None
    ) -> None:
        self.backend = MemoryBackend()
        self.operations: list[tuple[str, str]] = []
        self._gate = Gate(auth, policies) if auth is not None else None
        self._audit = audit
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    async def _start(self) -> int:
        note = lambda name, kind, _: self.operations.append((name, kind))  # noqa: E731
        handler = make_handler(self.backend, self._gate, note, self._audit)
        self._server = HttpServer(handler)
        self._listener = await self._loop.create_server(self._server, "127.0.0.1", 0)
        return int(self._listener.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._listener.close()
        await self._server.close(5.0)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def client(self, key_id: str = "any", secret: str = "any", attempts: int = 1, validate: bool = False) -> Any:
        """`validate`: let boto3 check parameters before it sends them."""
        return boto3.client(
            "dynamodb",
            endpoint_url=self.endpoint,
            region_name="eu-west-2",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(parameter_validation=validate, retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    def resource(self) -> Any:
        """boto3's other interface, of tables and Python values."""
        return boto3.resource(
            "dynamodb",
            endpoint_url=self.endpoint,
            region_name="eu-west-2",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )


@pytest.fixture
def front() -> Iterator[Front]:
    running = Front()
    yield running
    running.stop()


@pytest.fixture
def dynamodb(front: Front) -> Any:
    return front.client()


def create_table(client: Any, name: str, hash_type: str = "S", range_type: str | None = None, **more: Any) -> Any:
    definitions = [{"AttributeName": "pk", "AttributeType": hash_type}]
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}]
    if range_type is not None:
        definitions.append({"AttributeName": "sk", "AttributeType": range_type})
        schema.append({"AttributeName": "sk", "KeyType": "RANGE"})
    return client.create_table(
        TableName=name, AttributeDefinitions=definitions, KeySchema=schema, BillingMode="PAY_PER_REQUEST", **more
    )


@pytest.fixture
def orders(dynamodb: Any) -> Any:
    """The client, with a table `orders` of a string hash key `pk`, and `lines` with a number range key `sk` too."""
    create_table(dynamodb, "orders")
    create_table(dynamodb, "lines", "S", "N")
    return dynamodb


def stored_json(front: Front, table: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(value[1:]) for value in front.backend.rows[table].values()]
