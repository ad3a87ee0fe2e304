"""The supervisor of an embedded cluster: the reconcile loop over LocalSubstrate, from start to a clean stop."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_operator.admin_client import AdminClient
from keystead_operator.cluster_view import ClusterView, cluster_view
from keystead_operator.local.cluster_file import ClusterFile
from keystead_operator.local.files import DataDir, replace_file
from keystead_operator.local.inspect import (
    NoteReport,
    ProcessReport,
    SupervisorReport,
    as_node_place,
    endpoint_of,
)
from keystead_operator.local.preflight import SupervisorRecord
from keystead_operator.local.substrate import LocalSubstrate
from keystead_operator.plan.actions import ChangeIndexes, CreateTable, DeleteTable, ForgetTable, UpdateTable
from keystead_operator.rescale_progress import progress
from keystead_operator.substrate import Failure, Round, reconcile

STARTING_SECONDS: Final = 0.2
WORKING_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 5.0
GLANCE_SECONDS: Final = 0.2
FATAL_EXIT_CODES: Final = frozenset({3, 4, 5, 6, 7})


class NodeRefused(Exception):
    """A node does not start over its volume, and another try would not help; the message is its own line."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Supervisor:
    """Runs a cluster until `stop` is set. `on_round` sees every new view of it, and whether it is ready."""

    def __init__(
        self, data: DataDir, cluster: ClusterFile, on_round: Callable[[ClusterView, SupervisorReport], None]
    ) -> None:
        self.stop = asyncio.Event()
        self._data = data
        self._cluster = cluster
        self._on_round = on_round
        self._last_map: ClusterMap | None = None
        self._report: SupervisorReport | None = None
        self._ready_once = False
        self._serving_since: float | None = None

    async def run(self) -> None:
        """Raises NodeRefused if a node cannot be started at all, before the cluster was ever ready."""
        replace_file(self._data.supervisor_file, msgspec.json.encode(SupervisorRecord(os.getpid())))
        client = AdminClient()
        substrate = LocalSubstrate(self._data, self._cluster, client)
        try:
            while not self.stop.is_set():
                began_at = time.time()
                done = await reconcile(substrate)
                self._publish(substrate, done, began_at)
                self._check_refusals(substrate)
                await self._rest(substrate, done)
        finally:
            await asyncio.gather(*(process.stop() for process in substrate.processes.values()))
            self._data.supervisor_file.unlink(missing_ok=True)

    def _publish(self, substrate: LocalSubstrate, done: Round, began_at: float) -> None:
        self._last_map = substrate.map or self._last_map
        cluster = substrate.cluster
        view = cluster_view(
            cluster.cluster,
            endpoint_of(cluster),
            [as_node_place(self._data, place, substrate.processes[place.name].pid) for place in cluster.places],
            substrate.statuses,
            self._last_map,
        )
        ready = self._is_ready(substrate, done, view)
        before = self._report.rescale if self._report is not None else None
        rescale = progress(before, done.plan.moves, began_at)
        self._report = report = SupervisorReport(ready, began_at, _processes(substrate), _notes(done), rescale)
        temporary = self._data.reconcile_file.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(report))
        temporary.replace(self._data.reconcile_file)
        self._on_round(view, report)

    def _is_ready(self, substrate: LocalSubstrate, done: Round, view: ClusterView) -> bool:
        """Everything serves, and every node answers and is known to the catalog, so that tables can be placed there; a
        node that stays away does not hold up the others for long."""
        known = [status.node.state != "starting" for status in substrate.statuses.values()]
        if substrate.map is None or not view.serving or not any(known):
            self._serving_since = None
            return False
        if self._serving_since is None:
            self._serving_since = time.monotonic()
        patient = time.monotonic() - self._serving_since > 3 * SETTLED_SECONDS
        is_whole = len(known) == len(substrate.cluster.places) and all(known)
        ready = patient or (is_whole and not done.plan.actions)
        self._ready_once = self._ready_once or ready
        return ready

    def _check_refusals(self, substrate: LocalSubstrate) -> None:
        if self._ready_once:
            return
        for process in substrate.processes.values():
            code = process.exit_code
            if code in FATAL_EXIT_CODES:
                raise NodeRefused(f"{process.name}: {process.last_line()}", code)

    async def _rest(self, substrate: LocalSubstrate, done: Round) -> None:
        """Waits for the next round; less long while there is work, and not at all when something has changed."""
        if not self._ready_once:
            seconds = STARTING_SECONDS
        else:
            seconds = SETTLED_SECONDS if done.settled and self._report and self._report.ready else WORKING_SECONDS
        before = _glance(substrate)
        until = time.monotonic() + seconds
        while not self.stop.is_set() and (left := until - time.monotonic()) > 0 and _glance(substrate) == before:
            try:
                await asyncio.wait_for(self.stop.wait(), min(left, GLANCE_SECONDS))
            except TimeoutError:
                continue


def _glance(substrate: LocalSubstrate) -> tuple[object, ...]:
    """What is cheap to look at and calls for a new round when it changes."""
    processes = substrate.processes.values()
    return (
        substrate.objects.fingerprint(),
        tuple((process.running, process.running and process.volume_lost()) for process in processes),
    )


def _processes(substrate: LocalSubstrate) -> list[ProcessReport]:
    return [
        ProcessReport(
            name=process.name,
            pid=process.pid,
            starts=process.starts,
            exit_code=process.exit_code,
            last_line="" if process.running else process.last_line(),
        )
        for process in substrate.processes.values()
    ]


def _notes(done: Round) -> list[NoteReport]:
    found = [NoteReport(note.subject, note.reason, note.message) for note in done.plan.notes]
    return found + [
        NoteReport(_subject(failure, done), f"{type(failure.action).__name__}Failed", failure.message)
        for failure in done.failures
    ]


def _subject(failure: Failure, done: Round) -> str:
    match failure.action:
        case CreateTable(table):
            return table.managed_by
        case UpdateTable(_, manager) | ChangeIndexes(_, manager) | DeleteTable(_, manager, _):
            return manager
        case ForgetTable(resource):
            return f"Table/{resource}"
        case _:
            return f"StorageCluster/{done.desired.cluster.name}"
