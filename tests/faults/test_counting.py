"""Counters that many clients increase while masters die: no acknowledged increment is lost, and none counts twice."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from typing import Any

import aiohttp

from tests.faults.cluster import Cluster
from tests.faults.links import Links
from tests.faults.load import CONNECT_SECONDS_MAX, HEADERS, REQUEST_SECONDS_MAX

CLIENTS = 6
KILLS = 2
SECONDS_BETWEEN = 1.5
SERVICE_SECONDS_MAX = 60.0

ADD = "ADD n :one"
CONDITIONAL = "SET n = :new"


class Tally:
    """Clients on one counter. `outcomes`: of increments, by done, refused and unknown; `seen`: what each client was
    answered, in order."""

    def __init__(self, endpoints: list[str], table: str, key: str, update: str) -> None:
        self.endpoints, self.table, self.key, self.update = endpoints, table, {"pk": {"S": key}}, update
        self.outcomes: Counter[str] = Counter()
        self.seen: list[list[int]] = [[] for _ in range(CLIENTS)]
        self.value = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all_clients()), name="tally", daemon=True)
        self.crash: BaseException | None = None

    def __enter__(self) -> "Tally":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(SERVICE_SECONDS_MAX + 10)
        assert not self._thread.is_alive(), "a client does not stop"
        if self.crash is not None:
            raise self.crash

    async def _all_clients(self) -> None:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX, sock_connect=CONNECT_SECONDS_MAX)
        try:
            async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
                async with asyncio.TaskGroup() as group:
                    for number in range(CLIENTS):
                        group.create_task(self._client(session, number))
                self.value = await self._read_back(session)
        except BaseException as problem:
            self.crash = problem

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        rng = random.Random(number)
        believed = 0
        while not self._stop.is_set():
            endpoint = rng.choice(self.endpoints)
            outcome, found = await self._call(session, endpoint, "UpdateItem", self._increment(believed))
            self.outcomes[outcome] += 1
            value = int(found["n"]["N"]) if "n" in found else 0
            if outcome == "done":
                self.seen[number].append(value)
            believed = value if outcome in ("done", "condition") else believed
            await asyncio.sleep(rng.random() * (0.1 if outcome == "unknown" else 0.01))

    def _increment(self, believed: int) -> dict[str, Any]:
        body: dict[str, Any] = {"Key": self.key, "UpdateExpression": self.update, "ReturnValues": "UPDATED_NEW"}
        if self.update == ADD:
            return body | {"ExpressionAttributeValues": {":one": {"N": "1"}}}
        values = {":new": {"N": str(believed + 1)}, ":old": {"N": str(believed)}}
        absent = "attribute_not_exists(pk) OR " if believed == 0 else ""
        return body | {
            "ConditionExpression": f"{absent}n = :old",
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    async def _call(
        self, session: aiohttp.ClientSession, endpoint: str, operation: str, body: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        data = json.dumps({"TableName": self.table, **body})
        try:
            async with session.post(endpoint, data=data, headers=headers) as answer:
                found: dict[str, Any] = json.loads(await answer.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return "refused", {}
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return "unknown", {}
        if answer.status == 200:
            return "done", found.get("Attributes") or found.get("Item") or {}
        kind = str(found.get("__type", "")).rpartition("#")[2]
        assert kind != "ValidationException", found
        if kind == "ConditionalCheckFailedException":
            return "condition", found.get("Item") or {}
        return ("refused" if answer.status in (400, 503) else "unknown"), {}

    async def _read_back(self, session: aiohttp.ClientSession) -> int:
        deadline = time.monotonic() + SERVICE_SECONDS_MAX
        while time.monotonic() < deadline:
            outcome, item = await self._call(
                session, self.endpoints[0], "GetItem", {"Key": self.key, "ConsistentRead": True}
            )
            if outcome == "done":
                return int(item["n"]["N"])
            await asyncio.sleep(0.1)
        raise AssertionError("the counter cannot be read")

    def check(self) -> None:
        done, unknown = self.outcomes["done"], self.outcomes["unknown"]
        assert done > 0, f"nothing was counted: {self.outcomes}"
        assert done <= self.value <= done + unknown, f"{self.value} after {self.outcomes}"
        answered = [value for client in self.seen for value in client]
        assert len(set(answered)) == len(answered), "two increments were answered with the same value"
        assert all(client == sorted(client) for client in self.seen), "a client saw the counter go back"
        assert max(answered) <= self.value


def count_while_masters_die(cluster: Cluster, table: str, update: str) -> None:
    with Tally(cluster.endpoints(), table, f"counter {update}", update) as tally:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN)
            for name in dict.fromkeys(cluster.masters(table)):
                cluster.kill_and_wait_for_restart(name)
            cluster.wait_until(f"{table} is level", lambda: cluster.all_level(table), 60)
        time.sleep(SECONDS_BETWEEN)
    print(f"\n{update}: {tally.value} after {dict(tally.outcomes)}")
    tally.check()


def test_additions_are_neither_lost_nor_counted_twice(cluster: Cluster, links: Links, table: str) -> None:
    count_while_masters_die(cluster, table, ADD)


def test_conditional_writes_are_neither_lost_nor_done_twice(cluster: Cluster, links: Links, table: str) -> None:
    count_while_masters_die(cluster, table, CONDITIONAL)
