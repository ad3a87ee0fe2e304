"""LocalSubstrate: carries plans out on this machine."""

import asyncio
import os
import socket
import time
import uuid
from typing import Any, assert_never

import msgspec

from keystead_core.catalog import commands
from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import ClusterMap
from keystead_core.ids import CATALOG_PARTITION, NodeId
from keystead_operator.admin_client import AdminClient, NodeUnreachable, Refused
from keystead_operator.local.cluster_file import ClusterFile, Place, write_cluster_file
from keystead_operator.local.files import DataDir, replace_file
from keystead_operator.local.objects import ObjectStore
from keystead_operator.local.preflight import LOOPBACK, free_ports, port_is_free
from keystead_operator.local.processes import NodeProcess
from keystead_operator.node_status import NodeStatus
from keystead_operator.plan.actions import (
    Action,
    AddNode,
    CreateTable,
    DeleteTable,
    ForgetTable,
    FormCatalog,
    MarkBootstrapped,
    MarkLeft,
    NameFounders,
    SetTarget,
    StartNode,
    StopNode,
    UpdateSettings,
    UpdateTable,
)
from keystead_operator.plan.state import Desired, Founder, Observed, ObservedNode
from keystead_operator.spec.resources import cluster_spec, declared_table
from keystead_operator.substrate import ActionFailed


class LocalSubstrate:
    """One data directory, whose lock the caller holds. `statuses` and `map` are those of the last observation."""

    def __init__(self, data: DataDir, cluster: ClusterFile, client: AdminClient) -> None:
        self.data = data
        self.cluster = cluster
        self.objects = ObjectStore(data)
        self.statuses: dict[str, NodeStatus] = {}
        self.map: ClusterMap | None = None
        self.processes = {place.name: NodeProcess(data, place.name) for place in cluster.places}
        self._client = client
        self._seen_at: dict[NodeId, float] = {}
        self._fence = 0
        self._holder = uuid.uuid4().hex

    # ---- observing

    async def desired(self) -> Desired:
        (manifest,) = self.objects.list("StorageCluster")
        cluster = cluster_spec(manifest)
        tables = [one for one in self.objects.list("Table") if one["spec"]["clusterRef"]["name"] == cluster.name]
        return Desired(cluster, tuple(declared_table(one, cluster) for one in tables), shared_fate_ok=True)

    async def observe(self) -> Observed:
        await asyncio.gather(*(self._ask(place) for place in self.cluster.places))
        self.map = await self._read_map()
        return Observed(
            nodes=tuple(self._observed(place) for place in self.cluster.places),
            founders=self.cluster.founders,
            bootstrapped=self.cluster.bootstrapped,
            map=self.map if self.map is not None and self.map.version > 0 else None,
            seconds_down=self._seconds_down(),
        )

    def _seconds_down(self) -> dict[NodeId, float]:
        """For each registered node id, how long this supervisor has not heard of it."""
        now = time.monotonic()
        for status in self.statuses.values():
            self._seen_at[status.node.id] = now
        registered = self.map.nodes if self.map is not None else {}
        return {node: now - self._seen_at.setdefault(node, now) for node in registered}

    async def _ask(self, place: Place) -> None:
        if not self.processes[place.name].running:
            self.statuses.pop(place.name, None)
            return
        try:
            self.statuses[place.name] = await self._client.status(admin_address(place))
        except NodeUnreachable:
            self.statuses.pop(place.name, None)

    async def _read_map(self) -> ClusterMap | None:
        """The map of the catalog's master: only it is sure to be whole and current."""
        for place in self._catalog_masters():
            try:
                return await self._client.map(admin_address(place))
            except NodeUnreachable:
                continue
        return None

    def _catalog_masters(self) -> list[Place]:
        """The places whose catalog replica says that it is master, the latest epoch first."""
        found = []
        for name, status in self.statuses.items():
            replica = status.replica_of(CATALOG_PARTITION)
            place = self.cluster.place(name)
            if replica is not None and replica.role == "master" and place is not None:
                found.append((replica.epoch, place))
        return [place for _, place in sorted(found, key=lambda item: item[0], reverse=True)]

    def _observed(self, place: Place) -> ObservedNode:
        process, status = self.processes[place.name], self.statuses.get(place.name)
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
            common, reachable=True, id=node.id, formed=node.formed, volume_empty=node.volume_empty
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
            case NameFounders(founders):
                self._write(msgspec.structs.replace(self.cluster, founders=founders))
            case FormCatalog():
                await self._form(action)
            case MarkBootstrapped():
                self._write(msgspec.structs.replace(self.cluster, bootstrapped=True))
            case MarkLeft(node, only_if_empty):
                fence = await self._office()
                await self._command(commands.NodeLeft(node=node, fence=fence, only_if_empty=only_if_empty))
            case CreateTable(table):
                seed, fence = uuid.uuid4().bytes, await self._office()
                await self._command(commands.CreateTable(table=table, seed=seed, at=time.time(), fence=fence))
            case UpdateTable(table, manager):
                await self._command(commands.UpdateTable(table=table, manager=manager, fence=await self._office()))
            case DeleteTable(name, manager, table_id):
                fence = await self._office()
                await self._command(commands.DeleteTable(name=name, manager=manager, table_id=table_id, fence=fence))
            case ForgetTable(resource):
                self.objects.remove("Table", resource)
            case UpdateSettings(settings):
                await self._command(commands.UpdateSettings(settings=settings, fence=await self._office()))
            case SetTarget(partition, target):
                fence = await self._office()
                await self._command(commands.SetTarget(partition=partition, target=list(target), fence=fence))
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

    async def _start(self, name: str) -> None:
        place = self.cluster.place(name)
        assert place is not None, f"a plan starts {name}, which has no place"
        config = msgspec.json.encode(node_config(self.data, self.cluster, place, (await self.desired()).cluster))
        replace_file(self.data.node_config(name), config)
        try:
            await self.processes[name].start(time.monotonic())
        except OSError as problem:
            raise ActionFailed(f"{name} cannot be started: {problem}") from problem

    async def _form(self, action: FormCatalog) -> None:
        place = self.cluster.place(action.name)
        assert place is not None, f"a plan forms the catalog on {action.name}, which has no place"
        body = {
            "cluster": self.cluster.cluster,
            "members": [_member(founder) for founder in action.founders],
            "settings": msgspec.to_builtins(action.settings),
        }
        try:
            await self._client.post(admin_address(place), "/catalog/form", body)
        except (NodeUnreachable, Refused) as problem:
            raise ActionFailed(f"{action.name} does not form the catalog: {problem}") from problem

    async def _office(self) -> int:
        """The number under which this supervisor commands; taken once, and again after a later one was taken."""
        if not self._fence:
            answer = await self._command(commands.Fence(holder=self._holder, lease_transitions=0))
            self._fence = msgspec.convert(answer["reply"], CatalogReply).fence
        return self._fence

    async def _command(self, command: commands.Command) -> dict[str, Any]:
        body = command_json(command)
        masters = self._catalog_masters()
        others = [place for place in self.cluster.places if place.name in self.statuses and place not in masters]
        last: Exception | None = None
        for place in (*masters, *others):
            try:
                return await self._client.post(admin_address(place), "/catalog/command", body)
            except Refused as problem:
                self._fence = 0
                raise ActionFailed(str(problem)) from problem
            except NodeUnreachable as problem:
                last = problem
        raise ActionFailed(f"no node takes commands to the catalog: {last or 'none answers'}")


def admin_address(place: Place) -> str:
    return f"{LOOPBACK}:{place.admin_port}"


def command_json(command: commands.Command) -> dict[str, Any]:
    """A catalog command as the admin port takes it: {"type": its name, field: value, ...}; bytes are base64."""
    fields = {name: msgspec.to_builtins(getattr(command, name)) for name in command.__struct_fields__}
    return {"type": type(command).__name__, **fields}


def _member(founder: Founder) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(founder)
    return body


def node_config(data: DataDir, cluster: ClusterFile, place: Place, spec: Any) -> dict[str, Any]:
    """The configuration file of one node process. `spec` is the ClusterSpec."""
    host = socket.gethostname()
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
        "seeds": [f"{LOOPBACK}:{other.peer_port}" for other in cluster.places],
        "catalog_lock_file": str(data.catalog_lock_file),
        "settings": {
            "lease_ms": round(spec.lease_seconds * 1000),
            "lock": spec.lock,
            "reads": spec.reads,
            **cluster.settings,
        },
    }
