"""`keystead apply`: hands manifests to an embedded cluster, as `kubectl apply` hands them to Kubernetes."""

import asyncio
import time
from typing import Annotated, Final

import typer

from keystead_cli.manifests import BadManifests, Document, check_all, read_documents
from keystead_cli.terminal import (
    DATA_DEFAULT,
    EXIT_FAILED,
    EXIT_INVALID,
    DataOption,
    OpenCluster,
    fail,
    open_cluster,
    run,
)
from keystead_operator.admin_client import AdminClient
from keystead_operator.local.files import DataDir
from keystead_operator.local.inspect import gather_view, read_report
from keystead_operator.local.objects import ObjectStore
from keystead_operator.local.preflight import absolute
from keystead_operator.local.setup import supervisor_runs
from keystead_operator.status import table_conditions

POLL_SECONDS: Final = 0.2
HOPELESS: Final = frozenset({"Conflict", "KeysDiffer", "CreateTableFailed", "UpdateTableFailed"})


def apply(
    file: Annotated[list[str], typer.Option("--file", "-f", help="A manifest, or - for standard input.")],
    data: DataOption = DATA_DEFAULT,
    wait: Annotated[bool, typer.Option(help="Wait until the tables serve.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only validate.")] = False,
) -> None:
    """Create or change the StorageCluster and Tables of manifests.

    Exit codes: 0 applied, 1 not applied or not ready in time, 2 a manifest is not valid (nothing was applied).
    """
    directory = DataDir(absolute(data))
    store = ObjectStore(directory)
    try:
        documents = read_documents(file)
        check_all(documents, store)
    except BadManifests as problem:
        for message in problem.messages:
            typer.echo(message, err=True)
        raise typer.Exit(EXIT_INVALID) from problem
    if dry_run:
        for document in documents:
            typer.echo(f"{_shown(document)} valid (dry run)")
        return
    opened = open_cluster(data)
    if not supervisor_runs(directory):
        fail(f'the cluster of {data} does not run: start it with "keystead up --data {data}"')
    _check_references(documents, store)
    applied_at = time.time()
    for document in documents:
        typer.echo(f"{_shown(document)} {store.apply(document.manifest)}")
    tables = [document for document in documents if document.kind == "Table"]
    if wait and tables and not run(_wait(opened, tables, applied_at, timeout)):
        raise typer.Exit(EXIT_FAILED)


def _shown(document: Document) -> str:
    return f"{document.kind.lower()}.keystead.io/{document.name}"


def _check_references(documents: list[Document], store: ObjectStore) -> None:
    """An embedded cluster is one StorageCluster: others, and tables of others, belong elsewhere."""
    (own,) = [manifest["metadata"]["name"] for manifest in store.list("StorageCluster")]
    messages = []
    for document in documents:
        if document.kind == "StorageCluster" and document.name != own:
            messages.append(
                f'The StorageCluster "{document.name}" is invalid: metadata.name: Invalid value: "{document.name}": '
                f'this directory holds the StorageCluster "{own}" alone'
            )
        reference = document.manifest["spec"].get("clusterRef", {"name": own}) if document.kind == "Table" else None
        if reference is not None and reference["name"] != own:
            messages.append(
                f'The Table "{document.name}" is invalid: spec.clusterRef.name: Not found: "{reference["name"]}"'
            )
    if messages:
        for message in messages:
            typer.echo(message, err=True)
        raise typer.Exit(EXIT_INVALID)


async def _wait(opened: OpenCluster, tables: list[Document], applied_at: float, timeout_seconds: float) -> bool:
    """Waits until all tables are Available; says which are not when the time is over, or when waiting is of no use."""
    deadline = time.monotonic() + timeout_seconds
    client = AdminClient()
    while True:
        view = await gather_view(opened.data, opened.cluster, client)
        report = read_report(opened.data)
        waiting = {}
        hopeless = False
        for document in tables:
            subject = f"Table/{document.name}"
            notes = [note for note in report.notes if note.subject == subject and report.began_at > applied_at]
            hopeless = hopeless or any(note.reason in HOPELESS for note in notes)
            spec = document.manifest["spec"]
            table = view.table(spec.get("tableName", document.name))
            if table is not None and table.managed_by != subject:
                table = None
            available = table_conditions(view, table, "; ".join(note.message for note in notes))[0]
            if available.status != "True":
                waiting[subject] = available.message
        if not waiting:
            return True
        if hopeless or time.monotonic() > deadline:
            for subject, message in waiting.items():
                typer.echo(f"error: {subject} is not available: {message}", err=True)
            return False
        await asyncio.sleep(POLL_SECONDS)
