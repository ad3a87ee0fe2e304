"""LocalSubstrate: carries plans out on this machine."""

import os
import socket
import time
from typing import Any, assert_never

import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_operator.admin_client import AdminClient
from keystead_operator.catalog_access import CatalogAccess
from keystead_operator.local.cluster_file import ClusterFile, Place, write_cluster_file
from keystead_operator.local.files import DataDir, remove_tree, replace_file
from keystead_operator.local.objects import ObjectStore
from keystead_operator.local.preflight import LOOPBACK, free_ports, port_is_free
from keystead_operator.local.processes import NodeProcess
from keystead_operator.node_status import NodeStatus, partition_bytes
from keystead_operator.plan.actions import (
    Action,
    AddNode,
    ChangeIndexes,
    CreateTable,
    DeleteTable,
    ForgetTable,
    FormCatalog,
    GiveUpVolume,
    GrowVolume,
    MarkBootstrapped,
    MarkLeft,
    NameFounders,
    PlanSplit,
    RemoveNode,
    RestartNode,
    SetTarget,
    StartNode,
    StopNode,
    UpdateSettings,
    UpdateTable,
)
from keystead_operator.plan.state import Desired, Observed, ObservedNode
from keystead_operator.spec.capacity import SETTINGS
from keystead_operator.spec.resources import cluster_spec, declared_table
from keystead_operator.substrate import ActionFailed


class LocalSubstrate:
    """One data directory, whose lock the caller holds. `statuses` and `map` are those of the last observation."""

    def __init__(self, data: DataDir, cluster: ClusterFile, client: AdminClient) -> None:
        self.data = data
        self.cluster = cluster
        self.objects = ObjectStore(data)
        self.processes = {place.name: NodeProcess(data, place.name) for place in cluster.places}
        self._access = CatalogAccess(client)

    # ---- observing

    async def desired(self) -> Desired:
        (manifest,) = self.objects.list("StorageCluster")
        cluster = cluster_spec(manifest)
        # As node_config has it: what `up --set` says of the nodes' limits goes before the manifest.
        given = {name: value for name, value in self.cluster.settings.items() if name in SETTINGS.values()}
        cluster = msgspec.structs.replace(cluster, capacity={**cluster.capacity, **given})
        tables = [one for one in self.objects.list("Table") if one["spec"]["clusterRef"]["name"] == cluster.name]
        return Desired(cluster, tuple(declared_table(one, cluster) for one in tables), shared_fate_ok=True)

    async def observe(self) -> Observed:
        running = [place for place in self.cluster.places if self.processes[place.name].running]
        await self._access.observe({place.name: admin_address(place) for place in running})
        return Observed(
            nodes=tuple(self._observed(place) for place in self.cluster.places),
            founders=self.cluster.founders,
            bootstrapped=self.cluster.bootstrapped,
            map=self._access.serving_map,
            seconds_down=self._access.seconds_down(),
            known_map=self._access.known_map,
            partition_bytes=partition_bytes(self._access.statuses.values()),
        )

    @property
    def statuses(self) -> dict[str, NodeStatus]:
        return self._access.statuses

    @property
    def map(self) -> ClusterMap | None:
        return self._access.map

    def _observed(self, place: Place) -> ObservedNode:
        process, status = self.processes[place.name], self._access.statuses.get(place.name)
        now = time.monotonic()
        common = ObservedNode(
            name=place.name,
            zone=place.zone,
            running=process.running,
            volume_lost=process.volume_lost(),
            start_in_seconds=process.start_in_seconds(now),
            peer_address=f"{LOOPBACK}:{place.peer_port}",
        )
        if status is None:
            return common
        node = status.node
        return msgspec.structs.replace(
            common,
            reachable=True,
            id=node.id,
            formed=node.formed,
            volume_empty=node.volume_empty,
            room_bytes=node.room_bytes,
            held_bytes=status.held_bytes,
        )

    # ---- executing

    async def execute(self, action: Action) -> None:
        match action:
            case AddNode(name, zone):
                self._add_place(name, zone)
            case StartNode(name):
                await self._start(name)
            case StopNode(name):
                await self.processes[name].kill()
            case RemoveNode(name):
                await self._remove_place(name)
            case RestartNode() | GiveUpVolume() | GrowVolume():
                raise AssertionError(
                    f"a process of this machine has no template, no other machine and no size of volume: {action}"
                )
            case NameFounders(founders):
                self._write(msgspec.structs.replace(self.cluster, founders=founders))
            case FormCatalog():
                await self._access.form(self.cluster.cluster, action)
            case MarkBootstrapped():
                self._write(msgspec.structs.replace(self.cluster, bootstrapped=True))
            case ForgetTable(resource):
                self.objects.remove("Table", resource)
            case (
                MarkLeft()
                | CreateTable()
                | UpdateTable()
                | ChangeIndexes()
                | DeleteTable()
                | UpdateSettings()
                | SetTarget()
                | PlanSplit()
            ):
                await self._access.execute(action)
            case _:
                assert_never(action)

    def _write(self, cluster: ClusterFile) -> None:
        write_cluster_file(self.data, cluster)
        self.cluster = cluster

    def _add_place(self, name: str, zone: str) -> None:
        if self.cluster.place(name) is not None:
            return
        taken = frozenset(
            port for place in self.cluster.places for port in (place.api_port, place.peer_port, place.admin_port)
        )
        wanted = self.cluster.places[-1].api_port + 1 if self.cluster.places else 0
        peer, admin, spare = free_ports(3, avoid=taken | {wanted})
        api = wanted if wanted and wanted not in taken and port_is_free(wanted) else spare
        place = Place(name, zone, api, peer, admin)
        self._write(msgspec.structs.replace(self.cluster, places=(*self.cluster.places, place)))
        self.processes[name] = NodeProcess(self.data, name)

    async def _remove_place(self, name: str) -> None:
        """The volume before the place: whoever is cut off between the two finds the place, and goes on."""
        process = self.processes.pop(name, None)
        if process is not None:
            await process.stop()
            process.release()
        remove_tree(self.data.volume(name))
        for path in (self.data.node_config(name), self.data.node_pid(name), self.data.node_log(name)):
            path.unlink(missing_ok=True)
        kept = tuple(place for place in self.cluster.places if place.name != name)
        self._write(msgspec.structs.replace(self.cluster, places=kept))

    async def _start(self, name: str) -> None:
        place = self.cluster.place(name)
        assert place is not None, f"a plan starts {name}, which has no place"
        config = msgspec.json.encode(node_config(self.data, self.cluster, place, (await self.desired()).cluster))
        replace_file(self.data.node_config(name), config)
        try:
            await self.processes[name].start(time.monotonic())
        except OSError as problem:
            raise ActionFailed(f"{name} cannot be started: {problem}") from problem


def admin_address(place: Place) -> str:
    return f"{LOOPBACK}:{place.admin_port}"


def node_config(data: DataDir, cluster: ClusterFile, place: Place, spec: Any) -> dict[str, Any]:
    """The configuration file of one node process. `spec` is the ClusterSpec."""
    host = socket.gethostname()
    is_audited = spec.audit_log != "off"
    audit = {"audit_log": str(data.audit_log(place.name)), "audit_level": spec.audit_log} if is_audited else {}
    return {
        "cluster": cluster.cluster,
        "name": place.name,
        "zone": place.zone,
        "host": host,
        "disk": f"{host}/{os.stat(data.root).st_dev}",
        "data_dir": str(data.volume(place.name)),
        "api_port": place.api_port,
        "peer_port": place.peer_port,
        "admin_port": place.admin_port,
        "bind": LOOPBACK,
        "insecure_no_auth": True,  # whoever is on this machine may do everything
        "seeds": [f"{LOOPBACK}:{other.peer_port}" for other in cluster.places],
        "catalog_lock_file": str(data.catalog_lock_file),
        "settings": {
            "lease_ms": round(spec.lease_seconds * 1000),
            "lock": spec.lock,
            "reads": spec.reads,
            **audit,
            **spec.capacity,
            **spec.copies,
            **cluster.settings,
        },
    }
