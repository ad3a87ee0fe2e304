"""Keeps this node's cluster map current, hosts what the map says, and reports masterships to the catalog.

The map comes from map_source.py, and lies on disk so that a restart without the catalog serves with the last one known.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from keystead_core.catalog.commands import GroupReport, InitCluster, RegisterNode, ReportGroups
from keystead_core.cluster_map import (
    ClusterMap,
    ClusterSettings,
    DeltaMismatch,
    MapDelta,
    NodeEntry,
    PartitionEntry,
    ReplicaTarget,
    Routes,
)
from keystead_core.hosting import Hosted, plan_hosting, plan_removed
from keystead_core.ids import CATALOG_PARTITION, Boot, NodeId, PartitionId
from keystead_core.replication.events import DropReplica, HostReplica, Maintain, Registered, Resume, SetTarget
from keystead_core.replication.membership import Membership
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.catalog_host import CatalogHost
from keystead_node.durable_file import write_durably
from keystead_node.map_source import MapSource
from keystead_node.shell import Shell
from keystead_node.transport.addresses import AddressBook

log = structlog.get_logger("map")

REPORT_PAUSE_SECONDS = 0.02
SAVE_PAUSE_SECONDS = 0.5
BOOT_NONCE_BITS = 16
FATAL_REGISTRATION_ERRORS = ("NodeLeft", "BootTooOld", "WrongCluster")


class KnownCatalog(msgspec.Struct):
    """The catalog's members as last known, with their peer addresses: where a node looks for the map."""

    members: list[tuple[NodeId, str]] = []


class MapKeeper:
    def __init__(
        self,
        shell: Shell,
        catalog: CatalogHost,
        client: CatalogClient,
        data_dir: Path,
        settings: ClusterSettings,
    ) -> None:
        self.routes = Routes()
        self.addresses = AddressBook()
        self.settings = settings
        self.known = KnownCatalog()
        self.registered = False
        self.current = False
        self.may_found = True
        self._shell = shell
        self.source = MapSource(shell, catalog, client)
        self._catalog = catalog
        self._client = client
        self._file = data_dir / "map"
        self._known_file = data_dir / "catalog-members"
        self._targets: dict[PartitionId, SetTarget] = {}
        self._reports: dict[PartitionId, GroupReport] = {}
        self._report_wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._save_timer: asyncio.TimerHandle | None = None
        self._state = ""
        self.on_map: Callable[[MapDelta | None], None] = lambda delta: None
        """The map has changed, by a delta, or is all new (None)."""
        self.on_mastered: Callable[[PartitionId], None] = lambda partition: None
        """A group is mastered here, or its membership has changed."""
        self.awaits_split: Callable[[PartitionEntry], bool] = lambda entry: False
        """Whether a replica here of the group that this one was split from is going to make it."""
        self.is_source: Callable[[PartitionId], bool] = lambda partition: False
        """Whether a replica here has rows that the right group of a split is still to be made of."""
        self.held: set[PartitionId] = set()
        """Partitions whose replicas here would be dropped, were they not such sources."""
        self.on_renounced: Callable[[str], None] = lambda reason: None
        shell.on_mastership = self.on_mastership

    @property
    def map(self) -> ClusterMap:
        return self.routes.map

    def load(self) -> None:
        """The last map known, from disk; a file that cannot be read is as good as none."""
        for path, kind in ((self._file, ClusterMap), (self._known_file, KnownCatalog)):
            try:
                found: Any = msgspec.msgpack.decode(path.read_bytes(), type=kind)
            except FileNotFoundError:
                continue
            except msgspec.MsgspecError as error:
                log.warning("an unreadable file is ignored", path=str(path), error=str(error))
                continue
            if isinstance(found, KnownCatalog):
                self.known = found
            else:
                self.routes = Routes(found)

    def start(self) -> None:
        """With the map from the disk, which may be older than replicas here, until the catalog has named a newer."""
        self._react_to_all()
        self._follow_own_state()
        self.on_map(None)
        self._tasks = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._report())]

    def form(self, members: list[tuple[ReplicaTarget, str]]) -> None:
        """The catalog's first members, with their peer addresses: host its replica here if this node is one."""
        self._remember([(target.node, address) for target, address in members])

    # -- following the map ----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            delta = await self.source.newer(self.map.version)
            if delta is None:
                await asyncio.sleep(0.05)
                continue
            self._take(delta)

    def _take(self, delta: MapDelta) -> None:
        try:
            self.routes.apply_delta(delta)
        except DeltaMismatch:
            self.routes = Routes()
            return
        if delta.whole:
            self._react_to_all()
        else:
            self._react(list(delta.partitions), list(delta.removed_partitions))
        self._follow_own_state()
        self.on_map(delta)
        self._changed.set()
        self._changed = asyncio.Event()
        if self._save_timer is None:
            self._save_timer = asyncio.get_running_loop().call_later(SAVE_PAUSE_SECONDS, self._save)

    async def wait_for_version(self, version: int, seconds: float) -> None:
        """Returns when the map here is of that version or newer, or the time is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.map.version < version:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return

    def _save(self) -> None:
        self._save_timer = None
        self._shell.stores.in_thread(write_durably, self._file, msgspec.msgpack.encode(self.map))

    # -- hosting --------------------------------------------------------------------------------------------------

    def _react_to_all(self) -> None:
        replicas = self._shell.core.replicas
        gone = [p for p in replicas if p not in self.map.partitions and self.map.is_deleted(p)]
        self._react(list(self.map.partitions.values()), gone)

    def _react(self, entries: list, removed: list[PartitionId]) -> None:  # type: ignore[type-arg]
        self._dial()
        for entry in entries:
            awaits = bool(entry.left) and self.awaits_split(entry)
            hosted = self._hosted(entry.id)
            older = not self.current
            for event in plan_hosting(entry, self._shell.core.id, hosted, self.registered, awaits, older):
                if isinstance(event, HostReplica) and event.founding is not None and not self.may_found:
                    log.error("not founding a replica on a damaged volume", partition=entry.id)
                    continue
                if isinstance(event, DropReplica) and self.is_source(entry.id):
                    self.held.add(entry.id)
                    break
                if isinstance(event, SetTarget):
                    if self._targets.get(entry.id) == event:
                        continue
                    self._targets[entry.id] = event
                else:
                    self._targets.pop(entry.id, None)
                self._shell.post(event)
            self._check_report(entry.id)
        gone = {p: found for p in removed if (found := self._hosted(p)) is not None}
        for drop in plan_removed(self.map, gone, removed):
            if self.is_source(drop.partition):
                self.held.add(drop.partition)
            else:
                self._shell.post(drop)

    def look_at_held(self) -> None:
        """Drops what waited for a right group to be made, where it need not wait any more."""
        if not self.held:
            return
        held, self.held = self.held, set()
        known = self.map.partitions
        self._react([known[p] for p in held if p in known], [p for p in held if p not in known])

    def look_again(self, entry: PartitionEntry) -> None:
        """Something that hosting depends on may have changed, beside the map."""
        if entry.id not in self._shell.core.replicas:
            self._react([entry], [])

    def _follow_own_state(self) -> None:
        """Maintenance that the catalog knows of outlives a restart; any other ends with the process."""
        entry = self.map.nodes.get(self._shell.core.id)
        state = entry.state if entry is not None else self._state or "active"
        if state != self._state:
            self._state = state
            self._shell.post(Maintain() if state == "maintenance" else Resume())

    def _hosted(self, partition: PartitionId) -> Hosted | None:
        r = self._shell.core.replicas.get(partition)
        return Hosted.of(r) if r is not None else None

    def _dial(self) -> None:
        """Connects to every node of the map, or before there is one to whom we know of."""
        own = self._shell.core.id
        nodes = [n for n in self.map.nodes.values() if n.id != own and n.state != "left"]
        addresses = [self.addresses.of_entry(n) for n in nodes]
        addresses += [
            self.addresses.of_node(node, address)
            for node, address in self.known.members
            if node != own and node not in self.map.nodes
        ]
        self._shell.peers.dial(list(dict.fromkeys(addresses)))
        entry = self.map.catalog()
        if entry is not None:
            members = [t.node for t in entry.members or entry.target]
            first = [entry.master] if entry.master in members else []
            self._client.members = [*first, *[n for n in members if n not in first]]
            found = [(n, self.map.nodes[n].peer_address) for n in members if n in self.map.nodes]
            if len(found) == len(members) and found != self.known.members:
                self._remember(found)
        elif self.known.members:
            self._client.members = [node for node, _ in self.known.members]

    def on_greeted(self, node: NodeId, boot: Boot, address: str) -> None:
        """A node that speaks from a new address is dialled there."""
        self.hear(node, boot >> BOOT_NONCE_BITS, address)

    def hear(self, node: NodeId, boot: Boot, address: str) -> None:
        if node != self._shell.core.id and self.addresses.hear(node, boot, address):
            self._dial()

    def missing_nodes(self) -> list[NodeId]:
        """Nodes of the map to which no connection leads."""
        links, own = self._shell.peers.links, self._shell.core.id
        return [n.id for n in self.map.nodes.values() if n.id != own and n.id not in links and n.state != "left"]

    def where_are(self, nodes: list[NodeId]) -> list[tuple[NodeId, Boot, str]]:
        """The last address known of each, with its boot."""
        found = [self.addresses.last(node, self.map.nodes.get(node)) for node in nodes]
        return [(node, *last) for node, last in zip(nodes, found, strict=True) if last is not None]

    def _remember(self, members: list[tuple[NodeId, str]]) -> None:
        self.known = KnownCatalog(members)
        write_durably(self._known_file, msgspec.msgpack.encode(self.known))
        self._dial()

    # -- reporting ------------------------------------------------------------------------------------------------

    def on_mastership(self, partition: PartitionId, epoch: int, membership: Membership) -> None:
        log.info("mastership", partition=partition, epoch=epoch, membership_version=membership.version)
        members = [ReplicaTarget(m.replica, m.node, m.zone, m.role) for m in membership.members]
        report = GroupReport(partition, epoch, membership.version, members, self._shell.core.id, membership.epoch)
        self._reports[partition] = report
        self._report_wanted.set()
        self.on_mastered(partition)

    def _check_report(self, partition: PartitionId) -> None:
        """The map lacks what a group mastered here last said: say it again."""
        r = self._shell.core.replicas.get(partition)
        if r is None or r.mastership is None or not r.mastership.serving or partition in self._reports:
            return
        entry = self.map.partitions.get(partition)
        membership = r.log.membership_at(r.commit_lsn)
        if entry is None or membership is None:
            return
        if (entry.epoch, entry.membership_version) < (r.epoch, membership.version):
            self.on_mastership(partition, r.epoch, membership)

    async def _report(self) -> None:
        while True:
            await self._report_wanted.wait()
            self._report_wanted.clear()
            await asyncio.sleep(REPORT_PAUSE_SECONDS)
            reports, self._reports = self._reports, {}
            if CATALOG_PARTITION in reports and not await self._init_cluster(reports[CATALOG_PARTITION]):
                reports.pop(CATALOG_PARTITION)
            try:
                if reports:
                    await self._client.run(ReportGroups(list(reports.values())), seconds=10.0)
            except CatalogUnavailable:
                for partition, report in reports.items():
                    self._reports.setdefault(partition, report)
                self._report_wanted.set()

    async def _init_cluster(self, report: GroupReport) -> bool:
        """The first master of the catalog writes its first command; later ones are answered that it was done."""
        store = self._shell.stores.get(CATALOG_PARTITION)
        await store.open()
        if self._catalog.state is not None and self._catalog.state.cluster:
            return True
        members = sorted(report.members, key=lambda m: m.replica)
        command = InitCluster(self._shell.peers.hello.cluster, members, self.settings)
        try:
            reply = await self._client.run(command)
        except CatalogUnavailable:
            return False
        log.info("catalog formed", error=reply.error)
        return True

    async def register(self, entry: NodeEntry, cluster: str) -> None:
        """Tells the catalog that this node runs, until it has heard it."""
        while not self.registered:
            try:
                reply = await self._client.run(RegisterNode(cluster, entry), seconds=5.0)
            except CatalogUnavailable:
                continue
            if reply.error in FATAL_REGISTRATION_ERRORS:
                self.on_renounced(f"{reply.error}: {reply.message}")
                return
            if reply.error:
                log.warning("registration refused", error=reply.error, message=reply.message)
                await asyncio.sleep(0.5)
                continue
            self.registered = True
            self._shell.post(Registered())
            self._react_to_all()
            while self.map.version < reply.version:
                await self.wait_for_version(reply.version, 60.0)
            self.current = True
            self._react_to_all()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._save_timer is not None:
            self._save_timer.cancel()
        write_durably(self._file, msgspec.msgpack.encode(self.map))
