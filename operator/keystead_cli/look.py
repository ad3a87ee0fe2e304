"""`keystead status`, `keystead why` and `keystead version`."""

import platform
from typing import Annotated

import typer

from keystead_cli.render import cluster_picture, console
from keystead_cli.terminal import (
    DATA_DEFAULT,
    DataOption,
    Output,
    OutputOption,
    fail,
    open_cluster,
    print_json,
    view_of,
)
from keystead_operator.local.cluster_file import FORMAT, program_version
from keystead_operator.why import explain


def status(data: DataOption = DATA_DEFAULT, output: OutputOption = Output.text) -> None:
    """Show every node, and every partition with its replicas. Works while nodes are down."""
    view = view_of(open_cluster(data))
    if output is Output.json:
        print_json(view)
    else:
        console().print(cluster_picture(view, partitions_max=1_000_000))


def why(
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    data: DataOption = DATA_DEFAULT,
    output: OutputOption = Output.text,
) -> None:
    """Explain, a sentence a partition, what keeps a table from being served by all its replicas."""
    view = view_of(open_cluster(data))
    if view.map_version is None:
        fail("no node answers, so nothing is known of its partitions: see keystead status")
    found = view.table(table)
    if found is None:
        fail(f'table "{table}" not found')
    explanations = explain(view, found)
    if output is Output.json:
        print_json({"table": table, "partitions": explanations})
        return
    troubled = [one for one in explanations if not one.healthy]
    for one in troubled:
        typer.echo(one.sentence)
    if not troubled:
        count = len(explanations)
        partitions = (
            "1 partition has its master and all its"
            if count == 1
            else f"All {count} partitions have a master and all their"
        )
        typer.echo(f"{partitions} replicas." if count else f"{table} has no partitions yet.")


def version(output: OutputOption = Output.text) -> None:
    """Print the version of the program."""
    if output is Output.json:
        print_json({"version": program_version(), "dataFormat": FORMAT, "python": platform.python_version()})
    else:
        typer.echo(f"keystead {program_version()}")
