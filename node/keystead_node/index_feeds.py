"""The receiving end of a global index: batches of changes from the table's partitions, each taken once.

A batch is taken if it begins where the last one from its source ended; the rows and that place change in one record.
Who has no answer, or lost its mastership, asks where that is now (core/indexes/feed.py says why this is enough). Who
believes that the partition has what a split has given to another is told so, and looks at the map.
"""

from keystead_core.ids import Lsn, PartitionId
from keystead_core.indexes.feed import encode_feed
from keystead_core.log.record import Kind
from keystead_core.replication.splitting import OUT_OF_RANGE
from keystead_node.errors import NotMaster, StaleRange
from keystead_node.shell import Shell
from keystead_node.transport import requests as rq


class IndexFeeds:
    """Of one node."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._under_way: set[tuple[PartitionId, PartitionId]] = set()

    async def take(self, request: rq.FeedIndex) -> Lsn:
        """Up to where the source's changes are in the index now. Raises NotMaster, StaleRange, Overloaded,
        WriteOutcomeUnknown."""
        key = (request.partition, request.source)
        if key in self._under_way:
            raise NotMaster("another batch of this source is under way", self._shell.core.id)
        self._under_way.add(key)
        try:
            return await self._take(request)
        finally:
            self._under_way.discard(key)

    async def _take(self, request: rq.FeedIndex) -> Lsn:
        store = self._shell.stores.get(request.partition)
        await store.open()
        refusal = await self._shell.await_read(request.partition)
        rows = store.rows
        if refusal or rows is None:
            raise NotMaster(refusal or "the rows are not open", self._shell.master_of(request.partition))
        if not self._has(request):
            raise StaleRange(OUT_OF_RANGE)
        fed = rows.fed_upto(request.source)
        if request.after != fed:
            return fed
        # Nothing is waited for between the look and the proposal: what was seen is what the batch goes behind.
        body = encode_feed(request.source, request.upto, request.changes)
        heat = self._shell.heat.of(request.partition)
        for key, value in request.changes:
            heat.wrote(key, len(value) if value is not None else 0)
        await self._shell.propose(request.partition, Kind.INDEX_FEED, body)
        return request.upto

    def _has(self, request: rq.FeedIndex) -> bool:
        """Whether all that is thought to be this partition's is its own. What a split that is in the log only will give
        away, the core refuses."""
        own = self._shell.stores.ranges.get(request.partition)
        if own is None:
            return True
        low, high = own
        is_within = low <= request.low and (high is None or (request.high is not None and request.high <= high))
        return is_within and all(low <= key and (high is None or key < high) for key, _ in request.changes)
