"""Carries splits out on this node, as the map and the rows say; looks again and again until nothing is left to do.

    planned       the left master chooses the point and has the core append the split record
    in the rows   a replica that belongs to the right group makes it of its own rows; the left master tells the catalog
    in the map    the right master says when every member has its rows (SettleSplit)
    settled       the left replicas let the right half's rows go

What decides is in the core (replication/splitting.py, split/points.py, catalog/splits.py).
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog

from keystead_core.catalog.commands import Command, RefuseSplit, ReportSplit, SettleSplit
from keystead_core.cluster_map import MapDelta, PartitionEntry, SplitPlan
from keystead_core.hosting import brings_rows
from keystead_core.ids import MILLISECOND, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication.events import HostReplica, ProposeSplit
from keystead_core.replication.replica import Replica
from keystead_core.split import points
from keystead_core.split.record import Split, encode_split, membership_of
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.clock import wall_us
from keystead_node.errors import WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.storage.faults import DiskFailed, DiskFull
from keystead_node.storage.row_store import RowStore

log = structlog.get_logger("splits")

LOOK_SECONDS = 0.25
COMMAND_SECONDS = 5.0


class Splitter:
    """`made`: right replicas that were made here since the start."""

    def __init__(self, shell: Shell, keeper: MapKeeper, client: CatalogClient, data_dir: Path) -> None:
        self._shell = shell
        self._keeper = keeper
        self._client = client
        self._directory = data_dir / "splitting"
        self._open: set[PartitionId] = set()
        self._in_rows: set[PartitionId] = set()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._wanted = asyncio.Event()
        self.made = 0
        shell.stores.waste.throw(self._directory)
        self._directory.mkdir(parents=True)
        keeper.awaits_split, keeper.is_source = self.is_going_to_make, self.is_source

    # -- what wakes it ----------------------------------------------------------------------------------------------

    def on_map(self, delta: MapDelta | None) -> None:
        """The map has changed by `delta`; None: it is all new."""
        partitions = self._keeper.map.partitions
        entries = partitions.values() if delta is None or delta.whole else delta.partitions
        for entry in entries:
            if entry.split is not None or entry.left:
                self._open.add(entry.id)
        if self._open or self._in_rows or self._keeper.held:
            self._wanted.set()

    def on_split(self, partition: PartitionId) -> None:
        """A split is in a partition's rows."""
        self._in_rows.add(partition)
        self._wanted.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._look()
            self._keeper.look_at_held()
            if self._open or self._in_rows or self._keeper.held:
                asyncio.get_running_loop().call_later(LOOK_SECONDS, self._wanted.set)

    def _look(self) -> None:
        partitions = self._keeper.map.partitions
        for partition in list(self._open):
            entry = partitions.get(partition)
            if entry is None or (entry.split is None and not entry.left):
                self._open.discard(partition)
                continue
            if entry.split is not None and not entry.split.done:
                self._propose_soon(entry, entry.split)
            if entry.left:
                self._keeper.look_again(entry)
                self._settle_soon(entry)
        for partition in list(self._in_rows):
            self._follow(partition)

    def _soon(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """One piece of work of a name at a time."""
        if what in self._under_way:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[what] = task
        task.add_done_callback(lambda done: self._under_way.pop(what, None))

    # -- the left master ----------------------------------------------------------------------------------------------

    def _mastered(self, partition: PartitionId) -> Replica | None:
        r = self._shell.core.replicas.get(partition)
        return r if r is not None and r.mastership is not None and r.mastership.serving else None

    def _propose_soon(self, entry: PartitionEntry, plan: SplitPlan) -> None:
        r = self._mastered(entry.id)
        if r is not None and not any(split.right == plan.right for _, split in r.log.splits):
            self._soon(f"propose {entry.id}", self._propose(entry, plan))

    async def _propose(self, entry: PartitionEntry, plan: SplitPlan) -> None:
        rows = await self._shell.stores.get(entry.id).open()
        if rows.splits():
            return  # One at a time, until it is settled: so the catalog hears of them in order.
        low, high = rows.row_range() or (entry.low, entry.high)
        try:
            at = await self._point(rows, entry, plan)
        except points.NoSplitPoint as refusal:
            log.warning("not split", partition=entry.id, why=str(refusal))
            await self._tell(RefuseSplit(entry.id, plan.right, str(refusal)))
            return
        # Of the map's quorum only what exceeds a majority is a rule.
        majority = len(plan.members) // 2 + 1
        minimum = entry.write_quorum if entry.write_quorum > majority else 0
        lease = self._shell.core.settings.lease // MILLISECOND * MILLISECOND
        split = Split(plan.right, low, at, high, tuple(plan.members), minimum, entry.durable_zones, lease)
        self._shell.post(ProposeSplit(entry.id, encode_split(split), wall_us()))

    async def _point(self, rows: RowStore, entry: PartitionEntry, plan: SplitPlan) -> bytes:
        """Raises NoSplitPoint."""
        low, high = rows.row_range() or (entry.low, entry.high)
        at = plan.at or await self._shell.stores.in_thread(_middle, rows, low, high)
        table = self._keeper.map.tables.get(entry.table)
        if table is not None and any(not index.is_global for index in table.indexes):
            at = points.at_collection(at, low, table.hash_key.type)
        if at <= low or (high is not None and at >= high):
            raise points.NoSplitPoint("the key at which it should be split is not in its range any more")
        return at

    async def _tell(self, command: Command) -> None:
        try:
            reply = await self._client.run(command, seconds=COMMAND_SECONDS)
        except (CatalogUnavailable, WriteOutcomeUnknown):
            return  # It is said again as long as the map does not know.
        if reply.error:
            log.warning("the catalog refused", what=type(command).__name__, error=reply.error, message=reply.message)

    # -- splits that are in rows here -----------------------------------------------------------------------------

    def _follow(self, partition: PartitionId) -> None:
        store = self._shell.stores.opened(partition)
        splits = store.rows.splits() if store is not None and store.rows is not None else []
        if not splits:
            self._in_rows.discard(partition)
            return
        for point, split in splits:
            self._make_soon(partition, point, split)
            right = self._keeper.map.partitions.get(split.right)
            if right is None and not self._keeper.map.is_deleted(split.right):
                if self._mastered(partition) is not None:
                    self._soon(f"report {split.right}", self._report(partition, point, split))
            elif (right is None or not right.left) and f"make {split.right}" not in self._under_way:
                assert store is not None and store.rows is not None
                store.rows.let_go(split)
                self._soon(f"compact {partition}", self._compact(store.rows, split.at, split.high))

    async def _report(self, partition: PartitionId, point: LogPoint, split: Split) -> None:
        await self._tell(ReportSplit(partition, encode_split(split), point.epoch))

    def _make_soon(self, partition: PartitionId, point: LogPoint, split: Split) -> None:
        replica = self._replica_to_make(split)
        if replica is None:
            return
        event = HostReplica(split.right, replica, membership_of(split, point.epoch), point)
        self._soon(f"make {split.right}", self._make(partition, event, split))

    def _replica_to_make(self, split: Split) -> ReplicaId | None:
        """Of the right group; None where this node makes none, or has made it."""
        core = self._shell.core
        replica = next((member.replica for member in split.members if member.node == core.id), None)
        if replica is None or split.right in core.replicas or core.tombstones.get(split.right, 0) >= replica:
            return None
        return None if self._keeper.map.is_deleted(split.right) else replica

    def is_source(self, partition: PartitionId) -> bool:
        """Whether a right replica here is still to be made of the partition's rows, which have to stay until then."""
        r = self._shell.core.replicas.get(partition)
        if r is None or r.is_log_only:
            return False
        store = self._shell.stores.opened(partition)
        splits = [split for _, split in store.rows.splits()] if store is not None and store.rows is not None else []
        splits += [split for lsn, split in r.log.splits if r.applied_lsn < lsn <= r.commit_lsn]
        return any(self._replica_to_make(split) is not None and not self._is_settled(split) for split in splits)

    def _is_settled(self, split: Split) -> bool:
        right = self._keeper.map.partitions.get(split.right)
        return right is not None and not right.left

    async def _make(self, partition: PartitionId, event: HostReplica, split: Split) -> None:
        """The right replica's rows, durably, and then the replica."""
        stores = self._shell.stores
        staged = self._directory / str(split.right)
        stores.waste.throw(staged)
        rows = await stores.get(partition).open()
        await stores.in_thread(rows.flush)
        if stores.get(partition).rows is not rows or not any(known.right == split.right for _, known in rows.splits()):
            return  # The rows were replaced, or dropped, meanwhile: by others that may have let the right half go.
        # On the loop, so that nothing is applied meanwhile: 4 ms, most of it flushed already.
        rows.checkpoint(staged)
        await stores.in_thread(stores.make_right, staged, event.base, split)
        if self._replica_to_make(split) is None:
            return
        stores.replace_rows(split.right, staged, event.base)
        self._shell.post(event)
        self.made += 1
        made = await stores.get(split.right).open()
        self._soon(f"compact {split.right}", self._compact(made, b"", split.at))
        log.info("split", partition=partition, right=split.right, lsn=event.base.lsn)

    async def _compact(self, rows: RowStore, low: bytes, high: bytes | None) -> None:
        try:
            await self._shell.stores.in_thread(rows.compact, low, high)
        except (DiskFailed, DiskFull) as error:
            log.error("the space of a right half is not given back", error=str(error))

    def is_going_to_make(self, entry: PartitionEntry) -> bool:
        """Whether a replica of the left group that is here, or is to come, makes the right one of its rows."""
        node = self._shell.core.id
        if not entry.left or not any(t.node == node for t in entry.founders):
            return False
        left = self._shell.core.replicas.get(entry.left)
        if left is None or left.is_log_only:
            return left is None and brings_rows(self._keeper.map.partitions.get(entry.left), node)
        store = self._shell.stores.get(entry.left)
        if store.rows is None:
            self._shell.stores.open_soon(store)  # What they know of splits is seen then.
            return True
        known = self._shell.stores.ranges.get(entry.left)
        is_behind = known is None or known[1] is None or known[1] > entry.low
        return is_behind or any(split.right == entry.id for _, split in store.rows.splits())

    # -- the right master -------------------------------------------------------------------------------------------

    def _settle_soon(self, entry: PartitionEntry) -> None:
        r = self._mastered(entry.id)
        if r is None or r.mastership is None or r.membership is None:
            return
        level = {r.id, *(replica for replica, p in r.mastership.progress.items() if p.level)}
        if all(member.replica in level for member in r.membership.voters):
            self._soon(f"settle {entry.id}", self._tell(SettleSplit(entry.id)))

    def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()


def _middle(rows: RowStore, low: bytes, high: bytes | None) -> bytes:
    """The row at which the bytes are halved. In a thread. Raises NoSplitPoint."""
    total = sum(weight for _, weight in rows.weights(low, high))
    if not total:
        return points.by_hash(low, high)
    return points.by_weight(rows.weights(low, high), total)
