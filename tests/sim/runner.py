"""Many seeds over all cores, one after the other within each: progress, totals, and what failed."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import msgspec

from tests.sim.cluster import Result, simulate
from tests.sim.scenario import FAULTS, VOLUME_FAULTS, draw

STUCK_SECONDS = 60
"""Of the processor's time: beside other work a long run may take minutes."""


class Totals(msgspec.Struct):
    """Sums over a batch. `failed`: the results of the seeds that did not pass."""

    seeds: int = 0
    events: int = 0
    elections: int = 0
    committed: int = 0
    seconds: float = 0.0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    fault_seeds: Counter[str] = msgspec.field(default_factory=Counter)
    coverage: Counter[str] = msgspec.field(default_factory=Counter)
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Result] = []

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.events += result.events
        self.elections += result.elections
        self.committed += result.committed
        self.faults.update(result.faults)
        self.fault_seeds.update(result.faults.keys())
        self.coverage.update(result.coverage)
        self.outcomes.update(result.outcomes)
        if result.failure:
            self.failed.append(result)

    @property
    def silent_faults(self) -> list[str]:
        """Faults that never fired: such a batch proves less than it seems to."""
        return [fault for fault in (*FAULTS, *VOLUME_FAULTS) if not self.faults[fault]]

    @property
    def seeds_per_second(self) -> float:
        return self.seeds / max(self.seconds, 1e-9)


class Stuck(Exception):
    """One event did not end."""


def run_seed(seed: int) -> Result:
    """Runs one seed; an event that never ends becomes a failure that says where."""

    def on_alarm(_signal: int, frame: FrameType | None) -> None:
        where = []
        while frame is not None and len(where) < 6:
            where.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
            frame = frame.f_back
        raise Stuck(" < ".join(where))

    gc.set_threshold(200_000, 20, 20)  # A run makes little garbage in cycles, and looking for it costs a tenth.
    previous = signal.signal(signal.SIGPROF, on_alarm)
    signal.setitimer(signal.ITIMER_PROF, STUCK_SECONDS)
    try:
        return simulate(draw(seed))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def results(seeds: range, processes: int) -> Iterator[Result]:
    if processes <= 1:
        yield from map(run_seed, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(run_seed, seeds, chunksize=4)


def run_batch(
    first: int, count: int, processes: int | None = None, progress: Callable[[Totals, int], Any] | None = None
) -> Totals:
    """Runs `count` seeds from `first` on. `progress` is called with the totals so far."""
    totals = Totals()
    started = time.monotonic()
    for result in results(range(first, first + count), processes or os.cpu_count() or 1):
        totals.add(result)
        totals.seconds = time.monotonic() - started
        if result.failure:
            print(f"\nseed {result.seed} failed: {result.failure}", file=sys.stderr, flush=True)
        if progress is not None:
            progress(totals, count)
    totals.failed.sort(key=lambda r: r.seed)
    return totals


def show_progress(totals: Totals, count: int) -> None:
    """One line that is written over, where there is a terminal; else a line for every thousand seeds."""
    if not sys.stderr.isatty():
        if totals.seeds % 1000 == 0:
            pace = f"{totals.seeds_per_second:.1f} seeds/s, {len(totals.failed)} failed"
            print(f"{totals.seeds} of {count} seeds, {pace}", file=sys.stderr, flush=True)
        return
    width = 30
    done = width * totals.seeds // count
    sys.stderr.write(
        f"\r[{'#' * done}{'.' * (width - done)}] {totals.seeds}/{count}  {totals.seeds_per_second:5.1f} seeds/s  "
        f"{len(totals.failed)} failed"
    )
    if totals.seeds == count:
        sys.stderr.write("\n")
    sys.stderr.flush()


def report(totals: Totals) -> str:
    """For people: speed, what fired how often, and the seeds to look at."""
    lines = [
        f"{totals.seeds} seeds in {totals.seconds:.1f} s: {totals.seeds_per_second:.1f} seeds/s, "
        f"{totals.events / max(totals.seeds, 1):.0f} events a seed, {totals.elections} elections, "
        f"{totals.committed} records committed",
        "faults    " + "  ".join(f"{name} {totals.faults[name]}" for name in FAULTS),
        "volumes   " + "  ".join(f"{name} {totals.faults[name]}" for name in VOLUME_FAULTS),
        "reached   " + "  ".join(f"{name} {n}" for name, n in sorted(totals.coverage.items())),
        "clients   " + "  ".join(f"{name} {n}" for name, n in sorted(totals.outcomes.items())),
    ]
    if totals.silent_faults:
        lines.append("NEVER FIRED: " + ", ".join(totals.silent_faults))
    by_check = Counter(result.failure for result in totals.failed)
    for check, count in by_check.most_common():
        lines.append(f"FAILED {count} x {check}")
        for result in [r for r in totals.failed if r.failure == check][:3]:
            lines.append(f"    seed {result.seed}: {result.story[:600]}")
    if totals.failed:
        lines.append(f"again: make sim SEED={totals.failed[0].seed}")
    return "\n".join(lines)
