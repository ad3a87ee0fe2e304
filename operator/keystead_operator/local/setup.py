"""Makes a data directory ready for a supervisor. All that can be refused is refused before anything is written."""

import os
import signal
import time
from typing import Any, Final

import msgspec

from keystead_operator.local.cluster_file import ClusterFile, Place, minted, read_cluster_file, write_cluster_file
from keystead_operator.local.files import DataDir
from keystead_operator.local.objects import ObjectStore
from keystead_operator.local.preflight import (
    EXIT_IN_USE,
    EXIT_NOT_WRITABLE,
    CannotStart,
    check_directory,
    check_ports,
    free_ports,
    is_locked,
    lock_directory,
    port_is_free,
)
from keystead_operator.local.processes import left_behind
from keystead_operator.plan.rescale import node_name
from keystead_operator.spec.crd import API_VERSION

CLUSTER_NAME: Final = "keystead"
PORT_DEFAULT: Final = 8000
NODES_DEFAULT: Final = 3
EXIT_INVALID: Final = 2
LEFT_BEHIND_SECONDS_MAX: Final = 12.0


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `keystead up` was asked for; None: as it is, or the default. `port` 0: any free ports.

    `spec` is laid over the StorageCluster's spec; `settings` go to the node processes.
    """

    port: int | None = None
    nodes: int | None = None
    zones: int | None = None
    spec: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class Prepared(msgspec.Struct, frozen=True):
    """A directory that is locked by this process (`lock`: the descriptor) and ready. `fresh`: made just now."""

    cluster: ClusterFile
    lock: int
    fresh: bool


def prepare(data: DataDir, options: UpOptions) -> Prepared:
    """Checks everything, then writes. Raises CannotStart, objects.Invalid; nothing was touched then."""
    found = check_directory(data)
    lock = lock_directory(data) if data.root.is_dir() else None
    try:
        if found is not None:
            end_left_behind(data, found)
        fresh = found is None
        cluster = _new(options) if found is None else _existing(found, options)
        manifest = _manifest(data, cluster, options)
        ObjectStore(data).checked(manifest)
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
    if lock is None:
        lock = _make_directory(data)
    _write(data, cluster, manifest)
    return Prepared(cluster, lock, fresh)


def _make_directory(data: DataDir) -> int:
    try:
        data.root.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise CannotStart(f"{data.root} cannot be made: {problem.strerror}", EXIT_NOT_WRITABLE) from problem
    lock = lock_directory(data)
    if read_cluster_file(data) is not None:
        os.close(lock)
        raise CannotStart(f"{data.root} was made by another instance just now", EXIT_IN_USE)
    return lock


def _write(data: DataDir, cluster: ClusterFile, manifest: dict[str, Any]) -> None:
    write_cluster_file(data, cluster)
    data.run.mkdir(exist_ok=True)
    data.nodes.mkdir(exist_ok=True)
    data.reconcile_file.unlink(missing_ok=True)
    ObjectStore(data).apply(manifest)


def _new(options: UpOptions) -> ClusterFile:
    nodes = NODES_DEFAULT if options.nodes is None else options.nodes
    zones = min(3, nodes) if options.zones is None else options.zones
    if zones > nodes:
        raise CannotStart(f"{zones} zones need as many nodes; {nodes} are asked for", EXIT_INVALID)
    api_ports = _api_ports(PORT_DEFAULT if options.port is None else options.port, nodes)
    others = free_ports(2 * nodes, avoid=frozenset(api_ports))
    places = tuple(
        Place(node_name(n), zone_name(n % zones), api_ports[n], others[2 * n], others[2 * n + 1]) for n in range(nodes)
    )
    return msgspec.structs.replace(minted(options.settings), places=places)


def _api_ports(first: int, count: int) -> list[int]:
    if first == 0:
        return free_ports(count, consecutive=True)
    ports = list(range(first, first + count))
    check_ports(ports)
    return ports


def zone_name(number: int) -> str:
    return f"zone-{chr(ord('a') + number)}"


def _existing(found: ClusterFile, options: UpOptions) -> ClusterFile:
    """Places keep their zone; API ports stay unless others are asked for; other ports give way when they are taken."""
    zones = {place.zone for place in found.places}
    if options.zones is not None and options.zones != len(zones):
        raise CannotStart(f"the nodes are in {len(zones)} zones already, and stay there", EXIT_INVALID)
    if options.port is None:
        api_ports = [place.api_port for place in found.places]
        check_ports(api_ports)
    else:
        api_ports = _api_ports(options.port, len(found.places))
    spare = iter(free_ports(2 * len(found.places), avoid=frozenset(api_ports)))
    places = tuple(
        msgspec.structs.replace(
            place,
            api_port=api_port,
            peer_port=place.peer_port if port_is_free(place.peer_port) else next(spare),
            admin_port=place.admin_port if port_is_free(place.admin_port) else next(spare),
        )
        for place, api_port in zip(found.places, api_ports, strict=True)
    )
    return msgspec.structs.replace(found, places=places, settings={**found.settings, **options.settings})


def _manifest(data: DataDir, cluster: ClusterFile, options: UpOptions) -> dict[str, Any]:
    """The StorageCluster object: the stored one, or that of a new cluster, with what was asked for laid over it."""
    stored = ObjectStore(data).list("StorageCluster")
    if stored:
        manifest = stored[0]
    else:
        zones = sorted({place.zone for place in cluster.places})
        manifest = {
            "apiVersion": API_VERSION,
            "kind": "StorageCluster",
            "metadata": {"name": CLUSTER_NAME},
            "spec": {
                "nodes": len(cluster.places),
                "zones": {"names": zones},
                "replication": {"replicas": min(3, len(cluster.places))},
                "tls": {"enabled": False},
            },
        }
    # Nodes of this machine listen on loopback alone, and serve whoever is on it.
    spec = _laid_over({"credentials": {"insecureNoAuth": True}, **manifest["spec"]}, options.spec)
    if options.nodes is not None:
        spec = {**spec, "nodes": options.nodes}
    return {**manifest, "spec": spec}


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        result[name] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def end_left_behind(data: DataDir, cluster: ClusterFile) -> None:
    """Ends node processes of this directory whose supervisor was killed. The caller holds the lock."""
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS_MAX
    asked: set[int] = set()
    while pids := [pid for place in cluster.places if (pid := left_behind(data, place.name))]:
        late = time.monotonic() > deadline
        for pid in pids:
            if late or pid not in asked:
                asked.add(pid)
                _signal(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.1)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def supervisor_runs(data: DataDir) -> bool:
    """Whether a supervisor holds the directory."""
    return is_locked(data)
