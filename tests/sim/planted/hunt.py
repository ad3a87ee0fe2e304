"""Runs seeds with a planted bug until one fails: after how many, and by which check."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import time
from collections.abc import Iterator

import msgspec

from tests.sim.planted import BUGS
from tests.sim.runner import run_seed
from tests.sim.scenario import STEERED_FROM, draw


class Found(msgspec.Struct, frozen=True):
    """`seeds`: how many were needed; 0: none of them showed it. `check`: what failed first."""

    bug: str
    seeds: int
    check: str
    seconds: float


def hunt(name: str, seeds_max: int) -> Found:
    """A seed that fails without the bug too proves nothing and does not count."""
    began = time.monotonic()
    for number, seed in enumerate(itertools.islice(_seeds(BUGS[name].steered), seeds_max)):
        with BUGS[name].active():
            failure = run_seed(seed).failure
        if failure and not run_seed(seed).failure:
            return Found(name, number + 1, failure.splitlines()[0][:100], time.monotonic() - began)
    return Found(name, 0, "", time.monotonic() - began)


def _seeds(steered: bool) -> Iterator[int]:
    """From 1 on; or those in which nodes come and go."""
    return (seed for seed in itertools.count(STEERED_FROM) if draw(seed).is_steered) if steered else itertools.count(1)


def hunt_all(seeds_max: dict[str, int], processes: int | None = None) -> list[Found]:
    """Each bug for so many seeds, over all cores, a bug to a process at a time (patches are per process)."""
    found = []
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(_hunt_one, seeds_max.items(), chunksize=1):
            seeds = f"{result.seeds} seeds" if result.seeds else "NOT FOUND"
            print(f"{result.bug:36} {seeds:12} {result.seconds:6.1f} s  {result.check}", file=sys.stderr, flush=True)
            found.append(result)
    return sorted(found, key=lambda f: f.bug)


def _hunt_one(job: tuple[str, int]) -> Found:
    return hunt(*job)


def table(found: list[Found]) -> str:
    """For docs/simulation.md."""
    lines = ["| bug | rule taken away | found after | by |", "|---|---|---|---|"]
    for f in found:
        after = f"{f.seeds} seeds" if f.seeds else "not found"
        lines.append(f"| {f.bug} | {BUGS[f.bug].rule} | {after} | {f.check} |")
    return "\n".join(lines)
