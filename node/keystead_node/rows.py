"""The rows of the partitions that this node holds: what a request finds once it has reached the right node."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter

from keystead_core.ids import PartitionId
from keystead_core.keyspace import collection_of
from keystead_core.log.ops import Change
from keystead_core.replication.splitting import OUT_OF_RANGE
from keystead_core.row_changes import Decision, decide
from keystead_node.errors import (
    CollectionTooLarge,
    DiskNearlyFull,
    NotMaster,
    Overloaded,
    StaleRange,
    WriteOutcomeUnknown,
)
from keystead_node.index_feeds import IndexFeeds
from keystead_node.shell import Shell
from keystead_node.storage.row_store import RowStore
from keystead_node.transport import requests as rq


class LocalRows:
    """`disk_is_short` is set while the volume is below its reserve: then only deletes and reads go on."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.disk_is_short = False
        self.indexes_missing: set[PartitionId] = set()
        """Partitions that may not be written yet: they do not keep their table's indexes so far."""
        self.collection_bytes_max = 10 << 30
        """Of the items of one partition key, with their entries, in a table with local indexes."""
        self._feeds = IndexFeeds(shell)

    def has_rows(self, partition: PartitionId) -> bool:
        """Does a replica here have rows that may be read: a full one, not being copied?"""
        r = self.shell.core.replicas.get(partition)
        return r is not None and r.own_member is not None and not r.is_log_only and not r.staged and r.applied_lsn > 0

    async def write(
        self, partition: PartitionId, generation: int, row_key: bytes, value: bytes | None, want_old: bool
    ) -> bytes | None:
        """Raises NotMaster, StaleRange, Overloaded, DiskNearlyFull, CollectionTooLarge (nothing was done),
        WriteOutcomeUnknown."""
        if self.disk_is_short and value is not None:
            raise DiskNearlyFull
        self._check_indexes(partition)
        if value is not None:
            self._check_collection(partition, row_key, value)
        return await self.shell.write(partition, row_key, value, want_old)

    async def write_rows(self, partition: PartitionId, changes: Sequence[Change]) -> None:
        """All of them, or an error for all; of different rows. Raises what `write` raises."""
        if self.is_to_be_checked(partition):
            self._check_indexes(partition)
            for row_key, value in changes:
                if value is not None:
                    if self.disk_is_short:
                        raise DiskNearlyFull
                    self._check_collection(partition, row_key, value)
        await self.shell.write_rows(partition, changes)

    async def change(self, partition: PartitionId, row_key: bytes, change: bytes) -> bytes:
        """The encoded outcome. Raises what `write` raises."""

        self._check_indexes(partition)

        def judged(value: bytes | None) -> Decision:
            decision = decide(change, value)
            if self.disk_is_short and decision.writes and decision.value is not None:
                raise DiskNearlyFull
            if decision.writes and decision.value is not None:
                self._check_collection(partition, row_key, decision.value)
            return decision

        return await self.shell.change(partition, row_key, judged)

    def _check_indexes(self, partition: PartitionId) -> None:
        """Raises NotMaster, after which the router asks again, until the partition keeps its table's indexes."""
        if partition in self.indexes_missing:
            raise NotMaster("the indexes are being set up", self.shell.master_of(partition))

    def _check_collection(self, partition: PartitionId, row_key: bytes, value: bytes) -> None:
        """Raises CollectionTooLarge. Writes under way are not counted yet: the limit is that soft."""
        if not self._has_local_indexes(partition):
            return
        store = self.shell.stores.get(partition)
        if store.rows is None or store.indexer is None:
            return
        collection = collection_of(row_key, store.indexer.indexes.hash_key.type)
        if store.rows.collection_bytes(collection) + len(value) > self.collection_bytes_max:
            raise CollectionTooLarge

    def _has_local_indexes(self, partition: PartitionId) -> bool:
        store = self.shell.stores.opened(partition)
        return store is not None and store.indexer is not None and bool(store.indexer.local_rules)

    async def get(self, partition: PartitionId, row_key: bytes, consistent: bool) -> bytes | None:
        """The row as applied here; whether it may be served was judged before. Raises StaleRange; NotMaster: the rows
        are lost."""
        store = self.shell.stores.get(partition)
        rows = store.rows
        if rows is None:
            rows = await store.open()
        self._check_range(partition, row_key, consistent)
        began = perf_counter()
        value = rows.get(row_key)
        self.shell.heat.of(partition).read(row_key, len(value) if value is not None else 0, began)
        return value

    def _check_range(self, partition: PartitionId, row_key: bytes, consistent: bool) -> None:
        """What is read from a follower is of a moment that has been: there its rows' own range counts."""
        shell = self.shell
        if not (shell.owns(partition, row_key) if consistent else shell.stores.is_in_range(partition, row_key)):
            raise StaleRange(OUT_OF_RANGE)

    async def serve(self, request: rq.Request) -> rq.Answer:
        """Answers a request about one partition, as master where it must be one."""
        try:
            match request:
                case rq.WriteRow():
                    return await self._serve_write(request)
                case rq.WriteRows():
                    return await self._serve_write_rows(request)
                case rq.ChangeRow():
                    return await self._serve_change(request)
                case rq.ReadRow():
                    refusal = await self._refusal(request.partition, request.consistent)
                    if refusal:
                        return self._not_master(request.partition, refusal)
                    value = await self.get(request.partition, request.row_key, request.consistent)
                    return rq.Answer(rq.OK, value=value)
                case rq.ScanRows():
                    refusal = await self._refusal(request.partition, request.consistent)
                    if refusal:
                        return self._not_master(request.partition, refusal)
                    return await self.scan(request)
                case rq.TableSizes():
                    items, size = self.sizes(request.partitions)
                    return rq.Answer(rq.OK, hint=str(items), applied_lsn=size)
                case rq.FeedIndex():
                    return await self._serve_feed(request)
                case _:
                    return rq.Answer(rq.REFUSED, reason="not a request about rows")
        except NotMaster as refusal_of_core:
            return rq.Answer(rq.NOT_MASTER, hint=refusal_of_core.hint, reason=refusal_of_core.reason)
        except StaleRange as stale:
            return rq.Answer(rq.STALE, reason=str(stale))

    def serve_now(self, request: rq.Request, respond: Callable[[rq.Answer], None]) -> bool:
        """Serves the frequent requests without a task of their own; False: use `serve`."""
        match request:
            case rq.WriteRow() if not self.is_to_be_checked(request.partition):
                future = self.shell.write(request.partition, request.row_key, request.value, request.want_old)
                future.add_done_callback(lambda done: respond(_answer_of(done)))
                return True
            case rq.ReadRow(consistent=True) if self.shell.core.settings.reads == "lease":
                refusal = self.shell.read_refusal(request.partition)
                if refusal:
                    respond(self._not_master(request.partition, refusal))
                    return True
                rows = self.shell.stores.get(request.partition).rows
                if rows is None or not self.shell.owns(request.partition, request.row_key):
                    return False
                began = perf_counter()
                value = rows.get(request.row_key)
                heat = self.shell.heat.of(request.partition)
                heat.read(request.row_key, len(value) if value is not None else 0, began)
                respond(rq.Answer(rq.OK, value=value))
                return True
            case _:
                return False

    def is_to_be_checked(self, partition: PartitionId) -> bool:
        """Whether a write may have to be refused here."""
        return self.disk_is_short or partition in self.indexes_missing or self._has_local_indexes(partition)

    async def _serve_write(self, request: rq.WriteRow) -> rq.Answer:
        try:
            old = await self.write(
                request.partition, request.generation, request.row_key, request.value, request.want_old
            )
        except (WriteOutcomeUnknown, Overloaded, DiskNearlyFull, CollectionTooLarge) as error:
            return _refusal_answer(error)
        return rq.Answer(rq.OK, value=old)

    async def _serve_write_rows(self, request: rq.WriteRows) -> rq.Answer:
        try:
            await self.write_rows(request.partition, request.changes)
        except (WriteOutcomeUnknown, Overloaded, DiskNearlyFull, CollectionTooLarge) as error:
            return _refusal_answer(error)
        return rq.Answer(rq.OK)

    async def _serve_feed(self, request: rq.FeedIndex) -> rq.Answer:
        if self.disk_is_short:
            return rq.Answer(rq.STORAGE_FULL)
        try:
            return rq.Answer(rq.OK, applied_lsn=await self._feeds.take(request))
        except (WriteOutcomeUnknown, Overloaded) as error:
            return _refusal_answer(error)

    async def _serve_change(self, request: rq.ChangeRow) -> rq.Answer:
        try:
            outcome = await self.change(request.partition, request.row_key, request.change)
        except (WriteOutcomeUnknown, Overloaded, DiskNearlyFull, CollectionTooLarge) as error:
            return _refusal_answer(error)
        return rq.Answer(rq.OK, value=outcome)

    async def _refusal(self, partition: PartitionId, consistent: bool) -> str:
        if consistent:
            return await self.shell.await_read(partition)
        return "" if self.has_rows(partition) else "no rows here"

    def _not_master(self, partition: PartitionId, reason: str) -> rq.Answer:
        return rq.Answer(rq.NOT_MASTER, hint=self.shell.master_of(partition), reason=reason)

    async def scan(self, request: rq.ScanRows) -> rq.Answer:
        """Raises StaleRange unless the whole range asked for is still the partition's."""
        store = self.shell.stores.get(request.partition)
        rows: RowStore = store.rows or await store.open()
        self._check_scan(request)
        began = perf_counter()
        found, more = rows.scan(
            request.low, request.high, request.max_rows, request.max_bytes, request.backwards, request.index
        )
        self.shell.heat.of(request.partition).read(request.low, sum(len(value) for _, value in found), began)
        return rq.Answer(rq.OK, rows=found, more=more)

    def _check_scan(self, request: rq.ScanRows) -> None:
        self._check_range(request.partition, request.low, request.consistent)
        found = self.shell.stores.ranges.get(request.partition)
        core, high = self.shell.core, request.high
        reaches_over = found is not None and found[1] is not None and (high is None or high > found[1])
        if reaches_over or (request.consistent and not core.reads_to(request.partition, high)):
            raise StaleRange(OUT_OF_RANGE)

    def sizes(self, partitions: list[PartitionId]) -> tuple[int, int]:
        """Approximate (rows, bytes) of those partitions whose rows are open here."""
        items = size = 0
        for partition in partitions:
            rows = self.shell.stores.get(partition).rows
            if rows is not None:
                items += rows.approximate_rows()
                size += rows.approximate_bytes()
        return items, size


def _answer_of(done: "asyncio.Future[bytes | None]") -> rq.Answer:
    error = done.exception()
    return rq.Answer(rq.OK, value=done.result()) if error is None else _refusal_answer(error)


def _refusal_answer(error: BaseException) -> rq.Answer:
    match error:
        case StaleRange():
            return rq.Answer(rq.STALE, reason=str(error))
        case NotMaster():
            return rq.Answer(rq.NOT_MASTER, hint=error.hint, reason=error.reason)
        case WriteOutcomeUnknown():
            return rq.Answer(rq.UNKNOWN_OUTCOME, reason=str(error))
        case Overloaded():
            return rq.Answer(rq.OVERLOADED)
        case DiskNearlyFull():
            return rq.Answer(rq.STORAGE_FULL)
        case CollectionTooLarge():
            return rq.Answer(rq.COLLECTION_TOO_LARGE)
        case _:
            raise error
