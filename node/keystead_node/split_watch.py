"""Looks at the partitions that are mastered here now and then, and asks for splits of those that have grown too large
or too hot, by themselves or for their table. The decision is the core's (split/triggers.py, split/points.py)."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from keystead_core.catalog.commands import PlanSplit
from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from keystead_core.split import points
from keystead_core.split.triggers import PartitionLoad, SplitRule, Watch, beyond
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.errors import WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell
from keystead_node.storage.faults import DiskFailed, DiskFull
from keystead_node.storage.row_layout import RowRange
from keystead_node.storage.row_store import RowStore
from keystead_node.ui.loads import ReplicaLoad

log = structlog.get_logger("splits")

LOOK_SECONDS = 5.0
COMMAND_SECONDS = 5.0

LoadsOf = Callable[[list[NodeId]], Awaitable[dict[NodeId, list[ReplicaLoad] | str]]]


class SplitWatch:
    """`refusals`: why a partition that asked for it was not split, until it asks again. `loads_of`: what nodes, this
    one besides, say of their replicas."""

    def __init__(
        self, shell: Shell, keeper: MapKeeper, client: CatalogClient, rule: SplitRule, loads_of: LoadsOf
    ) -> None:
        self._loads_of = loads_of
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
        suspects: dict[PartitionId, PartitionLoad] = {}
        for partition in mastered:
            entry = self._keeper.map.partitions.get(partition)
            store = self._shell.stores.opened(partition)
            if partition == CATALOG_PARTITION or entry is None or store is None or store.rows is None:
                continue
            found = heat.of(partition)
            load = PartitionLoad(store.rows.approximate_bytes(), found.read_rate, found.write_rate, found.cpu_share)
            watch = self._watches.setdefault(partition, Watch())
            reason = watch.reason(load, self._rule, now)
            if entry.split or entry.left:
                continue
            if not reason:
                if watch.is_suspect(load, self._rule, now):
                    suspects[partition] = load
                continue
            if reason == "size" and await self._real_bytes(partition, store.rows) <= self._rule.bytes_max:
                continue
            await self._ask(entry, reason, by_traffic=reason == "traffic")
        if suspects:
            await self._compare(suspects, now)

    async def _compare(self, suspects: dict[PartitionId, PartitionLoad], now: float) -> None:
        """Those that are far beyond the other partitions of their tables, as the nodes that master these say."""
        entries = self._keeper.map.partitions
        tables = {entries[partition].table for partition in suspects if partition in entries}
        peers = [entry for entry in entries.values() if entry.table in tables]
        told = await self._loads_of(sorted({entry.master for entry in peers if entry.master} - {self._shell.core.id}))
        seen: dict[str, dict[PartitionId, PartitionLoad]] = {}
        for loads in told.values():
            for one in loads if not isinstance(loads, str) else ():
                entry = entries.get(one.partition)
                if entry is not None and one.serves and one.size >= 0:
                    load = PartitionLoad(one.size, one.read_units, one.write_units, one.cpu)
                    seen.setdefault(entry.table, {})[entry.id] = load
        for partition, load in suspects.items():
            entry, watch = entries.get(partition), self._watches.get(partition)
            store = self._shell.stores.opened(partition)
            if entry is None or watch is None or store is None or store.rows is None:
                continue
            others = [other for id, other in seen.get(entry.table, {}).items() if id != partition]
            # Of a table of which most is not known nothing is said.
            known = 2 * len(others) >= sum(other.table == entry.table for other in peers) - 1
            found = watch.anomaly(load, others if known else [], self._rule, now)
            if found == "size":
                real = PartitionLoad(await self._real_bytes(partition, store.rows), 0.0, 0.0)
                found = beyond(real, others, self._rule)
            if found:
                await self._ask(entry, "anomaly", by_traffic=found == "load")

    async def _real_bytes(self, partition: PartitionId, rows: RowStore) -> int:
        """After a split the other half's rows count until their space is given back: first that, then the answer. 0
        where that cannot be done."""
        span = self._shell.stores.ranges.get(partition)
        if span is not None:
            try:
                await self._shell.stores.in_thread(_give_back, rows, span)
            except (DiskFailed, DiskFull) as problem:
                log.warning("space is not given back", partition=partition, why=str(problem))
                return 0
        return rows.approximate_bytes()

    async def _ask(self, entry: PartitionEntry, reason: str, by_traffic: bool) -> None:
        at = b""
        try:
            if by_traffic:
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
