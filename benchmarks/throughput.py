"""Throughput against the rivals: both servers up, rounds in turn (A B A B), the ratio of each pair, its median."""

import statistics
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from benchmarks import load, servers

KEYS = 10_000
Mode = Literal["put", "get"]


class Comparison(msgspec.Struct, frozen=True):
    """One row of the page. Rates are medians, in requests a second; `ratio` is the median of the pairs' ratios."""

    case: str
    rival: str
    connections: int
    ours: float
    theirs: float
    ratio: float
    ratios: list[float]
    ours_p50_ms: float
    theirs_p50_ms: float
    errors: int


def compare(
    ours: Any, theirs: Any, mode: Mode, connections: int, rounds: int, seconds: float, say: Callable[[str], None]
) -> Comparison:
    """Runs the rounds; both servers are up and preloaded."""
    pairs = []
    for number in range(rounds):
        pair = [load.run_load(server, mode, connections, seconds, KEYS) for server in (ours, theirs)]
        pairs.append(pair)
        say(
            f"  {mode} c{connections} round {number + 1}: {pair[0].rate:,.0f}/s against {pair[1].rate:,.0f}/s "
            f"= {pair[0].rate / pair[1].rate:.2f}"
        )
    ratios = [a.rate / b.rate for a, b in pairs]
    return Comparison(
        case=mode,
        rival=theirs.name,
        connections=connections,
        ours=statistics.median(a.rate for a, _ in pairs),
        theirs=statistics.median(b.rate for _, b in pairs),
        ratio=statistics.median(ratios),
        ratios=ratios,
        ours_p50_ms=statistics.median(a.p50_ms for a, _ in pairs),
        theirs_p50_ms=statistics.median(b.p50_ms for _, b in pairs),
        errors=sum(a.errors for a, _ in pairs),
    )


RIVALS: dict[str, Callable[[], Any]] = {
    "etcd": servers.Etcd,
    "dynalite": servers.Dynalite,
    "dynamodb-local": servers.DynamoDBLocal,
}


def run(name: str, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Comparison]:
    """All of one rival's rows."""
    ours, theirs = servers.Keystead(), RIVALS[name]()
    found = []
    try:
        for server in (ours, theirs):
            say(f"{name}: starting {server.name}")
            server.start()
            load.preload(server, KEYS)
        modes: tuple[Mode, ...] = ("put", "get")
        for mode in modes:
            for connections in (32, 128):
                found.append(compare(ours, theirs, mode, connections, rounds, seconds, say))
    finally:
        ours.stop()
        theirs.stop()
    return found
