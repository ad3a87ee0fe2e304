"""`keystead up` and `keystead down`: the life of an embedded cluster."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from rich.live import Live

from keystead_cli.render import cluster_picture, console
from keystead_cli.terminal import DATA_DEFAULT, EXIT_INVALID, DataOption, OpenCluster, fail, open_cluster
from keystead_operator.cluster_view import ClusterView
from keystead_operator.local.cluster_file import ClusterFile
from keystead_operator.local.files import DataDir
from keystead_operator.local.inspect import SupervisorReport, endpoint_of, read_report
from keystead_operator.local.objects import Invalid
from keystead_operator.local.preflight import CannotStart, absolute, lock_directory, supervisor_pid
from keystead_operator.local.processes import last_line_of
from keystead_operator.local.setup import Prepared, UpOptions, end_left_behind, prepare, supervisor_runs
from keystead_operator.local.supervisor import NodeRefused, Supervisor
from keystead_operator.spec.storage_cluster import storage_cluster_definition

READY_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 30.0
NO_AUTHENTICATION: Final = "no authentication (insecure_no_auth): whoever is on this machine may do everything"
SHARED_FATE: Final = "all nodes share this machine and its disk: lost processes are survived, a lost machine is not"


def up(
    data: DataOption = DATA_DEFAULT,
    port: Annotated[
        int | None, typer.Option(help="Port of the first node's API, 8000 at first; the others follow. 0: any.", min=0)
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Number of nodes, 3 at first.", min=1, max=26)] = None,
    zones: Annotated[
        int | None, typer.Option(help="Zones that they are spread over, 3 at first.", min=1, max=16)
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the cluster is ready.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE: a field of the StorageCluster's spec, or a setting of the nodes."),
    ] = None,
) -> None:
    """Start a cluster on this machine, or recover the one that DATA holds.

    Exit codes: 1 not ready, 2 bad options, 3 DATA is in use by another instance, 4 no write permission, 5 DATA was
    written by a newer version, 6 a port is in use, 9 DATA is unreadable. Nothing was touched then.
    """
    directory = DataDir(absolute(data))
    spec, node_settings = _parsed_settings(settings or [])
    options = UpOptions(port=port, nodes=nodes, zones=zones, spec=spec, settings=node_settings)
    try:
        prepared = prepare(directory, options)
    except CannotStart as problem:
        fail(str(problem), problem.exit_code)
    except Invalid as problem:
        fail(f"the StorageCluster is invalid: {_all_wrong(problem)}", EXIT_INVALID)
    if detach:
        _detached(directory, prepared)
    else:
        _foreground(directory, prepared)


def _all_wrong(problem: Invalid) -> str:
    unknown = [f'unknown field "{path}"' for path in problem.verdict.unknown]
    return "; ".join([*unknown, *map(str, problem.verdict.errors)])


def _parsed_settings(given: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What belongs to the StorageCluster's spec (dotted paths), and what to the nodes."""
    schema = storage_cluster_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = schema["properties"]["spec"]["properties"]
    spec: dict[str, Any] = {}
    node_settings: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals or not key:
            fail(f'--set {one}: KEY=VALUE was expected, as in "--set failover.leaseSeconds=2"', EXIT_INVALID)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        path = key.split(".")
        if path[0] not in fields:
            node_settings[key] = value
            continue
        place = spec
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return spec, node_settings


def _foreground(data: DataDir, prepared: Prepared) -> None:
    screen = console()
    typer.echo(_opening(data, prepared))
    try:
        if screen.is_terminal:
            with Live(console=screen, auto_refresh=False) as live:
                asyncio.run(_supervise(data, prepared.cluster, lambda view, report: _show(live, view, report)))
        else:
            asyncio.run(_supervise(data, prepared.cluster, PlainProgress(typer.echo).on_round))
    except NodeRefused as problem:
        fail(str(problem), problem.exit_code)
    typer.echo("stopped")


def _opening(data: DataDir, prepared: Prepared) -> str:
    cluster = prepared.cluster
    doing = "making" if prepared.fresh else "recovering"
    what = f"{doing} cluster {cluster.cluster[:8]} of {len(cluster.places)} nodes in {data.root}"
    return f"{what}\n{SHARED_FATE}\n{NO_AUTHENTICATION}"


async def _supervise(
    data: DataDir, cluster: ClusterFile, on_round: Callable[[ClusterView, SupervisorReport], None]
) -> None:
    supervisor = Supervisor(data, cluster, on_round)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop.set)
    await supervisor.run()


def _show(live: Live, view: ClusterView, report: SupervisorReport) -> None:
    live.update(cluster_picture(view, partitions_max=max(5, live.console.height - len(view.nodes) - 8)), refresh=True)


class PlainProgress:
    """A line for every change, where there is no terminal to draw on."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._said: dict[str, str] = {}

    def on_round(self, view: ClusterView, report: SupervisorReport) -> None:
        for node in view.nodes:
            self._changed(f"node {node.name}", f"{node.name} is {node.state} ({node.zone}, pid {node.pid or 'none'})")
        for process in report.processes:
            if process.exit_code is not None:
                ended = f"{process.name} ended with {process.exit_code}: {process.last_line}"
                self._changed(f"exit {process.name} {process.starts}", ended)
        for note in report.notes:
            self._changed(f"note {note.subject} {note.reason}", f"{note.subject}: {note.message}")
        for table in view.tables:
            without = sum(partition.master is None for partition in table.partitions)
            masters = "every partition has a master" if not without else f"{without} partitions have no master"
            self._changed(f"table {table.name}", f"table {table.name} is {table.state}, {masters}")
        self._changed("ready", f"ready: {view.endpoint}" if report.ready else "not ready")

    def _changed(self, key: str, text: str) -> None:
        if self._said.get(key) != text:
            self._said[key] = text
            self._say(text)


def _detached(data: DataDir, prepared: Prepared) -> None:
    typer.echo(_opening(data, prepared))
    os.close(prepared.lock)
    with data.supervisor_log.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "keystead_operator.local", str(data.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if child.poll() is not None:
            fail(last_line_of(data.supervisor_log) or "the supervisor ended without a word", child.returncode or 1)
        if read_report(data).ready:
            typer.echo(f"ready: {endpoint_of(prepared.cluster)} (supervisor pid {child.pid})")
            return
        time.sleep(0.1)
    notes = "; ".join(note.message for note in read_report(data).notes)
    fail(f"not ready after {READY_SECONDS_MAX:.0f} s, and still trying: {notes or 'see keystead status'}")


def down(
    data: DataOption = DATA_DEFAULT,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete DATA and everything in it.")] = False,
) -> None:
    """Stop the cluster of DATA. It is no error if it does not run."""
    opened = open_cluster(data)
    ran = _stop_supervisor(opened)
    try:
        lock = lock_directory(opened.data)
    except CannotStart as problem:
        fail(f"{problem}, and did not stop", problem.exit_code)
    end_left_behind(opened.data, opened.cluster)
    typer.echo("stopped" if ran else "was not running")
    if wipe:
        shutil.rmtree(opened.data.root)
        typer.echo(f"deleted {opened.data.root}")
    os.close(lock)


def _stop_supervisor(opened: OpenCluster) -> bool:
    if not supervisor_runs(opened.data):
        return False
    pid = supervisor_pid(opened.data)
    if pid:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pid = 0
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while supervisor_runs(opened.data) and time.monotonic() < deadline:
        time.sleep(0.1)
    return True
