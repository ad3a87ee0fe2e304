"""What every command shares: options, how an embedded cluster is found, and how things are printed."""

import asyncio
import json
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import msgspec
import typer

from keystead_operator.admin_client import AdminClient
from keystead_operator.cluster_view import ClusterView
from keystead_operator.local.cluster_file import ClusterFile, DataTooNew, DataUnreadable, read_cluster_file
from keystead_operator.local.files import DataDir
from keystead_operator.local.inspect import gather_view
from keystead_operator.local.preflight import EXIT_TOO_NEW, EXIT_UNREADABLE, absolute

EXIT_FAILED: Final = 1
EXIT_INVALID: Final = 2
_T = TypeVar("_T")


class Output(StrEnum):
    """How a read command prints."""

    text = "text"
    json = "json"


DataOption = Annotated[
    Path, typer.Option("--data", envvar="KEYSTEAD_DATA", help="Directory of the embedded cluster.", show_default=True)
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for programs.")]
DATA_DEFAULT: Final = Path(".keystead")


class OpenCluster(msgspec.Struct, frozen=True):
    """An embedded cluster, as it is on disk."""

    data: DataDir
    cluster: ClusterFile


def fail(message: str, exit_code: int = EXIT_FAILED) -> NoReturn:
    """Ends the program with one line on stderr."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(exit_code)


def open_cluster(path: Path) -> OpenCluster:
    """The cluster of a directory; ends the program where there is none."""
    data = DataDir(absolute(path))
    try:
        cluster = read_cluster_file(data)
    except DataTooNew as problem:
        fail(str(problem), EXIT_TOO_NEW)
    except (DataUnreadable, PermissionError) as problem:
        fail(str(problem), EXIT_UNREADABLE)
    if cluster is None:
        fail(f'{path} holds no cluster: make one with "keystead up --data {path}"')
    return OpenCluster(data, cluster)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(work)


def view_of(opened: OpenCluster) -> ClusterView:
    """Asks all nodes."""
    return run(gather_view(opened.data, opened.cluster, AdminClient()))


def print_json(value: Any) -> None:
    typer.echo(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def print_columns(header: list[str], rows: list[list[str]]) -> None:
    """Columns as kubectl prints them."""
    widths = [max(len(row[n]) for row in [header, *rows]) for n in range(len(header))]
    for row in [header, *rows]:
        typer.echo("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
