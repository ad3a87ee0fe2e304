"""What a request costs where nobody is compared with: batches against single puts, and refusals of bad input."""

import os

import psutil

from benchmarks.load import LoadResult, run_load
from benchmarks.results import Row
from benchmarks.servers import Keystead
from benchmarks.throughput import WARM_UP_SECONDS, ratio_row

CONNECTIONS = 32
BATCH_ITEMS = 25


def batches(rounds: int, seconds: float) -> list[Row]:
    """Items a second by BatchWriteItem of 25 against PutItem, in turn."""
    server = Keystead(spread=False)
    found: dict[str, list[LoadResult]] = {"BatchWriteItem": [], "PutItem": []}
    try:
        server.start()
        for number in range(rounds + 1):
            for name, mode in (("BatchWriteItem", "batch"), ("PutItem", "put")):
                result = run_load(server, mode, CONNECTIONS, seconds if number else WARM_UP_SECONDS, 0)
                if result.errors:
                    raise RuntimeError(f"{result.errors} of {result.requests} {name} requests were refused")
                if number:
                    found[name].append(result)
    finally:
        server.stop()
    row = ratio_row("", found, 4.0, 8.0, "in raw requests/s a batch is one request")
    what = f"BatchWriteItem of {BATCH_ITEMS} / PutItem, items of 1 KiB a second, at {CONNECTIONS} connections"
    return [_of_items(row, what)]


def _of_items(row: Row, what: str) -> Row:
    return Row(
        what=what,
        value=row.value * BATCH_ITEMS,
        unit=row.unit,
        must=row.must,
        aim=row.aim,
        better=row.better,
        raw=row.raw,
        note=row.note,
    )


def refusals(rounds: int, seconds: float) -> list[Row]:
    """Bad requests that one node, on a core of its own, refuses a second. The other nodes and wrk have the others."""
    server = Keystead(spread=False)
    cores = sorted(os.sched_getaffinity(0))
    results = []
    try:
        server.start()
        port = server.addresses[0].rpartition(":")[2]
        for process in server.processes():
            listens = any(
                found.laddr.port == int(port) for found in process.net_connections() if found.status == "LISTEN"
            )
            _pin(process, cores[:1] if listens else cores[1:] or cores)
        os.sched_setaffinity(0, cores[1:] or cores)  # wrk inherits it
        run_load(server, "bad", CONNECTIONS, WARM_UP_SECONDS, 0)
        for _ in range(rounds):
            results.append(run_load(server, "bad", CONNECTIONS, seconds, 0))
            if results[-1].errors != results[-1].requests:
                raise RuntimeError(f"only {results[-1].errors} of {results[-1].requests} bad requests were refused")
    finally:
        os.sched_setaffinity(0, cores)
        server.stop()
    rates = [round(result.rate, 1) for result in results]
    return [
        Row(
            what=f"bad requests refused by one node on one core, at {CONNECTIONS} connections, least",
            value=min(rates),
            unit="/s",
            must=5_000,
            aim=15_000,
            better="more",
            raw={"refused/s": rates, "p50 ms": [result.p50_ms for result in results]},
            note="seven kinds in turn: number, key's type, no key, name, member's type, expression, JSON",
        )
    ]


def _pin(process: psutil.Process, cores: list[int]) -> None:
    """All threads of a process."""
    for thread in process.threads():
        os.sched_setaffinity(thread.id, cores)
