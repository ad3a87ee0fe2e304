"""Clients that read and write a few keys without a pause, and write down what they saw.

Each key has one or more writers (a value is written once in a run, so that a read tells which write it saw) and
readers, consistent and eventually consistent ones. They go round over all nodes. Times are monotonic nanoseconds.
"""

import asyncio
import itertools
import json
import random
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.histories.eventual import check_eventual_reads
from tests.histories.operations import Kind, Operation, Outcome, Value
from tests.histories.register import check_registers

HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "0" * 64,
}
REQUEST_SECONDS_MAX = 1.0
"""Short, so that a client which asked a frozen node soon asks another: the gaps measured are the cluster's."""
CONNECT_SECONDS_MAX = 0.4
_runs = itertools.count(1)


class Load:
    """`with Load(endpoints, "table") as load: ...` runs clients meanwhile; `load.history` is what they saw.

    `pause_ms`: what a client waits after each request, on average. `name`: of the run, part of its keys and values; no
    two runs on a table may share one. `trust`: whom to believe where endpoints are https. `request_seconds_max`: longer
    where nodes are not to die, so that what fails is the answer of one, and not the patience of a client.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        table: str,
        keys: int = 6,
        writers: int = 2,
        readers: int = 2,
        pause_ms: float = 5.0,
        deletes: bool = True,
        value_bytes: int = 100,
        name: str = "",
        trust: ssl.SSLContext | None = None,
        request_seconds_max: float = REQUEST_SECONDS_MAX,
    ) -> None:
        self.endpoints = list(endpoints)
        self.table = table
        self.run = name or f"run{next(_runs)}"
        self.keys = [f"{self.run}-key{number}" for number in range(keys)]
        self.trust = trust
        self.history: list[Operation] = []
        self.errors: defaultdict[str, int] = defaultdict(int)
        self._writers, self._readers, self._pause_ms, self._deletes = writers, readers, pause_ms, deletes
        self._padding = "x" * value_bytes
        self._values: dict[str, str] = {}
        self._request_seconds_max = request_seconds_max
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all_clients()), name="load", daemon=True)
        self.crash: BaseException | None = None

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(self._request_seconds_max + 10)
        assert not self._thread.is_alive(), "a client does not stop"
        if self.crash is not None:
            raise self.crash

    async def _all_clients(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._request_seconds_max, sock_connect=CONNECT_SECONDS_MAX)
        # A name is looked up once: what is measured is the store, not the name service.
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=None)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
                asyncio.TaskGroup() as group,
            ):
                for key, number in itertools.product(self.keys, range(self._writers)):
                    group.create_task(self._client(session, key, f"w{number}-{key}", writes=True))
                for key, number in itertools.product(self.keys, range(self._readers)):
                    group.create_task(self._client(session, key, f"r{number}-{key}", writes=False))
        except BaseException as problem:
            self.crash = problem

    async def _client(self, session: aiohttp.ClientSession, key: str, name: str, writes: bool) -> None:
        rng = random.Random(f"{self.run} {name}")
        turn = rng.randrange(len(self.endpoints))
        counter = 0
        while not self._stop.is_set():
            counter += 1
            turn += 1
            endpoint = self.endpoints[turn % len(self.endpoints)]
            if writes:
                delete = self._deletes and rng.random() < 0.1
                operation = await self._write(session, endpoint, key, name, None if delete else f"{name}-{counter}")
            else:
                operation = await self._read(session, endpoint, key, name, consistent=rng.random() < 0.8)
            self.history.append(operation)
            pause = 50.0 if operation.outcome != "ok" else self._pause_ms
            await asyncio.sleep(rng.random() * 2 * pause / 1000)

    # ---- what is asked for; another kind of load has other words for it

    def write_request(self, key: str, value: str | None) -> tuple[str, dict[str, Any]]:
        """The operation and its body; None deletes."""
        if value is None:
            return "DeleteItem", {"TableName": self.table, "Key": {"pk": {"S": key}}}
        item = {"pk": {"S": key}, "v": {"S": value}, "padding": {"S": self._padding}}
        return "PutItem", {"TableName": self.table, "Item": item}

    def read_request(self, key: str, consistent: bool) -> tuple[str, dict[str, Any]]:
        return "GetItem", {"TableName": self.table, "Key": {"pk": {"S": key}}, "ConsistentRead": consistent}

    def value_of(self, answer: dict[str, Any]) -> Value:
        """What a read was answered."""
        item = answer.get("Item")
        return None if item is None else str(item["v"]["S"])

    # ---- asking

    async def _write(
        self, session: aiohttp.ClientSession, endpoint: str, key: str, client: str, value: str | None
    ) -> Operation:
        name, body = self.write_request(key, value)
        invoked = time.monotonic_ns()
        outcome, _ = await self._call(session, endpoint, name, body)
        return Operation(
            kind="delete" if value is None else "write",
            value=value,
            invoked=invoked,
            returned=time.monotonic_ns(),
            outcome=outcome,
            client=client,
            key=key,
        )

    async def _read(
        self, session: aiohttp.ClientSession, endpoint: str, key: str, client: str, consistent: bool
    ) -> Operation:
        name, body = self.read_request(key, consistent)
        invoked = time.monotonic_ns()
        outcome, answer = await self._call(session, endpoint, name, body)
        return Operation(
            kind="read",
            value=self.value_of(answer),
            invoked=invoked,
            returned=time.monotonic_ns(),
            outcome=outcome,
            client=client,
            key=key,
            consistent=consistent,
        )

    async def _call(
        self, session: aiohttp.ClientSession, endpoint: str, operation: str, body: dict[str, Any]
    ) -> tuple[Outcome, dict[str, Any]]:
        """What is known of the request's effect, and the answer. Status 400 promises that nothing was done."""
        headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        try:
            async with session.post(endpoint, data=json.dumps(body), headers=headers, ssl=self.trust or True) as answer:
                found: dict[str, Any] = json.loads(await answer.read())
                status = answer.status
                if status == 200:
                    return "ok", found
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self.errors["not connected"] += 1
            return "failed", {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
            self.errors[type(problem).__name__] += 1
            return "unknown", {}
        kind = str(found.get("__type", "")).rpartition("#")[2]
        self.errors[f"{kind}: {found.get('message') or found.get('Message') or ''}"[:160]] += 1
        return ("failed" if status == 400 else "unknown"), {}

    # ---- afterwards

    def read_back(self, seconds: float = 30.0) -> None:
        """Reads every key through every node once more. Raises AssertionError if a node does not answer in time."""
        asyncio.run(self._read_back(seconds))

    async def _read_back(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            for endpoint, key in itertools.product(self.endpoints, self.keys):
                while True:
                    operation = await self._read(session, endpoint, key, "final", consistent=True)
                    self.history.append(operation)
                    if operation.outcome == "ok":
                        break
                    assert time.monotonic() < deadline, f"{endpoint} does not answer: {dict(self.errors)}"
                    await asyncio.sleep(0.1)

    def check(self) -> None:
        """Raises AssertionError if the history is not linearizable, or an eventual read was impossible."""
        verdict = check_registers(self.history)
        assert verdict.ok, verdict.explanation
        for key in self.keys:
            verdict = check_eventual_reads([operation for operation in self.history if operation.key == key])
            assert verdict.ok, f"key {key!r}: {verdict.explanation}"
        assert self.count("write") > 0, f"nothing was written: {dict(self.errors)}"

    def count(self, kind: Kind, outcome: Outcome = "ok") -> int:
        return sum(operation.kind == kind and operation.outcome == outcome for operation in self.history)

    def longest_gap_seconds(self, kind: Kind = "write") -> float:
        """The longest time in which some key saw no acknowledged request of this kind."""
        gaps = [0.0]
        for key in self.keys:
            times = sorted(
                operation.returned
                for operation in self.history
                if operation.key == key and operation.kind == kind and operation.outcome == "ok"
            )
            gaps += [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(times)]
        return max(gaps)

    def successes_since(self, monotonic_ns: int) -> dict[str, int]:
        """Acknowledged writes of each key that were sent after a time."""
        found = dict.fromkeys(self.keys, 0)
        for operation in list(self.history):
            if operation.kind == "write" and operation.outcome == "ok" and operation.invoked > monotonic_ns:
                found[operation.key] += 1
        return found

    def wait_for_service(self, seconds: float) -> float:
        """Seconds until every key was written again by requests sent from now on. Raises AssertionError."""
        start = time.monotonic_ns()
        while (time.monotonic_ns() - start) / 1e9 < seconds:
            if all(self.successes_since(start).values()):
                return (time.monotonic_ns() - start) / 1e9
            if self.crash is not None:
                raise self.crash
            time.sleep(0.02)
        missing = [key for key, count in self.successes_since(start).items() if not count]
        raise AssertionError(f"no write to {missing} within {seconds:.0f} s: {dict(self.errors)}")

    def summary(self) -> str:
        unknown = self.count("write", "unknown")
        return (
            f"{self.count('write')} writes, {self.count('read')} reads, {unknown} writes of unknown outcome, "
            f"longest gap {self.longest_gap_seconds():.2f} s"
        )
