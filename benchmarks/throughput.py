"""Puts and consistent gets against a rival: both servers up, rounds in turn, the median of the rounds' ratios."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec

from benchmarks.load import LoadResult, preload, run_load
from benchmarks.results import Row, median_ratio
from benchmarks.servers import Dynalite, DynamoDBLocal, Etcd, Keystead, Server

KEYS = 10_000
WARM_UP_SECONDS = 3
Mode = Literal["put", "get"]


class Comparison(msgspec.Struct, frozen=True):
    """A rival and the ratios to reach, (must, aim), for puts and gets. `spread`: see Keystead."""

    rival: Callable[[], Server]
    put: tuple[float, float]
    get: tuple[float, float]
    spread: bool = False


COMPARISONS = {
    "etcd": Comparison(Etcd, (1.0, 2.0), (1.0, 2.0)),
    "etcd-spread": Comparison(partial(Etcd, spread=True), (1.0, 2.0), (1.0, 2.0), spread=True),
    "dynalite": Comparison(Dynalite, (0.5, 1.0), (0.5, 1.0)),
    "dynamodb-local": Comparison(DynamoDBLocal, (5.0, 15.0), (0.7, 1.0)),
}


def compare(name: str, rounds: int, seconds: float) -> list[Row]:
    """Rows for puts and gets at 32 and 128 connections. Raises if a server refuses requests."""
    comparison = COMPARISONS[name]
    ours, theirs = Keystead(spread=comparison.spread), comparison.rival()
    try:
        for server in (ours, theirs):
            server.start()
            preload(server, KEYS)
        rows = []
        for mode in ("put", "get"):
            must, aim = comparison.put if mode == "put" else comparison.get
            for connections in (32, 128):
                rows.append(_compare_one(ours, theirs, mode, connections, rounds, seconds, must, aim))
                print(f"  {rows[-1].what}: {rows[-1].value:.2f}x", flush=True)
        return rows
    finally:
        ours.stop()
        theirs.stop()


def _compare_one(
    ours: Server,
    theirs: Server,
    mode: Mode,
    connections: int,
    rounds: int,
    seconds: float,
    must: float,
    aim: float,
) -> Row:
    for server in (ours, theirs):
        run_load(server, mode, connections, WARM_UP_SECONDS, KEYS)
    found: dict[str, list[LoadResult]] = {ours.name: [], theirs.name: []}
    for _ in range(rounds):
        for server in (ours, theirs):
            result = run_load(server, mode, connections, seconds, KEYS)
            if result.errors:
                raise RuntimeError(f"{server.name} refused {result.errors} of {result.requests} {mode} requests")
            found[server.name].append(result)
    rates = {name: [round(result.rate, 1) for result in results] for name, results in found.items()}
    raw = {f"{name}, requests/s": values for name, values in rates.items()}
    for name, results in found.items():
        raw[f"{name}, p50 ms"] = [result.p50_ms for result in results]
        raw[f"{name}, p99 ms"] = [result.p99_ms for result in results]
    return Row(
        what=f"{'PutItem' if mode == 'put' else 'GetItem, consistent,'} at {connections} connections / {theirs.name}",
        value=median_ratio(rates[ours.name], rates[theirs.name]),
        unit="x",
        must=must,
        aim=aim,
        better="more",
        raw=raw,
    )
