"""Runs the benchmarks and writes docs/benchmarks.md:  python -m benchmarks.run [--only NAME ...] [--quick]

A run of some of them keeps the other sections' figures (benchmarks/results.json has them all).
"""

import argparse
import datetime
import os
import platform
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import footprint, outages, throughput
from benchmarks.report import page

NAMES = [*throughput.RIVALS, "outages", "footprint"]
RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "memory_gib": round(memory),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="short rounds: to see that it works, not to quote")
    options = parser.parse_args()
    rounds, seconds = (2, 2.0) if options.quick else (5, 6.0)
    results = msgspec.json.decode(RESULTS.read_bytes()) if RESULTS.exists() else {}
    for name in options.only or NAMES:
        print(f"== {name}", flush=True)
        about = machine()
        if name == "outages":
            found: Any = outages.run(3 if options.quick else 20, print)
        elif name == "footprint":
            found = footprint.run(100 if options.quick else 1000, print)
        else:
            found = throughput.run(name, rounds, seconds, print)
        results[name] = {"machine": about, "quick": options.quick, "found": msgspec.to_builtins(found)}
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        PAGE.write_text(page(results))
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
