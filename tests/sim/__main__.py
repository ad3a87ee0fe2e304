"""The simulator's commands: run (many seeds), one (a readable trace of one), planted (are planted bugs found?)."""

import argparse
import sys

import msgspec

from tests.sim import runner
from tests.sim.cluster import Result, simulate
from tests.sim.scenario import Scenario, draw
from tests.sim.shrink import shrink

BEYOND_THE_TABLE = 150
"""Seeds for a bug that the table of docs/simulation.md gives up on."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="many seeds, in parallel")
    run.add_argument("--seeds", type=int, default=500)
    run.add_argument("--from", type=int, default=1, dest="first")
    run.add_argument("--processes", type=int, default=None)
    one = commands.add_parser("one", help="one seed, with its trace")
    one.add_argument("--seed", type=int, required=True)
    one.add_argument("--shrink", action="store_true", help="look for a smaller fault schedule that still fails")
    one.add_argument("--until", type=float, default=None, help="stop at this virtual second")
    one.add_argument("--quiet", action="store_true", help="only the result")
    planted = commands.add_parser("planted", help="does the simulator find the planted bugs?")
    planted.add_argument("--all", action="store_true", help="every bug, not a sample")
    planted.add_argument("--name", default="", help="only these bugs, with commas between")
    planted.add_argument(
        "--seeds", type=int, default=0, help="give up on each bug after so many, not as its table says"
    )
    options = parser.parse_args(arguments)
    return int(COMMANDS[options.command](options))


def run_many(options: argparse.Namespace) -> int:
    print(f"seeds {options.first} to {options.first + options.seeds - 1}", flush=True)
    totals = runner.run_batch(options.first, options.seeds, options.processes, runner.show_progress)
    print(runner.report(totals))
    silent = totals.silent_faults if options.seeds >= 500 else []
    return 1 if totals.failed or silent else 0


def run_one(options: argparse.Namespace) -> int:
    scenario = draw(options.seed)
    until = None if options.until is None else int(options.until * 1e6)
    if options.shrink:
        return _shrink(scenario)
    _show_scenario(scenario)
    result = simulate(scenario, until, echo=None if options.quiet else print)
    _show_result(result)
    return 1 if result.failure else 0


def _shrink(scenario: Scenario) -> int:
    result = simulate(scenario)
    if not result.failure:
        print(f"seed {scenario.seed} does not fail")
        return 0
    smaller, smallest = shrink(scenario, result.failure, print)
    _show_scenario(smaller)
    simulate(smaller, echo=print)
    _show_result(smallest)
    return 1


def _show_scenario(scenario: Scenario) -> None:
    for field in msgspec.structs.fields(scenario):
        if field.name != "faults":
            print(f"{field.name:18} {getattr(scenario, field.name)}")
    for fault in scenario.faults:
        print(f"    {fault}")


def _show_result(result: Result) -> None:
    for field in msgspec.structs.fields(result):
        print(f"{field.name:18} {getattr(result, field.name)}")


def run_planted(options: argparse.Namespace) -> int:
    from tests.sim.planted import BUGS
    from tests.sim.planted.hunt import hunt_all, table
    from tests.sim.planted.table import found_within

    within = found_within()
    names = options.name.split(",") if options.name else list(BUGS) if options.all else list(BUGS)[:8]
    found = hunt_all({name: options.seeds or within.get(name, BEYOND_THE_TABLE) for name in names})
    print(table(found))
    return 1 if any(not one.seeds and one.bug in within for one in found) else 0


COMMANDS = {"run": run_many, "one": run_one, "planted": run_planted}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
