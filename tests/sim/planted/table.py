"""The table of planted bugs in docs/simulation.md: what the hunt is held to."""

from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[3] / "docs" / "simulation.md"


def _rows(first: str, last: str) -> list[str]:
    page = PAGE.read_text()
    return page[page.index(first) : page.index(last)].splitlines()


def found_within() -> dict[str, int]:
    """Within how many seeds, from 1 on, each bug is found."""
    rows = (line.split("|") for line in _rows("| bug | rule taken away | found", "Not found by the simulator"))
    return {row[1].strip(): int(row[3]) for row in rows if len(row) > 3 and row[3].strip().isdigit()}


def never_found() -> set[str]:
    """Those that no seed of the hunt shows."""
    rows = (line.split("|") for line in _rows("Not found by the simulator", "## What it found"))
    return {row[1].strip() for row in rows if len(row) > 3} - {"bug", "---"}
