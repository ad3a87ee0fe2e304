"""`python -m tests.explore [--minutes 10] [--depth N] [--only WORD]`: explore every scenario, print the states seen.

Each scenario gets an equal share of the time that is left. Exit code 1 where an invariant is violated; the shortest
order of events that leads there is printed.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time

from tests.explore.scenario import SCENARIOS, Scenario
from tests.explore.search import Found, Search

STATES_MAX = 8_000_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.explore", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="time in all")
    parser.add_argument("--depth", type=int, default=1 << 30, help="events at most")
    parser.add_argument(
        "--states", type=int, default=STATES_MAX, help="states at most in a scenario (about 250 bytes each)"
    )
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    asked = parser.parse_args()
    scenarios = [scenario for scenario in SCENARIOS if asked.only in scenario.name]
    if not scenarios:
        parser.error(f"no scenario is named like {asked.only!r}")
    gc.freeze()
    gc.disable()  # States are plain numbers and never form cycles; walking millions of them costs a third of the time.
    begun = time.monotonic()
    end = begun + asked.minutes * 60
    states = transitions = 0
    for number, scenario in enumerate(scenarios):
        now = time.monotonic()
        found = _explore(scenario, asked.depth, asked.states, now + (end - now) / (len(scenarios) - number))
        states, transitions = states + found.states, transitions + found.transitions
        if found.violation:
            print(f"VIOLATED: {found.violation}\n" + "\n".join(f"  {line}" for line in found.trace))
            return 1
    print(f"{states:,} distinct states, {transitions:,} events tried in {time.monotonic() - begun:.0f} s: no violation")
    return 0


def _explore(scenario: Scenario, depth: int, states: int, until: float) -> Found:
    begun = time.monotonic()
    shown = begun

    def progress(seen: int, level: int, open_states: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if sys.stderr.isatty() and now - shown > 0.5:
            shown = now
            line = f"{seen:,} states, {level} events deep, {open_states:,} to go on from"
            print(f"\r{scenario.name}: {line}, {now - begun:.0f} s  ", end="", file=sys.stderr, flush=True)

    found = Search(scenario).run(depth, states, until, progress)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    extent = "all there are" if found.exhausted else f"every order of up to {found.depth} events"
    seconds = time.monotonic() - begun
    print(
        f"{scenario.name}: {found.states:,} states, {extent} ({found.local_states:,} of a node; {seconds:.0f} s)",
        flush=True,
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
