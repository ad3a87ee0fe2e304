"""`python -m benchmarks.run [--only NAME ...] [--quick] [--no-write]`: "speed and size" of docs/benchmarks.md.

Each case measures Keystead and its rival in one run, and prints its rows. The page is rewritten with the rows of the
cases that ran; `--quick` does few and short rounds and leaves the page alone. Exit code 1 if a `must` was missed.
"""

import argparse
import sys
from collections.abc import Callable

from benchmarks import (
    gaps,
    index_lag,
    many_partitions,
    new_node,
    placement,
    requests,
    rescaling,
    signatures,
    splits,
    throughput,
)
from benchmarks.programs import MissingProgram
from benchmarks.results import Row, as_json, as_text, machine, read_results, write_results

Case = Callable[[bool], list[Row]]


def _in_rounds(measure: Callable[[int, float], list[Row]]) -> Case:
    return lambda quick: measure(2 if quick else 3, 3 if quick else 6)


def _throughput(name: str) -> Case:
    return _in_rounds(lambda rounds, seconds: throughput.compare(name, rounds, seconds))


CASES: dict[str, Case] = {
    "placement": lambda quick: placement.figures(*((20_000, 300, 10) if quick else (100_000, 1000, 50))),
    "etcd": _throughput("etcd"),
    "etcd-spread": _throughput("etcd-spread"),
    "dynalite": _throughput("dynalite"),
    "dynamodb-local": _throughput("dynamodb-local"),
    "dynalite-items": _throughput("dynalite-items"),
    "dynamodb-local-items": _throughput("dynamodb-local-items"),
    "batches": _in_rounds(requests.batches),
    "refusals": _in_rounds(requests.refusals),
    "index-lag": _in_rounds(index_lag.lag),
    "signatures": lambda quick: signatures.compare(*((4, 1) if quick else (15, 4))),
    "failover": lambda quick: gaps.failover(3 if quick else 20),
    "handover": lambda quick: gaps.handover(3 if quick else 20),
    "dial-up": lambda quick: splits.dial_up(4 if quick else 20),
    "splits": lambda quick: splits.pauses(5 if quick else 50),
    "copy-speed": lambda quick: rescaling.copy_speed(*((60, 1) if quick else (300, 3))),
    "rescale": lambda quick: rescaling.latency(*((60, 8, 1) if quick else (240, 20, 5))),
    "new-node": lambda quick: new_node.new_node(*((20, 10, 2) if quick else (340, 10, 3))),
    "lost-volume": lambda quick: rescaling.lost_volume(1 if quick else 4),
    "idle": lambda quick: many_partitions.idle(100 if quick else 1000),
    "restart": lambda quick: many_partitions.restart(*((100, 0.05, 1) if quick else (1000, 1.0, 3))),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(CASES), help="this case; may be given again")
    parser.add_argument("--quick", action="store_true", help="few and short rounds, nothing written")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.* alone")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON too")
    options = parser.parse_args(arguments)
    missed = False
    for name in options.only or CASES:
        where = machine()
        print(f"{name} on {where}", flush=True)
        try:
            rows = CASES[name](options.quick)
        except MissingProgram as problem:
            print(f"  left out: {problem}", flush=True)
            continue
        print(as_json(rows) if options.json else as_text(rows), flush=True)
        missed = missed or any(row.verdict == "missed" for row in rows)
        if not options.quick and not options.no_write:
            results = read_results()
            results.cases[name], results.machines[name] = rows, where
            write_results(results)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
