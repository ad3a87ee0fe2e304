"""One request at a time against a server whose state is known: what may never happen, whatever is sent."""

import http.client
import time
from typing import Any, Protocol

from tests.api.conftest import Front
from tests.api.fuzz.answers import check_answer
from tests.api.fuzz.values import GLOBAL_INDEX, INDEXED, KEY_VALUES, LOCAL_INDEX, TABLES

ANSWER_SECONDS_MAX = 60
"""For any request: far more than one takes, so that only a hang reaches it."""
SERVED_WITHOUT_CHANGE = ("Get", "Describe", "List", "Query", "Scan", "BatchGet")
ITEMS: list[dict[str, Any]] = [
    {"a": {"N": "1"}, "l": {"L": [{"N": "1"}, {"S": "x"}]}, "m": {"M": {"a": {"N": "2"}}}, "g": {"N": "1"}},
    {"a": {"S": "x"}, "b": {"SS": ["x", "y"]}, "c": {"NS": ["1", "2"]}, "n": {"NULL": True}},
]

INDEXES = {
    "LocalSecondaryIndexes": [
        {
            "IndexName": LOCAL_INDEX,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "g", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": GLOBAL_INDEX,
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
"""Of the table INDEXED, by its attribute `g`, a number."""


class Target(Protocol):
    """A server under the fuzz. `state` compares equal as long as no table and no item has changed."""

    address: tuple[str, int]

    def state(self) -> Any: ...
    def restore(self, state: Any) -> None: ...


class FrontTarget:
    """The API over a backend in memory, whose state is there to be looked at."""

    def __init__(self, front: Front) -> None:
        self.address = ("127.0.0.1", front.port)
        self._backend = front.backend
        make_tables(front.client())

    def state(self) -> Any:
        return dict(self._backend.tables), {name: dict(rows) for name, rows in self._backend.rows.items()}

    def restore(self, state: Any) -> None:
        tables, rows = state
        self._backend.tables.clear()
        self._backend.tables.update(tables)
        self._backend.rows.clear()
        self._backend.rows.update({name: dict(found) for name, found in rows.items()})


class Trial:
    """Sends requests, each to the same state, over one connection as long as it holds."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._begin = target.state()
        self._connection: http.client.HTTPConnection | None = None
        self.served = 0
        self.refused = 0

    def send(self, operation: str, body: bytes) -> bool:
        """Whether the request was served. Raises AssertionError for a wrong answer, and OSError for none."""
        status, headers, answer = self._exchange(operation, body)
        has_changed = self._target.state() != self._begin
        if has_changed:
            self._target.restore(self._begin)
        is_served = check_answer(operation, status, headers, answer)
        self.served += is_served
        self.refused += not is_served
        if has_changed:
            assert is_served, f"{operation} was refused, and changed something: {answer!r}"
            assert not operation.startswith(SERVED_WITHOUT_CHANGE), f"{operation} changed something"
        return is_served

    def _exchange(self, operation: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._target.address, timeout=ANSWER_SECONDS_MAX)
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        try:
            self._connection.request("POST", "/", body, headers)
            response = self._connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def make_tables(client: Any) -> None:
    """TABLES, with two items each."""
    for name in TABLES:
        make_table(client, name)


def make_table(client: Any, name: str) -> None:
    keys = TABLES[name]
    indexes = INDEXES if name == INDEXED else {}
    defined = keys | ({"g": "N"} if indexes else {})
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in defined.items()],
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, role in zip(keys, ("HASH", "RANGE"), strict=False)],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=name == "kept",
        Tags=[{"Key": "team", "Value": "x"}],
        **indexes,
    )
    while not _is_active(client.describe_table(TableName=name)["Table"]):
        time.sleep(0.05)
    for values, item in zip(zip(*(KEY_VALUES[kind] for kind in keys.values()), strict=False), ITEMS, strict=False):
        key = {key: {kind: value} for (key, kind), value in zip(keys.items(), values, strict=True)}
        client.put_item(TableName=name, Item={**item, **key})


def _is_active(described: dict[str, Any]) -> bool:
    indexes = described.get("GlobalSecondaryIndexes", [])
    return described["TableStatus"] == "ACTIVE" and all(index["IndexStatus"] == "ACTIVE" for index in indexes)
