"""The catalog's replica on a node: commands become state and rows, in LSN order; the map is served from it."""

import asyncio
from collections.abc import Sequence

import structlog

from keystead_core.catalog.commands import CommandError, decode_command
from keystead_core.catalog.results import CatalogReply, encode_reply
from keystead_core.catalog.state import CatalogState
from keystead_core.cluster_map import MapDelta
from keystead_core.log.record import Record
from keystead_node.partition_store import Change
from keystead_node.storage.row_store import RowStore

log = structlog.get_logger("catalog")


class CatalogHost:
    """Implements partition_store.Interpreter for partition 1. `state` is None until its rows are open."""

    def __init__(self) -> None:
        self.state: CatalogState | None = None
        self._changed = asyncio.Event()

    def begin(self, rows: RowStore) -> None:
        self.state = CatalogState.from_rows(rows.scan_all())

    def apply(self, record: Record) -> tuple[Sequence[Change], bytes | None]:
        assert self.state is not None
        try:
            command = decode_command(record.body)
        except CommandError as error:
            # A newer version's command: every replica of this version refuses it alike.
            log.error("unknown catalog command", lsn=record.lsn, error=str(error))
            return [], encode_reply(CatalogReply("Invalid", str(error)))
        result = self.state.apply(command, record.lsn)
        return result.rows, encode_reply(result.reply)

    def applied(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def version(self) -> int:
        return self.state.version if self.state is not None else 0

    def delta(self, since: int) -> MapDelta | None:
        """What changed after `since`; None where nothing did or the state is not open yet."""
        if self.state is None or not self.state.cluster or self.state.version <= since:
            return None
        return self.state.delta(since)

    async def wait_for_change(self, since: int, seconds: float) -> MapDelta | None:
        """The delta as soon as there is one; None after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (delta := self.delta(since)) is None:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return None
        return delta
