"""Looks at the partitions that are mastered here now and then, and asks for splits of those that have grown too large
or too hot. The decision is the core's (split/triggers.py, split/points.py)."""

import asyncio

import structlog

from keystead_core.catalog.commands import PlanSplit
from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import CATALOG_PARTITION, PartitionId
from keystead_core.split import points
from keystead_core.split.triggers import PartitionLoad, SplitRule, Watch
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.errors import WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.storage.faults import DiskFailed, DiskFull
from keystead_node.storage.row_store import RowRange, RowStore

log = structlog.get_logger("splits")

LOOK_SECONDS = 5.0
COMMAND_SECONDS = 5.0


class SplitWatch:
    """`refusals`: why a partition that asked for it was not split, until it asks again."""

    def __init__(self, shell: Shell, keeper: MapKeeper, client: CatalogClient, rule: SplitRule) -> None:
        self._shell = shell
        self._keeper = keeper
        self._client = client
        self._rule = rule
        self._watches: dict[PartitionId, Watch] = {}
        self.refusals: dict[PartitionId, str] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        look_seconds = min(LOOK_SECONDS, max(0.5, self._rule.after_seconds / 4))
        while True:
            await asyncio.sleep(look_seconds)
            await self._look(asyncio.get_running_loop().time())

    async def _look(self, now: float) -> None:
        core, heat = self._shell.core, self._shell.heat
        mastered = [p for p, r in core.replicas.items() if r.mastership is not None and r.mastership.serving]
        for gone in self._watches.keys() - set(mastered):
            del self._watches[gone]
            heat.forget(gone)
            self.refusals.pop(gone, None)
        heat.settle(now, core.replicas)
        for partition in mastered:
            entry = self._keeper.map.partitions.get(partition)
            store = self._shell.stores.opened(partition)
            if partition == CATALOG_PARTITION or entry is None or store is None or store.rows is None:
                continue
            found = heat.of(partition)
            load = PartitionLoad(store.rows.approximate_bytes(), found.read_rate, found.write_rate)
            reason = self._watches.setdefault(partition, Watch()).reason(load, self._rule, now)
            if not reason or entry.split or entry.left:
                continue
            if reason == "size" and not await self._is_really_large(partition, store.rows):
                continue
            await self._ask(entry, reason)

    async def _is_really_large(self, partition: PartitionId, rows: RowStore) -> bool:
        """After a split the other half's rows count until their space is given back: first that, then the answer."""
        span = self._shell.stores.ranges.get(partition)
        if span is not None:
            try:
                await self._shell.stores.in_thread(_give_back, rows, span)
            except (DiskFailed, DiskFull) as problem:
                log.warning("space is not given back", partition=partition, why=str(problem))
                return False
        return rows.approximate_bytes() > self._rule.bytes_max

    async def _ask(self, entry: PartitionEntry, reason: str) -> None:
        at = b""
        try:
            if reason == "traffic":
                at = points.by_traffic(self._shell.heat.of(entry.id).in_order())
                at = b"" if at <= entry.low or (entry.high is not None and at >= entry.high) else at
            reply = await self._client.run(PlanSplit(entry.id, at, reason), seconds=COMMAND_SECONDS)
            refusal = reply.message if reply.error else ""
        except points.NoSplitPoint as problem:
            refusal = str(problem)
        except (CatalogUnavailable, WriteOutcomeUnknown) as problem:
            refusal = f"the catalog did not answer: {problem}"
        if refusal:
            self.refusals[entry.id] = f"not split for its {reason}: {refusal}"
            log.warning("not split", partition=entry.id, table=entry.table, reason=reason, why=refusal)
        else:
            self.refusals.pop(entry.id, None)
            log.info("split asked for", partition=entry.id, table=entry.table, reason=reason)


def _give_back(rows: RowStore, span: RowRange) -> None:
    """In a thread: the space of what was deleted on both sides of a range."""
    low, high = span
    if low:
        rows.compact(b"", low)
    if high is not None:
        rows.compact(high, None)
