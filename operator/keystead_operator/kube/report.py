"""What a round amounts to for people: the statuses of a StorageCluster and its Tables."""

import asyncio
import time
from typing import Final

import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_operator.cluster_view import ClusterView, TableView
from keystead_operator.kube.cache import Cache
from keystead_operator.kube.client import KubeClient
from keystead_operator.kube.infrastructure import Applier
from keystead_operator.kube.seen import Json, Key, SeenCluster, SeenTable
from keystead_operator.kube.status_writer import StatusWriter
from keystead_operator.kube.substrate import KubeSubstrate
from keystead_operator.manifests.frame import LABEL_CLUSTER, LABEL_NAME, NAME
from keystead_operator.manifests.policies import disruption_budget
from keystead_operator.plan.actions import Action, ChangeIndexes, CreateTable, DeleteTable, Note, UpdateTable
from keystead_operator.plan.splits import SPLITTING
from keystead_operator.quorum import disruptions_allowed
from keystead_operator.rescale_progress import RescaleProgress, progress
from keystead_operator.spec.resources import DeclaredTable
from keystead_operator.status import Condition, cluster_status, table_conditions, table_status
from keystead_operator.substrate import Round

WRITES_AT_ONCE: Final = 16
BUSY_WAITS: Final = (
    "RolloutWaiting",
    "RolloutStopped",
    "WaitingForNodes",
    "FounderAway",
    "Suspended",
    "CatalogAway",
    "Throttled",
)


class Reporter:
    """Keeps the last map known, so that a cluster whose catalog is away is still described. `settled`: what was
    reported last is where things should be."""

    def __init__(self, client: KubeClient, cache: Cache, applier: Applier) -> None:
        self.settled = False
        self._cache = cache
        self._applier = applier
        self._writer = StatusWriter(client, cache)
        self._last_map: ClusterMap | None = None
        self._rescale: RescaleProgress | None = None

    async def report(self, substrate: KubeSubstrate, done: Round) -> None:
        """Writes what changed. Raises KubeError."""
        self._last_map = substrate.access.known_map
        view = substrate.view()
        notes = _notes(done)
        await self._budget(substrate, view)
        level = await self._report_tables(substrate, done, view, notes)
        self.settled = view.serving and level
        await self._report_cluster(substrate, done, view, notes)

    async def _budget(self, substrate: KubeSubstrate, view: ClusterView) -> None:
        """Before the catalog is formed nothing is there to be guarded."""
        nodes = len(substrate.places)
        if nodes and view.map_version is not None:
            kept = max(0, nodes - disruptions_allowed(view))
            await self._applier.apply(disruption_budget(substrate.frame, kept))

    async def _report_cluster(
        self, substrate: KubeSubstrate, done: Round, view: ClusterView, notes: dict[str, list[Note]]
    ) -> None:
        resource = substrate.resource
        mine = notes.get(f"StorageCluster/{resource.head.name}", [])
        busy = [_what(action) for action in done.plan.actions[:3]]
        busy += [note.message for note in mine if note.reason in BUSY_WAITS]
        self._rescale = progress(self._rescale, done.plan.moves, time.time())
        status = cluster_status(view, mine, busy, self._rescale)
        identity = substrate.identity.now
        if identity is not None:
            status["clusterId"] = identity.cluster_id
            status["bootstrapped"] = identity.bootstrapped
            status["founders"] = [
                {"node": one.node_id, "name": one.name, "zone": one.zone, "replica": one.replica_id}
                for one in identity.founders
            ]
        status["selector"] = f"{LABEL_NAME}={NAME},{LABEL_CLUSTER}={resource.head.name}"
        await self._writer.cluster(resource, status)

    async def _report_tables(
        self, substrate: KubeSubstrate, done: Round, view: ClusterView, notes: dict[str, list[Note]]
    ) -> bool:
        """Gives whether every table is as it should be."""
        declared = {one.resource: one for one in done.desired.tables}
        views = {table.name: table for table in view.tables}
        due: list[tuple[SeenTable, Json]] = []
        level = True
        for seen in self._cache.tables.of_cluster(substrate.key):
            spec = declared.get(seen.head.name)
            if spec is None:
                continue
            table = views.get(spec.name)
            mine = table if table is not None and table.managed_by == spec.managed_by else None
            told = notes.get(f"Table/{seen.head.name}", [])
            status = _table_status(view, mine, spec, told, self._last_map)
            level = (
                level and status["conditions"][0]["status"] == "True" and status["conditions"][2]["status"] == "False"
            )
            due.append((seen, status))
        await self._write_all(due)
        return level

    async def report_failure(self, resource: SeenCluster, why: str) -> None:
        """A round ended before anything could be observed: what was said last stands, and why nothing is done. Raises
        KubeError."""
        said = {one["type"]: one for one in resource.status.get("conditions", ())}
        told = [
            Condition("Progressing", "False", "NotReconciled", why),
            Condition("Degraded", "True", "NotReconciled", why),
        ]
        conditions = {"Available": msgspec.to_builtins(Condition("Available", "Unknown", "NotReconciled", why))}
        conditions |= said | {one.type: msgspec.to_builtins(one) for one in told}
        await self._writer.cluster(resource, {**resource.status, "conditions": list(conditions.values())})

    async def report_without_cluster(self, key: Key) -> None:
        """The tables of a StorageCluster that does not exist. Raises KubeError."""
        message = f"there is no StorageCluster {key[1]}"
        conditions = [
            Condition("Available", "False", "ClusterMissing", message),
            Condition("Progressing", "False", "ClusterMissing", message),
            Condition("Degraded", "True", "ClusterMissing", message),
        ]
        status: Json = {"conditions": [msgspec.to_builtins(one) for one in conditions]}
        await self._write_all([(seen, status) for seen in self._cache.tables.of_cluster(key)])

    async def _write_all(self, due: list[tuple[SeenTable, Json]]) -> None:
        for start in range(0, len(due), WRITES_AT_ONCE):
            batch = due[start : start + WRITES_AT_ONCE]
            await asyncio.gather(*(self._writer.table(seen, status) for seen, status in batch))


def _table_status(
    view: ClusterView, table: TableView | None, spec: DeclaredTable, notes: list[Note], known: ClusterMap | None
) -> Json:
    said = "; ".join(note.message for note in notes)
    status = table_status(view, table, table_conditions(view, table, said))
    status["capacity"] = f"{spec.read_units} read, {spec.write_units} write" if spec.read_units else "on demand"
    if table is not None and known is not None:
        status["tableId"] = known.tables[table.name].table_id
        pending = [note.message for note in notes if note.reason in ("ChangeNotSupported", "DeletionProtected")]
        if pending:
            status["pendingChanges"] = pending
        splitting = [note.message for note in notes if note.reason == SPLITTING]
        if splitting:
            status["splits"] = splitting[0]
    return status


def _notes(done: Round) -> dict[str, list[Note]]:
    """The planner's notes and the failures of the round, by their subject."""
    found: dict[str, list[Note]] = {}
    for note in done.plan.notes:
        found.setdefault(note.subject, []).append(note)
    for failure in done.failures:
        subject = _subject(failure.action, done)
        reason = f"{type(failure.action).__name__}Failed"
        found.setdefault(subject, []).append(Note(subject, reason, failure.message))
    return found


def _subject(action: Action, done: Round) -> str:
    match action:
        case CreateTable(table):
            return table.managed_by
        case UpdateTable(_, manager) | ChangeIndexes(_, manager) | DeleteTable(_, manager, _):
            return manager
        case _:
            return f"StorageCluster/{done.desired.cluster.name}"


def _what(action: Action) -> str:
    """What an action does, in a few words."""
    name = getattr(action, "name", "")
    return f"{type(action).__name__} {name}".strip()
