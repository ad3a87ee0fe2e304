"""`keystead status`, `keystead why` and `keystead version`."""

import platform
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live

from keystead_cli.render import cluster_picture, console, rescale_line
from keystead_cli.shown import show_status, show_why
from keystead_cli.terminal import (
    DATA_DEFAULT,
    DataOption,
    Output,
    OutputOption,
    open_cluster,
    print_json,
    view_of,
)
from keystead_operator.local.cluster_file import FORMAT, program_version
from keystead_operator.local.inspect import read_report

WATCH_SECONDS: Final = 1.0


def status(
    data: DataOption = DATA_DEFAULT,
    output: OutputOption = Output.text,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second, until Ctrl-C.")] = False,
) -> None:
    """Show every node, every partition with its replicas, and how far a rescale is. Works while nodes are down."""
    if not watch:
        _show(data, output)
        return
    try:
        with Live(console=console(), auto_refresh=False) as live:
            while True:
                live.update(_picture(data), refresh=True)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _show(data: Path, output: Output) -> None:
    opened = open_cluster(data)
    rescale = read_report(opened.data).rescale
    if rescale is not None and output is Output.text:
        console().print(rescale_line(rescale))
    show_status(view_of(opened), output)


def _picture(data: Path) -> RenderableType:
    opened = open_cluster(data)
    rescale = read_report(opened.data).rescale
    picture = cluster_picture(view_of(opened))
    return picture if rescale is None else Group(rescale_line(rescale), picture)


def why(
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    data: DataOption = DATA_DEFAULT,
    output: OutputOption = Output.text,
) -> None:
    """Explain, a sentence a partition, what keeps a table from being served by all its replicas."""
    show_why(view_of(open_cluster(data)), table, output, "keystead status")


def version(output: OutputOption = Output.text) -> None:
    """Print the version of the program."""
    if output is Output.json:
        print_json({"version": program_version(), "dataFormat": FORMAT, "python": platform.python_version()})
    else:
        typer.echo(f"keystead {program_version()}")
