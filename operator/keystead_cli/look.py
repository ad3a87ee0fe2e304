"""`keystead status`, `keystead why` and `keystead version`."""

import platform
from typing import Annotated

import typer

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


def status(data: DataOption = DATA_DEFAULT, output: OutputOption = Output.text, watch: WatchOption = False) -> None:
    """Show every node, and every partition with its replicas and load. Works while nodes are down."""
    if watch:
        watch_status(lambda: view_of(open_cluster(data)), output)
    else:
        show_status(view_of(open_cluster(data)), output)


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
