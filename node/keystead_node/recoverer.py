"""Goes on with a minority on this node, as the map says (docs/decisions/0012); looks again until nothing is left to do.

    given up   whatever is here of the group takes part no more, durably; then the catalog hears how far its log goes
    chosen     all of the log here goes into the rows, and the new partition is made of them

What decides is in the core (replication/retiring.py, catalog/recoveries.py).
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from keystead_core.catalog.commands import ReportRetired
from keystead_core.cluster_map import MapDelta, PartitionEntry, Recovery, Survivor
from keystead_core.hosting import founding_of
from keystead_core.ids import NO_REPLICA, PartitionId
from keystead_core.replication.effects import Retired
from keystead_core.replication.events import Conclude, HostReplica, Retire
from keystead_core.replication.replica import RETIRED, Replica
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.errors import NotMaster, WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.storage.faults import DiskFailed, DiskFull

log = structlog.get_logger("recovery")

LOOK_SECONDS = 0.25
COMMAND_SECONDS = 5.0


class Recoverer:
    """Carries out on this node what the map says of groups that are given up."""

    def __init__(self, shell: Shell, keeper: MapKeeper, client: CatalogClient, data_dir: Path) -> None:
        self._shell = shell
        self._keeper = keeper
        self._client = client
        self._directory = data_dir / "recovering"
        self._open: set[PartitionId] = set()
        self._under_way: dict[PartitionId, asyncio.Task[None]] = {}
        self._retired: dict[PartitionId, Survivor] = {}
        self._wanted = asyncio.Event()
        shell.stores.waste.throw(self._directory)
        self._directory.mkdir(parents=True)
        shell.on_retired = self._on_retired

    def on_map(self, delta: MapDelta | None) -> None:
        """The map has changed by `delta`; None: it is all new."""
        partitions = self._keeper.map.partitions
        entries = partitions.values() if delta is None or delta.whole else delta.partitions
        self._open |= {entry.id for entry in entries if entry.is_recovering}
        if self._open:
            self._wanted.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._look()
            if self._open:
                asyncio.get_running_loop().call_later(LOOK_SECONDS, self._wanted.set)

    def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()

    def _look(self) -> None:
        own = self._shell.core.id
        for partition in list(self._open):
            entry = self._keeper.map.partitions.get(partition)
            recovery = entry.recovery if entry is not None and entry.is_recovering else None
            if entry is None or recovery is None:
                self._open.discard(partition)
                self._retired.pop(partition, None)
            elif partition in self._under_way:
                continue
            elif not recovery.old:
                if own not in recovery.heard:
                    self._begin(partition, self._retire(entry))
            elif recovery.source is not None and recovery.source.node == own:
                self._begin(partition, self._make(entry, recovery))

    def _begin(self, partition: PartitionId, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[partition] = task
        task.add_done_callback(lambda done: self._under_way.pop(partition, None))

    # -- given up ---------------------------------------------------------------------------------------------------

    async def _retire(self, entry: PartitionEntry) -> None:
        """Says what is here, once that takes part no more; the core is asked first."""
        said = self._retired.get(entry.id)
        if said is None:
            await self._open_rows(entry.id)
            named = [place.replica for place in (*entry.target, *entry.members, *entry.founders)]
            nodes = [place.node for place in (*entry.target, *entry.members, *entry.founders)]
            own = [replica for replica, node in zip(named, nodes, strict=True) if node == self._shell.core.id]
            self._shell.post(Retire(entry.id, max(own, default=NO_REPLICA)))
            return
        try:
            reply = await self._client.run(ReportRetired(entry.id, said), seconds=COMMAND_SECONDS)
        except (CatalogUnavailable, WriteOutcomeUnknown):
            return  # It is said again as long as the map does not know.
        if reply.error:
            log.warning("the catalog refused", partition=entry.id, error=reply.error, message=reply.message)

    async def _open_rows(self, partition: PartitionId) -> None:
        """Rows that turn out to be lost are no survivor's: that is to be known before anything is said."""
        r = self._shell.core.replicas.get(partition)
        if r is not None and not r.is_log_only:
            try:
                await self._shell.stores.get(partition).open()
            except NotMaster as lost:
                log.error("the rows here are lost", partition=partition, why=str(lost))

    def _on_retired(self, effect: Retired) -> None:
        last = effect.last
        log.warning(
            "retired: the group is given up",
            partition=effect.partition,
            replica=effect.replica,
            epoch=last.epoch,
            lsn=last.lsn,
            has_rows=effect.has_rows,
        )
        self._retired[effect.partition] = Survivor(self._shell.core.id, last.epoch, last.lsn, effect.has_rows)
        self._wanted.set()

    # -- chosen -----------------------------------------------------------------------------------------------------

    async def _make(self, entry: PartitionEntry, recovery: Recovery) -> None:
        """The new partition's first replica, of all that is in the old one's log."""
        core, stores = self._shell.core, self._shell.stores
        old = core.replicas.get(recovery.old)
        if not self._is_to_be_made(entry) or old is None or old.ineligible != RETIRED or recovery.source is None:
            return
        if old.log.last_lsn != recovery.source.lsn:
            log.error("the log here is not the one that was chosen", partition=entry.id, lsn=old.log.last_lsn)
            return
        self._shell.post(Conclude(recovery.old))
        try:
            rows = await stores.get(recovery.old).open()
            await stores.in_thread(rows.flush)
            if not self._is_whole(old):
                return  # It is looked at again.
            staged = self._directory / str(entry.id)
            stores.waste.throw(staged)
            rows.checkpoint(staged)
            await stores.in_thread(stores.make_heir, staged, recovery.old, old.log.last, (entry.low, entry.high))
        except (NotMaster, DiskFailed, DiskFull) as problem:
            log.error("not recovered yet", partition=entry.id, why=str(problem))
            return
        if not self._is_to_be_made(entry):
            return
        stores.replace_rows(entry.id, staged, old.log.last)
        membership = msgspec.structs.replace(founding_of(entry), epoch=old.log.last.epoch)
        self._shell.post(HostReplica(entry.id, entry.founders[0].replica, membership, old.log.last))
        log.warning("recovered with a minority", partition=entry.id, old=recovery.old, lsn=old.log.last_lsn)

    def _is_to_be_made(self, entry: PartitionEntry) -> bool:
        core = self._shell.core
        if entry.id in core.replicas or self._keeper.map.partitions.get(entry.id) is None:
            return False
        return core.tombstones.get(entry.id, NO_REPLICA) < entry.founders[0].replica

    def _is_whole(self, old: Replica) -> bool:
        store = self._shell.stores.opened(old.partition)
        return store is not None and store.applied_lsn >= old.log.last_lsn
