"""The router: any node serves any request. Implements api.backend.Backend over the local shell and the peers.

A request goes to the partition's master: here, or over one hop. While a group has no master the request waits for
one, within bounds: a refusal means that nothing was done, so it may be said again.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from keystead_core.catalog.commands import ChangeTable, CreateTable, DeleteTable, ReportGroups, TableSpec
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import IndexSpec, PartitionEntry, RangeIndex, TableDefinition
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from keystead_core.keyspace import make_row_key, next_key
from keystead_core.log.ops import Change
from keystead_node.api import errors
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.clock import wall_us
from keystead_node.errors import (
    CollectionTooLarge,
    DiskNearlyFull,
    NotMaster,
    Overloaded,
    StaleRange,
    WriteOutcomeUnknown,
)
from keystead_node.map_keeper import MapKeeper
from keystead_node.rows import LocalRows
from keystead_node.storage.row_layout import COLLECTIONS
from keystead_node.transport import requests as rq

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
REQUEST_SECONDS = 5.0
PAUSE_SECONDS_FIRST = 0.005
PAUSE_SECONDS_MAX = 0.05
CREATE_SECONDS = 10.0
MAP_SECONDS = 2.0
"""For a newer map to come that is known to be there."""


class Router:
    def __init__(self, rows: LocalRows, keeper: MapKeeper, client: CatalogClient) -> None:
        self._rows = rows
        self._keeper = keeper
        self._client = client
        self._shell = rows.shell
        self._own = rows.shell.core.id
        self._hints: dict[PartitionId, NodeId] = {}
        self.retries = 0
        self.forwarded = 0

    # -- tables ---------------------------------------------------------------------------------------------------

    def table(self, name: str) -> TableDefinition | None:
        return self._keeper.map.tables.get(name)

    async def resolve_table(self, name: str) -> TableDefinition | None:
        await self._catch_up()
        return self.table(name)

    async def _catch_up(self) -> None:
        """Brings the map to what the catalog has now, by a command that changes nothing. Raises Unavailable as long as
        this node has none: that it knows no table says nothing then."""
        try:
            reply = await self._client.run(ReportGroups([]), seconds=PATIENCE_SECONDS)
            await self._keeper.wait_for_version(reply.version, MAP_SECONDS)
        except CatalogUnavailable:
            pass  # The catalog is away: the last known map is what there is.
        if not self._keeper.map.version:
            raise errors.Unavailable("This node has not heard yet which tables there are")

    async def create_table(self, definition: TableDefinition, indexes: list[IndexSpec]) -> TableDefinition:
        spec = TableSpec(
            name=definition.name,
            hash_key=definition.hash_key,
            range_key=definition.range_key,
            partitions=definition.partitions,
            replicas=definition.replicas,
            write_quorum=definition.write_quorum,
            durable_zones=definition.durable_zones,
            managed_by=definition.managed_by,
            deletion_protection=definition.deletion_protection,
            tags=definition.tags,
            billing_mode=definition.billing_mode,
            read_units=definition.read_units,
            write_units=definition.write_units,
        )
        return await self._table_command(
            CreateTable(spec, os.urandom(16), wall_us() / 1e6, options=definition.options, indexes=indexes)
        )

    async def change_table(
        self, name: str, change: TableChange, new_index: IndexSpec | None = None, old_index: str = ""
    ) -> TableDefinition:
        return await self._table_command(ChangeTable(name, change, wall_us() / 1e6, new_index, old_index))

    async def delete_table(self, name: str) -> TableDefinition:
        return await self._table_command(DeleteTable(name))

    async def _table_command(self, command: CreateTable | ChangeTable | DeleteTable) -> TableDefinition:
        try:
            reply = await self._client.run(command, seconds=CREATE_SECONDS, repeat=False)
        except CatalogUnavailable as error:
            raise errors.Unavailable("The catalog cannot be reached: tables cannot be changed now") from error
        except WriteOutcomeUnknown as error:
            raise errors.OutcomeUnknown() from error
        if reply.error or reply.table is None:
            raise errors.table_error(reply.error, reply.message)
        await self._keeper.wait_for_version(reply.version, MAP_SECONDS)
        return reply.table

    async def list_tables(self) -> list[str]:
        await self._catch_up()
        return [name for name, table in self._keeper.map.tables.items() if not table.index_of]

    # -- rows -----------------------------------------------------------------------------------------------------

    async def write(self, table: TableDefinition, row_key: bytes, value: bytes | None, want_old: bool) -> bytes | None:
        async def write(entry: PartitionEntry) -> bytes | None:
            request = rq.WriteRow(entry.id, entry.generation, row_key, value, want_old)
            return await self._write_at_master(
                entry, request, lambda: self._rows.write(entry.id, entry.generation, row_key, value, want_old)
            )

        return await self._in_range(table, partial(_holder, row_key), write)

    async def write_rows(self, table: TableDefinition, changes: list[Change]) -> list[Exception | None]:
        by_partition: dict[PartitionId, tuple[PartitionEntry, list[int]]] = {}
        routes = self._keeper.routes.table(table.name)
        for number, (row_key, _) in enumerate(changes):
            entry = routes.find(row_key) if routes is not None else None
            if entry is None:
                entry = await self._look_up(table, partial(_holder, row_key))
            by_partition.setdefault(entry.id, (entry, []))[1].append(number)
        parts = list(by_partition.values())
        if len(parts) == 1:
            return await self._write_part(table, parts[0][0], changes)
        found = await asyncio.gather(
            *(self._write_part(table, entry, [changes[number] for number in numbers]) for entry, numbers in parts)
        )
        outcomes: list[Exception | None] = [None] * len(changes)
        for (_, numbers), failures in zip(parts, found, strict=True):
            for number, failure in zip(numbers, failures, strict=True):
                outcomes[number] = failure
        return outcomes

    async def _write_part(
        self, table: TableDefinition, entry: PartitionEntry, changes: list[Change]
    ) -> list[Exception | None]:
        """Together, if the master can be reached at once and has nothing against any of them; else each by itself."""
        if len(changes) > 1:
            request = rq.WriteRows(entry.id, entry.generation, changes)
            try:
                answer = await self._ask(self._guess(entry, 0), request, writes=True)
            except errors.OutcomeUnknown as error:
                return [error] * len(changes)
            if answer.status == rq.OK:
                return [None] * len(changes)
            if answer.status in (rq.UNKNOWN_OUTCOME, rq.OVERLOADED):
                return [_status_error(answer)] * len(changes)
            if answer.status == rq.NOT_MASTER:
                self._hints[entry.id] = NodeId(answer.hint)
        outcomes = await asyncio.gather(
            *(self.write(table, row_key, value, False) for row_key, value in changes), return_exceptions=True
        )
        return [errors.failure_of(outcome) for outcome in outcomes]

    async def change(self, table: TableDefinition, row_key: bytes, change: bytes) -> bytes:
        async def at(entry: PartitionEntry) -> bytes | None:
            request = rq.ChangeRow(entry.id, entry.generation, row_key, change)
            return await self._write_at_master(entry, request, lambda: self._rows.change(entry.id, row_key, change))

        outcome = await self._in_range(table, partial(_holder, row_key), at)
        assert outcome is not None
        return outcome

    async def _write_at_master(
        self, entry: PartitionEntry, request: rq.Request, here: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """`here` does what the request asks for on this node. Raises ApiError, StaleRange."""
        if self._shell.master_of(entry.id) == self._own:
            try:
                return await here()
            except NotMaster:
                pass
            except (WriteOutcomeUnknown, Overloaded, DiskNearlyFull, CollectionTooLarge) as error:
                raise _api_error(error) from error
        return (await self._at_master(entry, lambda: request, writes=True)).value

    async def read(self, table: TableDefinition, row_key: bytes, consistent: bool) -> bytes | None:
        async def read(entry: PartitionEntry) -> bytes | None:
            try:
                if await self._may_read_here(entry, consistent):
                    return await self._rows.get(entry.id, row_key, consistent)
            except NotMaster:
                pass  # The rows here have just turned out to be lost.
            request = rq.ReadRow(entry.id, entry.generation, row_key, consistent)
            return (await self._at_master(entry, lambda: request, writes=False)).value

        return await self._in_range(table, partial(_holder, row_key), read)

    async def _may_read_here(self, entry: PartitionEntry, consistent: bool) -> bool:
        if consistent:
            return not await self._shell.await_read(entry.id)
        return self._rows.has_rows(entry.id)

    async def scan(
        self,
        table: TableDefinition,
        low: bytes,
        high: bytes | None,
        consistent: bool,
        max_rows: int,
        max_bytes: int,
        backwards: bool = False,
        index: int = 0,
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        found: list[tuple[bytes, bytes]] = []
        while True:
            wanted = rq.ScanRows(
                CATALOG_PARTITION, 0, low, high, consistent, max_rows - len(found), max_bytes, backwards, index
            )
            find = partial(_next_of_scan, low, high, backwards)
            request, answer = await self._in_range(table, find, partial(self._scan_in, wanted))
            first, end = request.low, request.high
            found += answer.rows
            max_bytes -= sum(len(value) for _, value in answer.rows)
            full = answer.more or len(found) >= max_rows or max_bytes <= 0
            if full and found:
                return found, found[-1][0]
            if (first == low) if backwards else (end is None or end == high):
                return found, None
            if backwards:
                high = first
            else:
                assert end is not None
                low = end

    async def _scan_in(self, wanted: rq.ScanRows, entry: PartitionEntry) -> tuple[rq.ScanRows, rq.Answer]:
        """As much of what is wanted as lies in a partition's range, and the answer."""
        low, high = wanted.low, wanted.high
        if wanted.backwards:
            low = max(low, entry.low)
        if entry.high is not None:
            high = entry.high if high is None else min(high, entry.high)
        request = msgspec.structs.replace(wanted, partition=entry.id, generation=entry.generation, low=low, high=high)
        return request, await self._scan_one(entry, request)

    async def _scan_one(self, entry: PartitionEntry, request: rq.ScanRows) -> rq.Answer:
        local = self._rows.has_rows(entry.id) and not request.consistent
        try:
            if local or not await self._shell.await_read(entry.id):
                return await self._rows.scan(request)
        except NotMaster:
            pass  # As in read.
        return await self._at_master(entry, lambda: request, writes=False)

    async def feed_index(self, entry: PartitionEntry, request: rq.FeedIndex) -> rq.Answer:
        """Brings changes to a partition of an index, at its master. Raises ApiError."""
        return await self._at_master(entry, lambda: request, writes=True)

    async def table_sizes(self, name: str) -> tuple[int, int]:
        index = self._keeper.routes.table(name)
        by_node: dict[NodeId, list[PartitionId]] = {}
        for entry in index.entries if index is not None else ():
            by_node.setdefault(self._choice(entry), []).append(entry.id)
        items = size = 0
        for node, partitions in by_node.items():
            if node == self._own:
                found = self._rows.sizes(partitions)
            else:
                try:
                    answer = await self._shell.peers.request(node, rq.TableSizes(partitions), 2.0)
                except rq.RequestFailed:
                    continue
                found = (int(answer.hint or 0), answer.applied_lsn)
            items, size = items + found[0], size + found[1]
        return items, size

    async def collection_size(self, table: TableDefinition, hash_part: bytes) -> int:
        """As counted by the partition's master. Raises ApiError."""
        collection = make_row_key(hash_part)
        found, _ = await self.scan(table, collection, next_key(collection), True, 1, 1, index=COLLECTIONS)
        return int.from_bytes(found[0][1], "big") if found else 0

    # -- finding the master ---------------------------------------------------------------------------------------

    async def _in_range(
        self,
        table: TableDefinition,
        find: Callable[[RangeIndex], PartitionEntry | None],
        act: Callable[[PartitionEntry], Awaitable[T]],
    ) -> T:
        """Acts on the partition that the map names; anew with a newer map where a split has moved the range on."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        while True:
            version = self._keeper.map.version
            entry = await self._look_up(table, find)
            try:
                return await act(entry)
            except StaleRange as stale:
                if loop.time() > deadline:
                    raise errors.Unavailable(f"Partition {entry.id} was split, and the map does not say so") from stale
            self.retries += 1
            await self._keeper.wait_for_version(version + 1, PAUSE_SECONDS_MAX)

    async def _look_up(
        self, table: TableDefinition, find: Callable[[RangeIndex], PartitionEntry | None]
    ) -> PartitionEntry:
        """Where `find` finds nothing in the map, the map is brought up to date once. Raises ApiError."""
        index = self._keeper.routes.table(table.name)
        entry = find(index) if index is not None else None
        if entry is None:
            await self._catch_up()
            index = self._keeper.routes.table(table.name)
            entry = find(index) if index is not None else None
        if entry is None:
            raise errors.table_not_found()
        return entry

    def _choice(self, entry: PartitionEntry) -> NodeId:
        """The node that most likely masters the partition: as its replica here says, as last told, as the map says."""
        return self._shell.master_of(entry.id) or self._hints.get(entry.id) or entry.master

    async def _at_master(self, entry: PartitionEntry, make: Callable[[], rq.Request], writes: bool) -> rq.Answer:
        """Asks the master, wherever it is, until one answers or patience ends. Raises ApiError, StaleRange."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        pause = PAUSE_SECONDS_FIRST
        turn = 0
        while True:
            answer = await self._ask(self._guess(entry, turn), make(), writes)
            if answer.status == rq.OK:
                return answer
            if answer.status == rq.STALE:
                raise StaleRange(answer.reason)
            if answer.status != rq.NOT_MASTER:
                raise _status_error(answer)
            self._hints[entry.id] = NodeId(answer.hint)
            self.retries += 1
            turn += 1
            if loop.time() > deadline:
                raise errors.Unavailable(f"Partition {entry.id} has no master that can be reached: {answer.reason}")
            if turn > 1 or not answer.hint:
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
            fresh = self._keeper.map.partitions.get(entry.id)
            if fresh is None:
                await self._catch_up()
                raise errors.table_not_found()
            entry = fresh

    def _guess(self, entry: PartitionEntry, turn: int) -> NodeId:
        choice = self._choice(entry)
        nodes = [t.node for t in entry.members or entry.target]
        if choice in self._shell.peers.silent and not self._has_word_of(choice, entry, turn):
            heard_of = [node for node in nodes if node not in self._shell.peers.silent]
            if heard_of:
                return heard_of[turn % len(heard_of)]
        if turn and turn % 3 == 0 and nodes:
            return nodes[(turn // 3) % len(nodes)]
        return choice or (nodes[turn % len(nodes)] if nodes else NodeId(""))

    def _has_word_of(self, node: NodeId, entry: PartitionEntry, turn: int) -> bool:
        """Whether another member, in the turn before this one, or the replica here says that it is the master."""
        return node == self._shell.master_of(entry.id) or (turn > 0 and self._hints.get(entry.id) == node)

    async def _ask(self, node: NodeId, request: rq.Request, writes: bool) -> rq.Answer:
        if node == self._own:
            return await self._rows.serve(request)
        if not node:
            return rq.Answer(rq.NOT_MASTER, reason="no member is known")
        self.forwarded += 1
        try:
            return await self._shell.peers.request(node, request, REQUEST_SECONDS)
        except rq.RequestFailed as failure:
            if writes and failure.sent:
                raise errors.OutcomeUnknown() from failure
            return rq.Answer(rq.NOT_MASTER, reason=str(failure))


def _holder(row_key: bytes, index: RangeIndex) -> PartitionEntry | None:
    return index.find(row_key)


def _next_of_scan(low: bytes, high: bytes | None, backwards: bool, index: RangeIndex) -> PartitionEntry | None:
    return index.before(high) if backwards else index.find(low)


def _api_error(error: Exception) -> errors.ApiError:
    if isinstance(error, WriteOutcomeUnknown):
        return errors.OutcomeUnknown()
    if isinstance(error, Overloaded):
        return errors.Throttled()
    if isinstance(error, CollectionTooLarge):
        return errors.ItemCollectionTooLarge()
    return errors.StorageFull()


def _status_error(answer: rq.Answer) -> errors.ApiError:
    match answer.status:
        case rq.UNKNOWN_OUTCOME:
            return errors.OutcomeUnknown()
        case rq.OVERLOADED:
            return errors.Throttled()
        case rq.STORAGE_FULL:
            return errors.StorageFull()
        case rq.COLLECTION_TOO_LARGE:
            return errors.ItemCollectionTooLarge()
        case _:
            return errors.Unavailable(answer.reason)


__all__ = ["CATALOG_PARTITION", "Router"]
