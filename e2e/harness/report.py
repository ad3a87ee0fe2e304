"""What a run of the scenarios found, for people: one line each with its time and the longest time without writes."""

import html
import platform
from pathlib import Path

import msgspec


class Line(msgspec.Struct):
    """One scenario. `figures`: what it measured, in words."""

    title: str
    outcome: str
    seconds: float
    figures: list[str] = []
    problem: str = ""


class Report(msgspec.Struct):
    """`steps`: what came before the scenarios, with seconds."""

    lines: list[Line] = []
    steps: list[tuple[str, float]] = []
    subject: str = ""

    def markdown(self) -> str:
        passed = sum(line.outcome == "passed" for line in self.lines)
        total = sum(line.seconds for line in self.lines) + sum(seconds for _, seconds in self.steps)
        head = [
            "# End-to-end tests",
            "",
            f"{passed} of {len(self.lines)} scenarios passed; {total / 60:.1f} minutes in all. {self.subject}",
            f"Machine: {platform.machine()}, kernel {platform.release()}.",
            "",
            "| step | seconds |",
            "|---|---|",
            *(f"| {name} | {seconds:.0f} |" for name, seconds in self.steps),
            "",
            "| scenario | outcome | seconds | seen |",
            "|---|---|---|---|",
            *(f"| {x.title} | {x.outcome} | {x.seconds:.0f} | {'; '.join(x.figures)} |" for x in self.lines),
        ]
        for line in self.lines:
            if line.problem:
                head += ["", f"## {line.title}", "", "```", line.problem, "```"]
        return "\n".join(head) + "\n"

    def page(self) -> str:
        rows = "".join(
            f"<tr class={x.outcome}><td>{html.escape(x.title)}<td>{x.outcome}<td>{x.seconds:.0f} s"
            f"<td>{html.escape('; '.join(x.figures))}"
            + (f"<details><summary>why</summary><pre>{html.escape(x.problem)}</pre></details>" if x.problem else "")
            for x in self.lines
        )
        steps = "".join(f"<tr><td>{html.escape(name)}<td><td>{seconds:.0f} s<td>" for name, seconds in self.steps)
        return (
            "<!doctype html><meta charset=utf-8><title>Keystead end-to-end tests</title>"
            "<style>body{font:15px sans-serif;margin:2em}td{padding:.2em 1em;border-bottom:1px solid #ddd;"
            "vertical-align:top}.passed td:nth-child(2){color:#070}.failed td:nth-child(2){color:#b00}</style>"
            f"<h1>End-to-end tests</h1><p>{html.escape(self.subject)}<table>{steps}{rows}</table>\n"
        )

    def write(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "report.md").write_text(self.markdown())
        (directory / "report.html").write_text(self.page())
        (directory / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
