"""What a benchmark found, the machine it ran on, and the page that shows both."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "benchmarks.md"
RAW = REPOSITORY / "docs" / "benchmarks.json"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. `value` is compared with `must` and `aim` in the sense of `better`: more | less.

    `raw`: the figures that `value` came from, by name, in the order of the rounds.
    """

    what: str
    value: float
    unit: str
    must: float
    aim: float
    better: str
    raw: dict[str, list[float]]
    note: str = ""

    @property
    def verdict(self) -> str:
        def reached(limit: float) -> bool:
            return self.value >= limit if self.better == "more" else self.value <= limit

        if reached(self.aim):
            return "aim"
        return "must" if reached(self.must) else "missed"


class Results(msgspec.Struct):
    """All rows of the newest runs, by case; a run of one case leaves the others as they were."""

    cases: dict[str, list[Row]] = {}
    machines: dict[str, str] = {}


def machine() -> str:
    """The machine in one line, with how busy it was when the run began."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    memory_gib = psutil.virtual_memory().total / 2**30
    kernel = f"{platform.system()} {platform.release()}"
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {model}, {memory_gib:.0f} GiB, {kernel}, load before the run {load:.1f}"


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the rounds of ours / theirs, each pair measured one right after the other."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


class Page(msgspec.Struct, frozen=True):
    """A page with the tables between its two marks, and the file of raw results that they are made from."""

    page: Path
    raw: Path

    def read(self) -> Results:
        try:
            return msgspec.json.decode(self.raw.read_bytes(), type=Results)
        except FileNotFoundError:
            return Results()

    def write(self, results: Results) -> None:
        self.raw.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
        page = self.page.read_text()
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        self.page.write_text(f"{head}{begin}\n{_tables(results)}\n{end}{tail}")


def read_results() -> Results:
    return Page(PAGE, RAW).read()


def write_results(results: Results) -> None:
    """Writes docs/benchmarks.json and the tables of docs/benchmarks.md."""
    Page(PAGE, RAW).write(results)


def _tables(results: Results) -> str:
    lines = ["| what | found | must | aim | reached |", "|---|---|---|---|---|"]
    for rows in results.cases.values():
        for row in rows:
            limits = f"{_figure(row.must, row.unit)} | {_figure(row.aim, row.unit)}"
            lines.append(f"| {row.what} | {_figure(row.value, row.unit)} | {limits} | {row.verdict} |")
    lines += ["", "Raw figures, round by round:", ""]
    for case, rows in results.cases.items():
        lines += [f"**{case}** on {results.machines[case]}", ""]
        for row in rows:
            lines.append(f"- {row.what}" + (f" ({row.note})" if row.note else ""))
            lines += [
                f"  - {name}: {', '.join(f'{value:,.6g}' for value in values)}" for name, values in row.raw.items()
            ]
        lines.append("")
    return "\n".join(lines)


def _figure(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.2f}x"
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def as_text(rows: Sequence[Row]) -> str:
    """The rows for a terminal."""
    return "\n".join(f"{row.verdict:>6}  {_figure(row.value, row.unit):>12}  {row.what}" for row in rows)


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps(msgspec.to_builtins(list(rows)), indent=1)
