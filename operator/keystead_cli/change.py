"""`keystead delete`, `split`, `recover` and `node`: commands that change a running cluster."""

import contextlib
import time
from typing import Annotated, Any, Final

import msgspec
import typer

from keystead_cli.recovering import AcceptOption, GoneOption, PartitionArgument, Seen, wanted_recovery
from keystead_cli.recovering import TimeoutOption as RecoveryTimeoutOption
from keystead_cli.recovering import WaitOption as RecoveryWaitOption
from keystead_cli.recovering import watch as watch_recovery
from keystead_cli.splitting import (
    AtOption,
    PartitionOption,
    SortOption,
    TableArgument,
    TimeoutOption,
    WaitOption,
    wanted_split,
    watch,
)
from keystead_cli.terminal import DATA_DEFAULT, DataOption, OpenCluster, fail, open_cluster, run
from keystead_core.catalog.commands import Command, DeleteTable, SetNodeState
from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import ClusterMap
from keystead_operator.admin_client import AdminClient, NodeUnreachable, Refused
from keystead_operator.catalog_access import command_json
from keystead_operator.cluster_view import ClusterView
from keystead_operator.local.cluster_file import Place
from keystead_operator.local.inspect import gather_view, read_report
from keystead_operator.local.objects import ObjectStore
from keystead_operator.local.setup import supervisor_runs
from keystead_operator.local.substrate import admin_address

POLL_SECONDS: Final = 0.2
delete_app = typer.Typer(help="Delete objects.", no_args_is_help=True)
node_app = typer.Typer(help="Maintenance of nodes.", no_args_is_help=True)


@delete_app.callback()
def _delete() -> None:
    """Delete objects."""


@delete_app.command("table")
def delete_table(
    name: Annotated[str, typer.Argument(help="Name of the Table, or of a table made through the API.")],
    data: DataOption = DATA_DEFAULT,
    wait: Annotated[bool, typer.Option(help="Wait until it is gone.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)] = 60.0,
) -> None:
    """Delete a table and its rows (spec.deletionPolicy Retain: only the object)."""
    opened = open_cluster(data)
    store = ObjectStore(opened.data)
    found = store.get("Table", name) if "/" not in name else None
    if found is None:
        run(_delete_from_catalog(opened, name))
    else:
        if found["spec"]["deletionProtection"] and found["spec"]["deletionPolicy"] == "Delete":
            fail(f'table "{name}" is protected: apply it with spec.deletionProtection: false first')
        if not supervisor_runs(opened.data):
            fail(f'the cluster of {data} does not run: start it with "keystead up --data {data}"')
        store.mark_deleted("Table", name)
        if wait:
            _wait_until_gone(opened, store, name, timeout)
    typer.echo(f'table.keystead.io "{name}" deleted')


def _wait_until_gone(opened: OpenCluster, store: ObjectStore, name: str, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while store.get("Table", name) is not None:
        if time.monotonic() > deadline:
            notes = [note.message for note in read_report(opened.data).notes if note.subject == f"Table/{name}"]
            fail(f'table "{name}" is still there: {"; ".join(notes) or "the supervisor has not come to it"}')
        time.sleep(POLL_SECONDS)


async def _delete_from_catalog(opened: OpenCluster, name: str) -> None:
    """A table that no object declares is deleted as the API would do it."""
    client = AdminClient()
    view = await gather_view(opened.data, opened.cluster, client)
    if view.map_version is None:
        fail("no node answers, so nothing can be deleted: see keystead status")
    table = view.table(name)
    if table is None:
        fail(f'tables.keystead.io "{name}" not found')
    if table.managed_by:
        fail(f'the table "{name}" belongs to {table.managed_by}: delete that')
    await _send(opened, client, DeleteTable(name=name))


def split(
    table: TableArgument,
    at: AtOption = [],  # noqa: B006 (typer reads it, nobody writes to it)
    sort: SortOption = [],  # noqa: B006
    partition: PartitionOption = 0,
    data: DataOption = DATA_DEFAULT,
    wait: WaitOption = True,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Divide a partition of a table in two, which then serve and fail over each by itself. Nothing stands still."""
    opened = open_cluster(data)
    client = AdminClient()

    def look() -> ClusterMap | None:
        return run(_newest_map(opened, client))

    cluster_map = look()
    if cluster_map is None:
        fail("no node answers, so nothing can be split: see keystead status")
    command = wanted_split(cluster_map, table, at, sort, partition)
    right = msgspec.convert(run(_send(opened, client, command))["reply"], CatalogReply).counters[0]
    typer.echo(f"partition {command.partition} of {table} is to be split: partition {right} gets the right half")
    if wait:
        watch(look, command.partition, right, timeout)


def recover(
    partition: PartitionArgument,
    accept_data_loss: AcceptOption = False,
    gone: GoneOption = [],  # noqa: B006 (typer reads it, nobody writes to it)
    data: DataOption = DATA_DEFAULT,
    wait: RecoveryWaitOption = True,
    timeout: RecoveryTimeoutOption = 120.0,
) -> None:
    """Go on with what is left of a partition that has lost the majority of its volumes for good. The last way out."""
    opened = open_cluster(data)
    client = AdminClient()
    seen = run(_seen(opened, client))
    if seen is None:
        fail("no node answers, so nothing can be recovered: see keystead status")
    command = wanted_recovery(seen, partition, gone, accept_data_loss)
    if command is None:
        return
    run(_send(opened, client, command))
    if wait:
        watch_recovery(lambda: run(_newest_map(opened, client)), command.partition, timeout)


async def _seen(opened: OpenCluster, client: AdminClient) -> Seen | None:
    statuses = []
    for place in opened.cluster.places:
        with contextlib.suppress(NodeUnreachable):
            statuses.append(await client.status(admin_address(place)))
    newest = await _newest_map(opened, client)
    return None if newest is None else Seen(newest, statuses)


async def _newest_map(opened: OpenCluster, client: AdminClient) -> ClusterMap | None:
    found = []
    for place in opened.cluster.places:
        with contextlib.suppress(NodeUnreachable):
            found.append(await client.map(admin_address(place)))
    return max(found, key=lambda one: one.version, default=None)


async def _send(opened: OpenCluster, client: AdminClient, command: Command) -> dict[str, Any]:
    """To the catalog, through whichever node takes it; ends the program where none does."""
    answer, last = None, "none answers"
    for place in opened.cluster.places:
        try:
            answer = await client.command(admin_address(place), command_json(command))
            break
        except Refused as problem:
            fail(str(problem))
        except NodeUnreachable as problem:
            last = str(problem)
    if answer is None:
        fail(f"no node takes commands to the catalog: {last}")
    return answer


@node_app.command("maintain")
def maintain(
    node: Annotated[str, typer.Argument(help="Name or id of the node.")], data: DataOption = DATA_DEFAULT
) -> None:
    """Take a node out: its masterships are handed over, and its replicas count in no quorum, also after a restart."""
    run(_maintain(open_cluster(data), node))


@node_app.command("resume")
def resume(
    node: Annotated[str, typer.Argument(help="Name or id of the node.")], data: DataOption = DATA_DEFAULT
) -> None:
    """Take a node in again, once its replicas are level."""
    run(_resume(open_cluster(data), node))


async def _maintain(opened: OpenCluster, node: str) -> None:
    client = AdminClient()
    place = await _place_of(opened, client, node)
    await _order(client, place, "/maintain")
    await _record(client, place, "maintenance")
    typer.echo(f"{place.name} is in maintenance")


async def _resume(opened: OpenCluster, node: str) -> None:
    client = AdminClient()
    place = await _place_of(opened, client, node)
    await _record(client, place, "active")
    await _order(client, place, "/resume")
    typer.echo(f"{place.name} takes part again")


async def _place_of(opened: OpenCluster, client: AdminClient, node: str) -> Place:
    place = opened.cluster.place(node)
    if place is None:
        view = await gather_view(opened.data, opened.cluster, client)
        place = opened.cluster.place(_name_of_id(view, node))
    if place is None:
        names = ", ".join(one.name for one in opened.cluster.places)
        fail(f'node "{node}" not found: there are {names}')
    return place


async def _order(client: AdminClient, place: Place, path: str) -> None:
    try:
        await client.post(admin_address(place), path)
    except Refused as problem:
        fail(f"{place.name} refuses: {problem}")
    except NodeUnreachable as problem:
        fail(f"{place.name} does not answer: {problem}")


async def _record(client: AdminClient, place: Place, state: str) -> None:
    """In the catalog, so that a restart of the node does not forget it."""
    try:
        status = await client.status(admin_address(place))
        await client.command(admin_address(place), command_json(SetNodeState(node=status.node.id, state=state)))
    except (Refused, NodeUnreachable) as problem:
        typer.echo(f"warning: the catalog did not note it, a restart of {place.name} forgets it: {problem}", err=True)


def _name_of_id(view: ClusterView, node_id: str) -> str:
    return next((node.name for node in view.nodes if node.id == node_id), "")
