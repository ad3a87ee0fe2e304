"""`keystead status`, `keystead why` and `keystead version`."""

import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from keystead_cli.render import console, rescale_line
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
from keystead_cli.watching import WatchOption, watch_status
from keystead_operator.local.cluster_file import FORMAT, program_version
from keystead_operator.local.inspect import read_report


def status(data: DataOption = DATA_DEFAULT, output: OutputOption = Output.text, watch: WatchOption = False) -> None:
    """Show every node, every partition with its replicas and load, and how far a rescale is. Works while nodes are
    down."""
    if watch:
        watch_status(lambda: view_of(open_cluster(data)), output, lambda: _above(data))
        return
    if output is Output.text:
        for line in _above(data):
            console().print(line)
    show_status(view_of(open_cluster(data)), output)


def _above(data: Path) -> list[Text]:
    """How far a rescale is, if there is one."""
    rescale = read_report(open_cluster(data).data).rescale
    return [] if rescale is None else [rescale_line(rescale)]


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
