"""One node put together: volume, core, shell, peers, catalog, API and admin port; and its orderly end."""

import asyncio
import gc
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from keystead_core.cluster_map import ClusterSettings, MapDelta, NodeEntry
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from keystead_core.replication import events as ev
from keystead_core.replication.node import Node
from keystead_node import recovered
from keystead_node.admin import Admin
from keystead_node.api.access_keys import AccessKeys
from keystead_node.api.app import make_handler
from keystead_node.api.audit import Audit, AuditFigures, missing_line
from keystead_node.api.auth import SignatureV4
from keystead_node.api.gate import Gate
from keystead_node.api.http_server import HttpServer
from keystead_node.capacity_figures import CapacityFigures
from keystead_node.catalog_client import CatalogClient
from keystead_node.catalog_host import CatalogHost
from keystead_node.catalog_locks import CatalogLock, FileLock
from keystead_node.clock import boottime_us
from keystead_node.config import EXIT_DISK_FAILED, EXIT_RENOUNCED, MEGABYTE, NodeConfig
from keystead_node.copies import Copies
from keystead_node.errors import WriteOutcomeUnknown
from keystead_node.expiry import PERIOD_SECONDS, ROWS_PER_SECOND, Expiry
from keystead_node.find_peers import PeerFinder
from keystead_node.index_feeder import IndexFeeder
from keystead_node.index_keeper import IndexKeeper
from keystead_node.lease_lock import LeaseLock
from keystead_node.line_file import LineFile
from keystead_node.log_writer import LogWriter
from keystead_node.logs import add_cause
from keystead_node.map_keeper import BOOT_NONCE_BITS, MapKeeper
from keystead_node.metered_backend import MeteredBackend
from keystead_node.metering import Metering
from keystead_node.metrics import STALL_SECONDS, Metrics
from keystead_node.partition_store import PartitionStores
from keystead_node.recoverer import Recoverer
from keystead_node.router import Router
from keystead_node.rows import LocalRows
from keystead_node.shell import Shell
from keystead_node.split_watch import SplitWatch
from keystead_node.splitter import Splitter
from keystead_node.status import node_status
from keystead_node.storage.disk import DiskFailed
from keystead_node.table_use import TableUses
from keystead_node.tls import HANDSHAKE_SECONDS_MAX, Tls
from keystead_node.transport import requests as rq
from keystead_node.transport.addresses import join_address
from keystead_node.transport.codec import Hello
from keystead_node.transport.peers import Peers
from keystead_node.ui.loads import all_loads, own_loads
from keystead_node.ui.pages import Pages

log = structlog.get_logger("node")

HANDOVER_SECONDS_MAX = 3.0
FINISH_SECONDS_MAX = 1.0
LISTEN_BACKLOG = 1024
HOUSEKEEPING_SECONDS = 0.5
FLUSHES_PER_TURN = 4


class PortInUse(Exception):
    """Another process listens on a port of this node."""


class NodeProcess:
    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._exit_reason = ""

    async def run(self) -> int:
        """Serves until SIGTERM, SIGINT or a fatal fault.

        Raises what opening a volume raises, PortInUse, FilesUnusable, DiskFailed.
        """
        config = self.config
        self.tls = Tls(config.tls) if config.tls is not None else None
        self.access_keys = AccessKeys(Path(config.credentials_dir)) if config.credentials_dir else None
        audit_log = config.audit()[0]
        self.audit_lines = LineFile(audit_log, missing_line) if audit_log else None
        volume = await asyncio.to_thread(recovered.open_volume, config)
        try:
            await self._build(volume)
            await self._listen()
            self._start()
            log.info(
                "node started", name=config.name, id=volume.node, boot=volume.boot, replicas=len(self.core.replicas)
            )
            await self._stopping.wait()
            await self._stop()
        finally:
            volume.close()
            if self.audit_lines is not None:
                self.audit_lines.close()
        if self._exit_code == EXIT_DISK_FAILED:
            raise DiskFailed(self._exit_reason)
        return self._exit_code

    async def _build(self, volume: recovered.OpenVolume) -> None:
        config = self.config
        self.volume = volume
        nonce = int.from_bytes(os.urandom(2))
        boot = volume.boot << BOOT_NONCE_BITS | nonce
        seed = int.from_bytes(os.urandom(8))
        self.core = Node(config.replication(), volume.node, boot, volume.replicas, boottime_us(), seed)
        self.metrics = Metrics()
        self.stores = PartitionStores(Path(config.data_dir), volume.row_stores)
        self.log_bytes_max = config.number("log_memory_mb", 64) * MEGABYTE
        self.stores.cold_bytes_max = config.number("cold_log_mb", 64) * MEGABYTE
        hello = Hello(config.cluster, volume.node, boot, address=config.peer_address, requests=rq.announced())
        self.peers = Peers(hello, self._on_message, self._on_request, self._on_peer_lost, self.tls)
        self.shell = Shell(self.core, self.peers, self.stores)
        self.writer = LogWriter(volume.hot_log, volume.disk, self._on_synced, self._on_log_full, self._on_disk_failed)
        self.shell.writer = self.writer
        self.catalog = CatalogHost()
        self.stores.interpreters[CATALOG_PARTITION] = self.catalog
        self.client = CatalogClient(self.shell, self._catalog_lock())
        self.shell.take_lock = self.client.take_lock
        self.keeper = MapKeeper(self.shell, self.catalog, self.client, Path(config.data_dir), self._cluster_settings())
        self.peers.on_greeted = self.keeper.on_greeted
        self.finder = PeerFinder(self.peers, self.keeper, config.seeds, config.peer_address)
        self.keeper.may_found = not volume.may_have_lost_replicas
        self.shell.on_renounced = self.keeper.on_renounced = self._renounce
        self.rows = LocalRows(self.shell)
        self.rows.collection_bytes_max = config.number("item_collection_mb", 10 * 1024) * MEGABYTE
        self.peers.serve_now = self.rows.serve_now
        self.router = Router(self.rows, self.keeper, self.client)
        self.feeder = IndexFeeder(self.shell, self.keeper, self.router, self.client)
        self.indexes = IndexKeeper(self.shell, self.keeper, self.rows, self.feeder)
        self.splitter = Splitter(self.shell, self.keeper, self.client, Path(config.data_dir))
        self.recoverer = Recoverer(self.shell, self.keeper, self.client, Path(config.data_dir))
        self.keeper.on_map, self.keeper.on_mastered = self._on_map, self.indexes.on_partition
        self.stores.on_split = self.splitter.on_split
        self.stores.on_indexes, self.stores.on_changes = self.indexes.on_partition, self.feeder.wake
        self.metering = Metering(self.shell, self.keeper, config.capacity(), boottime_us)
        uses = TableUses(self.metering, self.keeper)
        self.backend = MeteredBackend(self.router, self.metering, uses)
        self.copies = Copies(self.shell, Path(config.data_dir), config.copies())
        loads_of = partial(all_loads, self.shell, self.copies)
        self.split_watch = SplitWatch(self.shell, self.keeper, self.client, config.splits(), loads_of)
        add_cause(self.shell.cause)
        period = config.number("expiry_period_seconds", PERIOD_SECONDS)
        rate = config.number("expiry_rows_per_second", ROWS_PER_SECOND)
        self.expiry = Expiry(self.shell, self.keeper, period, rate, time.time)
        self.metrics.observe(self.shell, self.writer, self.router, self.copies, self.expiry, self.feeder)
        self.metrics.registry.register(CapacityFigures(self.metering, uses))
        self.front = HttpServer(make_handler(self.backend, self._gate(), self.metrics.requests.observe, self._audit()))
        self.admin = Admin(
            self.shell, self.keeper, self.client, self.metrics, self._status, self.stop, self.front, self.tls
        )
        self.admin.pages = Pages(self.shell, self.keeper, self.copies, config.partition_limits()).routes()

    def _gate(self) -> Gate | None:
        keys = self.access_keys
        if keys is None:
            log.warning("the API is open to whoever reaches it: insecure_no_auth is set")
            return None
        return Gate(SignatureV4(lambda: keys.secrets, time.time), lambda: keys.policies)

    def _audit(self) -> Audit | None:
        lines = self.audit_lines
        if lines is None:
            return None
        self.metrics.registry.register(AuditFigures(lines))
        return Audit(self.config.audit()[1], lines.put)

    def _catalog_lock(self) -> CatalogLock | None:
        config = self.config
        if config.catalog_lock is not None:
            return LeaseLock(config.catalog_lock.lease)
        return FileLock(Path(config.catalog_lock_file)) if config.catalog_lock_file else None

    def _cluster_settings(self) -> ClusterSettings:
        config = self.config
        return ClusterSettings(
            partitions=config.number("partitions", 1),
            replicas=config.number("replicas", 3),
            write_quorum=config.number("write_quorum", 0),
            durable_zones=config.number("durable_zones", 2),
            lease_ms=config.number("lease_ms", 1000),
            shared_fate_ok=bool(config.settings.get("shared_fate_ok", False)),
        )

    async def _listen(self) -> None:
        config = self.config
        for what, port, listen in (
            ("peer", config.peer_port, self.peers.listen(config.bind, config.peer_port)),
            ("admin", config.admin_port, self.admin.listen(config.bind, config.admin_port)),
            ("API", config.api_port, self._listen_api()),
        ):
            try:
                await listen
            except OSError as error:
                raise PortInUse(
                    f"{what} port {config.bind}:{port} cannot be used: {error.strerror or error}"
                ) from error

    async def _listen_api(self) -> None:
        loop = asyncio.get_running_loop()
        port, hosts = self.config.api_port, [self.config.bind]
        if self.config.local and self.config.local not in hosts:
            hosts.append(self.config.local)
        door, seconds = (self.tls.api_door, HANDSHAKE_SECONDS_MAX) if self.tls is not None else (None, None)
        self._front_listener = await loop.create_server(
            self.front, hosts, port, backlog=LISTEN_BACKLOG, ssl=door, ssl_handshake_timeout=seconds
        )

    def _start(self) -> None:
        self.keeper.load()
        self.shell.start()
        self.keeper.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        entry = self._node_entry()
        self._tasks = [
            asyncio.ensure_future(self.keeper.register(entry, self.config.cluster)),
            asyncio.ensure_future(self.finder.run()),
            asyncio.ensure_future(self._keep_house()),
            asyncio.ensure_future(self.stores.open_all()),
            asyncio.ensure_future(self.expiry.run()),
            asyncio.ensure_future(self.splitter.run()),
            asyncio.ensure_future(self.recoverer.run()),
            asyncio.ensure_future(self.split_watch.run()),
            asyncio.ensure_future(self.metering.run()),
        ]
        watched = [found.files for found in (self.tls, self.access_keys) if found is not None]
        self._tasks += [asyncio.ensure_future(files.watch()) for files in watched]
        gc.collect()
        gc.freeze()

    def _node_entry(self) -> NodeEntry:
        config = self.config
        return NodeEntry(
            id=self.core.id,
            name=config.name,
            zone=config.zone,
            host=config.host,
            disk=config.disk,
            api_address=join_address(config.advertise, config.api_port),
            peer_address=config.peer_address,
            admin_address=join_address(config.advertise, config.admin_port),
            boot=self.volume.boot,
            state="active",
        )

    # -- what the parts tell each other ---------------------------------------------------------------------------

    def _on_map(self, delta: MapDelta | None) -> None:
        self.indexes.on_map(delta)
        self.splitter.on_map(delta)
        self.recoverer.on_map(delta)

    def _on_message(self, sender: NodeId, boot: int, message: Any) -> None:
        self.shell.on_message(sender, boot, message)

    def _on_synced(self, sequence: int) -> None:
        self.shell.post(ev.Synced(sequence))

    def _on_log_full(self, partitions: list[PartitionId]) -> None:
        for partition in partitions:
            self.shell.post(ev.SealWanted(partition))

    def _on_disk_failed(self, reason: str) -> None:
        self._end(EXIT_DISK_FAILED, reason)
        # Nothing that was acknowledged is at risk, and nothing may be acknowledged any more.
        self._stopping.set()

    def _on_peer_lost(self, node: NodeId) -> None:
        self.shell.post(ev.PeerLost(node))

    def _renounce(self, reason: str) -> None:
        self._end(EXIT_RENOUNCED, reason)
        self.volume.renounce()

    def _end(self, code: int, reason: str) -> None:
        log.error("node ends", code=code, reason=reason)
        self._exit_code, self._exit_reason = code, reason
        self._stopping.set()

    def _status(self) -> dict[str, Any]:
        refusals, room = self.split_watch.refusals, self.volume.room_bytes()
        return node_status(self.config, self.shell, self.keeper, self.volume.held_nothing, refusals, room)

    async def _on_request(self, sender: NodeId, request: rq.Request) -> rq.Answer:
        match request:
            case rq.RunCommand():
                try:
                    return await self.client.run_here(request.command)
                except WriteOutcomeUnknown as error:
                    return rq.Answer(rq.UNKNOWN_OUTCOME, reason=str(error))
            case rq.FollowMap():
                if CATALOG_PARTITION not in self.core.replicas:
                    return rq.Answer(rq.REFUSED, reason="no replica of the catalog here")
                return rq.Answer(rq.OK, value=await self.keeper.source.answer(request))
            case rq.AskUnits():
                return self.metering.answer(sender, request)
            case rq.WhereAre():
                return rq.Answer(rq.OK, value=msgspec.msgpack.encode(self.keeper.where_are(request.nodes)))
            case rq.NodeLoad():
                return rq.Answer(rq.OK, value=msgspec.msgpack.encode(own_loads(self.shell, self.copies)))
            case rq.CopyBegin() | rq.CopyChunk() | rq.CopyEnd():
                return await self.copies.receive(sender, request)
            case _:
                return await self.rows.serve(request)

    # -- housekeeping ---------------------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        """Measures stalls of the loop and space on disk, seals what pins the hot log, flushes rows that lag."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            late = loop.time() - before - HOUSEKEEPING_SECONDS
            if late > STALL_SECONDS:
                self.metrics.stalls.inc()
                self.metrics.stall_seconds.inc(late)
            self._on_log_full(largest_logs(self.core, self.log_bytes_max))
            space = self.writer.hot_log.space()
            if space.is_scarce:
                self._on_log_full([partition for partition, _ in space.pins])
            self.shell.post(ev.Rebalance())
            room = self.volume.room_bytes()
            self.rows.disk_is_short = room == 0
            self.shell.post(ev.RoomMeasured(room))
            await self.stores.in_thread(self.volume.row_stores.flush_lagging, FLUSHES_PER_TURN)

    # -- the end --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ends the process in order: masterships handed over, then everything closed."""
        self._stopping.set()

    async def _stop(self) -> None:
        if self._exit_code == 0:
            await self._hand_over_all()
        self._front_listener.close()
        await self.front.close(FINISH_SECONDS_MAX if self._exit_code == 0 else 0.0)
        for task in self._tasks:
            task.cancel()
        self.indexes.close()
        self.splitter.close()
        self.recoverer.close()
        self.feeder.close()
        await self.admin.close()
        await self.peers.close()
        await self.keeper.close()
        self.writer.close()
        self.stores.close()

    async def _hand_over_all(self) -> None:
        deadline = time.monotonic() + HANDOVER_SECONDS_MAX
        handed: set[PartitionId] = set()
        while time.monotonic() < deadline:
            mastered = [r for r in self.core.replicas.values() if r.mastership is not None and len(r.peers()) > 0]
            if not mastered or not self.peers.links:
                return
            for r in mastered:
                if r.partition not in handed:
                    handed.add(r.partition)
                    self.shell.post(ev.HandOver(r.partition, 0))  # type: ignore[arg-type]
            await asyncio.sleep(0.01)


def largest_logs(core: Node, bytes_max: int) -> list[PartitionId]:
    """The groups to seal so that the unsealed logs together fit into `bytes_max` again, the largest first."""
    excess = sum(r.log.bytes for r in core.replicas.values()) - bytes_max
    if excess <= 0:
        return []
    chosen = []
    for r in sorted(core.replicas.values(), key=lambda r: -r.log.bytes):
        if excess <= -bytes_max // 2:
            break
        excess -= r.log.bytes
        chosen.append(r.partition)
    return chosen
