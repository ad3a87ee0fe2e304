"""Load: wrk with benchmarks/lua/load.lua, and the items that the get cases read."""

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
from benchmarks.servers import TABLE, Server, dynamodb, post

SCRIPT = Path(__file__).parent / "lua" / "load.lua"
THREADS = 4
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


def run_load(server: Server, mode: Literal["put", "get"], connections: int, seconds: float, keys: int) -> LoadResult:
    """Puts with keys never used before, or consistent gets of the `keys` preloaded ones. Raises on a broken run."""
    command = [*programs.wrk(), f"-t{THREADS}", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), f"http://{server.addresses[0]}", "--"]
    command += [mode, server.protocol, str(next(_first_key)), str(keys), TABLE]
    environment = {**os.environ, "BENCH_ADDRESSES": ",".join(server.addresses)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds + 60)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return msgspec.json.decode(line[len("RESULT ") :], type=LoadResult)
    raise RuntimeError(f"wrk gave no result:\n{done.stdout}{done.stderr}")


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
