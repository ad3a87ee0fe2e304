"""Looks at an embedded cluster from outside: what is on disk, and what its nodes answer."""

import asyncio

import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_operator.admin_client import AdminClient, NodeUnreachable
from keystead_operator.cluster_view import ClusterView, NodePlace, cluster_view
from keystead_operator.local.cluster_file import ClusterFile, Place
from keystead_operator.local.files import DataDir
from keystead_operator.local.preflight import LOOPBACK
from keystead_operator.local.processes import left_behind
from keystead_operator.local.substrate import admin_address
from keystead_operator.node_status import NodeStatus
from keystead_operator.rescale_progress import RescaleProgress


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the supervisor knows of a node's process. `last_line`: what it said before it ended, or ""."""

    name: str
    pid: int
    starts: int
    exit_code: int | None
    last_line: str


class NoteReport(msgspec.Struct, frozen=True):
    """Something that the supervisor leaves alone, or failed to do. `subject` is Kind/name."""

    subject: str
    reason: str
    message: str


class SupervisorReport(msgspec.Struct, frozen=True):
    """run/reconcile.json: the supervisor's last pass. `began_at`: seconds since 1970; objects were read after it."""

    ready: bool
    began_at: float = 0.0
    processes: list[ProcessReport] = []
    notes: list[NoteReport] = []
    rescale: RescaleProgress | None = None


EMPTY_REPORT = SupervisorReport(False)


def read_report(data: DataDir) -> SupervisorReport:
    try:
        return msgspec.json.decode(data.reconcile_file.read_bytes(), type=SupervisorReport)
    except (FileNotFoundError, msgspec.DecodeError):
        return EMPTY_REPORT


async def gather_view(data: DataDir, cluster: ClusterFile, client: AdminClient) -> ClusterView:
    """Asks every node, all at once, and merges the answers."""
    answers = await asyncio.gather(*(_ask(client, place) for place in cluster.places))
    report = {one.name: one for one in read_report(data).processes}
    statuses: dict[str, NodeStatus] = {}
    maps: list[ClusterMap] = []
    places = []
    for place, (status, cluster_map, problem) in zip(cluster.places, answers, strict=True):
        if status is not None:
            statuses[place.name] = status
        if cluster_map is not None:
            maps.append(cluster_map)
        pid = status.node.pid if status is not None else left_behind(data, place.name)
        known = report.get(place.name)
        if status is None and not pid:
            code = known.exit_code if known is not None else None
            problem = "not running" if code is None or known is None else _ended(code, known.last_line)
        places.append(as_node_place(data, place, pid, problem))
    newest = max(maps, key=lambda one: one.version, default=None)
    view = cluster_view(cluster.cluster, endpoint_of(cluster), places, statuses, newest)
    return msgspec.structs.replace(view, page=_page_of(cluster, statuses))


def _page_of(cluster: ClusterFile, statuses: dict[str, NodeStatus]) -> str:
    """At the first node that answers."""
    answering = [place for place in cluster.places if place.name in statuses]
    return f"http://{admin_address(answering[0])}/ui" if answering else ""


async def _ask(client: AdminClient, place: Place) -> tuple[NodeStatus | None, ClusterMap | None, str]:
    try:
        status = await client.status(admin_address(place))
    except NodeUnreachable as problem:
        return None, None, str(problem)
    try:
        return status, await client.map(admin_address(place)), ""
    except NodeUnreachable as problem:
        return status, None, str(problem)


def _ended(exit_code: int, last_line: str) -> str:
    how = f"killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
    return f"{how}: {last_line}" if last_line and exit_code > 0 else how


def as_node_place(data: DataDir, place: Place, pid: int, problem: str = "") -> NodePlace:
    return NodePlace(
        name=place.name,
        zone=place.zone,
        port=place.api_port,
        data_dir=str(data.volume(place.name)),
        pid=pid,
        problem=problem,
    )


def endpoint_of(cluster: ClusterFile) -> str:
    """The address for clients: any node serves any request."""
    return f"http://{LOOPBACK}:{cluster.places[0].api_port}" if cluster.places else ""
