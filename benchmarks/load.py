"""Load: wrk with benchmarks/lua/load.lua, and the items that are read and changed."""

import itertools
import os
import random
import string
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks import programs
from benchmarks.servers import LINES, TABLE, Server, dynamodb, post

SCRIPT = Path(__file__).parent / "lua" / "load.lua"
THREADS = 4
LINES_PER_KEY = 100
Mode = Literal["put", "get", "update", "query", "batch", "bad", "prepared"]
_first_key = itertools.count(10**9, 10**9)


class LoadResult(msgspec.Struct, frozen=True):
    """One run of the load generator. `errors`: connections, timeouts, and statuses above 399."""

    requests: int
    micros: int
    errors: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests * 1e6 / self.micros


def run_load(
    server: Server,
    mode: Mode,
    connections: int,
    seconds: float,
    keys: int,
    table: str = TABLE,
    prepared: Path | None = None,
) -> LoadResult:
    """Writes with keys never used before, or reads and changes of the `keys` preloaded ones (see the script for modes).
    `prepared`: the file of whole requests for that mode. Raises on a broken run."""
    addresses = server.addresses_of(table)
    command = [*programs.wrk(), f"-t{THREADS}", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), f"http://{addresses[0]}", "--"]
    command += [mode, server.protocol, str(next(_first_key)), str(keys), table]
    environment = {**os.environ, "BENCH_ADDRESSES": ",".join(addresses), "BENCH_REQUESTS": str(prepared or "")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds + 60)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return msgspec.json.decode(line[len("RESULT ") :], type=LoadResult)
    raise RuntimeError(f"wrk gave no result:\n{done.stdout}{done.stderr}")


def preload_lines(server: Server, keys: int) -> None:
    """Writes LINES_PER_KEY items of 1 KiB for each of the partition keys 0..keys-1 of the table LINES."""
    (address, *_) = server.addresses_of(LINES)
    rng = random.Random(2)
    values = ["".join(rng.choices(string.ascii_letters, k=1000)) for _ in range(64)]

    def batch(start: int) -> None:
        key, first = divmod(start, LINES_PER_KEY)
        left = {
            LINES: [
                {"PutRequest": {"Item": {"pk": {"S": f"k{key:015d}"}, "sk": {"N": str(n)}, "v": {"S": values[n % 64]}}}}
                for n in range(first, first + 25)
            ]
        }
        while left:
            left = dynamodb(address, "BatchWriteItem", {"RequestItems": left})["UnprocessedItems"]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(batch, range(0, keys * LINES_PER_KEY, 25)))


def preload(server: Server, keys: int) -> None:
    """Writes the items 0..keys-1 that gets read."""
    rng = random.Random(1)
    values = ["".join(rng.choices(string.ascii_letters, k=1005)) for _ in range(64)]

    def dynamodb_batch(start: int) -> None:
        requests = [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n:015d}"}, "v": {"S": values[n % 64]}}}}
            for n in range(start, min(start + 25, keys))
        ]
        left = {TABLE: requests}
        if start % 100_000 == 0 and start:
            print(f"  {start:,} of {keys:,} items loaded", flush=True)
        while left:
            left = dynamodb(server.addresses[0], "BatchWriteItem", {"RequestItems": left})["UnprocessedItems"]

    def etcd_put(number: int) -> None:
        post(server.addresses[0], "/v3/kv/put", {"key": f"k{number:015d}", "value": (values[number % 64] * 2)[:1348]})

    with ThreadPoolExecutor(8) as pool:
        if server.protocol == "etcd":
            list(pool.map(etcd_put, range(keys)))
        else:
            list(pool.map(dynamodb_batch, range(0, keys, 25)))
