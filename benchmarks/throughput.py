"""Load against a rival: both servers up, rounds in turn, the median of the rounds' ratios."""

from collections.abc import Callable
from functools import partial

import msgspec

from benchmarks.load import LoadResult, Mode, preload, preload_lines, run_load
from benchmarks.results import Row, median_ratio
from benchmarks.servers import LINES, TABLE, Dynalite, DynamoDBLocal, Etcd, Keystead, Server, create_table

KEYS = 10_000
QUERY_KEYS = 100
WARM_UP_SECONDS = 3


class Load(msgspec.Struct, frozen=True):
    """What is sent, over how many connections, to which table, and the ratio to reach."""

    what: str
    mode: Mode
    connections: int
    must: float
    aim: float
    table: str = TABLE
    keys: int = KEYS


class Comparison(msgspec.Struct, frozen=True):
    """A rival and what both are sent. `spread`: see Keystead."""

    rival: Callable[[], Server]
    loads: list[Load]
    spread: bool = False


def _puts_and_gets(put: tuple[float, float], get: tuple[float, float]) -> list[Load]:
    """`put`, `get`: the ratios to reach, (must, aim)."""
    return [Load("PutItem", "put", connections, *put) for connections in (32, 128)] + [
        Load("GetItem, consistent,", "get", connections, *get) for connections in (32, 128)
    ]


_UPDATES = [
    Load("UpdateItem with a condition and two SETs", "update", connections, 0.5, 1.0) for connections in (32, 128)
]
_QUERY = Load("Query of 100 items of 1 KiB", "query", 32, 0.7, 1.5, LINES, QUERY_KEYS)

COMPARISONS = {
    "etcd": Comparison(Etcd, _puts_and_gets((1.0, 2.0), (1.0, 2.0))),
    "etcd-spread": Comparison(partial(Etcd, spread=True), _puts_and_gets((1.0, 2.0), (1.0, 2.0)), spread=True),
    "dynalite": Comparison(Dynalite, _puts_and_gets((0.5, 1.0), (0.5, 1.0))),
    "dynalite-items": Comparison(Dynalite, [*_UPDATES, _QUERY]),
    "dynamodb-local": Comparison(DynamoDBLocal, _puts_and_gets((5.0, 15.0), (0.7, 1.0))),
    "dynamodb-local-items": Comparison(DynamoDBLocal, [_QUERY]),
}


def compare(name: str, rounds: int, seconds: float) -> list[Row]:
    """A row for each load. Raises if a server refuses requests."""
    comparison = COMPARISONS[name]
    ours, theirs = Keystead(spread=comparison.spread), comparison.rival()
    try:
        for server in (ours, theirs):
            server.start()
            preload(server, KEYS)
            if any(load.table == LINES for load in comparison.loads):
                create_table(server.addresses[0], LINES)
                preload_lines(server, QUERY_KEYS)
        rows = []
        for load in comparison.loads:
            rows.append(_compare_one(ours, theirs, load, rounds, seconds))
            print(f"  {rows[-1].what}: {rows[-1].value:.2f}x", flush=True)
        return rows
    finally:
        ours.stop()
        theirs.stop()


def _compare_one(ours: Server, theirs: Server, load: Load, rounds: int, seconds: float) -> Row:
    for server in (ours, theirs):
        run_load(server, load.mode, load.connections, WARM_UP_SECONDS, load.keys, load.table)
    found: dict[str, list[LoadResult]] = {ours.name: [], theirs.name: []}
    for _ in range(rounds):
        for server in (ours, theirs):
            result = run_load(server, load.mode, load.connections, seconds, load.keys, load.table)
            if result.errors:
                raise RuntimeError(f"{server.name} refused {result.errors} of {result.requests} {load.mode} requests")
            found[server.name].append(result)
    return ratio_row(f"{load.what} at {load.connections} connections / {theirs.name}", found, load.must, load.aim)


def ratio_row(what: str, found: dict[str, list[LoadResult]], must: float, aim: float, note: str = "") -> Row:
    """The row of two series of runs in turn, the one to be the larger first."""
    rates = {name: [round(result.rate, 1) for result in results] for name, results in found.items()}
    raw = {f"{name}, requests/s": values for name, values in rates.items()}
    for name, results in found.items():
        raw[f"{name}, p50 ms"] = [result.p50_ms for result in results]
        raw[f"{name}, p99 ms"] = [result.p99_ms for result in results]
    ours, theirs = rates.values()
    return Row(
        what=what, value=median_ratio(ours, theirs), unit="x", must=must, aim=aim, better="more", raw=raw, note=note
    )
