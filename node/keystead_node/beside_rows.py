"""What the records of a batch put beside the rows: entries of local indexes, changes kept for global ones, splits.

Every replica works it out by itself, from the records and its own rows, which are the same everywhere: old values and
entries are not in the log. The indexes themselves come by a record (TABLE_DEFINITION), so that they count for the very
same writes on every replica.
"""

from collections.abc import Sequence
from typing import Final

from keystead_core.indexes.entries import RowIndexer, decode_indexes
from keystead_core.indexes.feed import RowChanged, decode_changes_read, decode_feed, encode_row_changed
from keystead_core.log.entries import LogPoint
from keystead_core.log.ops import Change
from keystead_core.log.record import Kind, Record
from keystead_node.storage.row_layout import Beside, SplitHere
from keystead_node.storage.row_store import RowStore

BESIDE_KINDS: Final = frozenset((Kind.TABLE_DEFINITION, Kind.INDEX_FEED, Kind.CHANGES_READ, Kind.SPLIT))


class BesideRows:
    """One batch, record by record. `found`: None as long as there is nothing."""

    def __init__(self, rows: RowStore, indexer: RowIndexer | None) -> None:
        self.indexer = indexer
        self.found: Beside | None = None
        self._rows = rows
        self._latest: dict[bytes, bytes | None] = {}

    def on_changes(self, record: Record, changes: Sequence[Change]) -> None:
        """Rows change, in a partition that has indexes."""
        indexer = self.indexer
        assert indexer is not None
        found = self._beside()
        for row_key, new in changes:
            old = self._latest[row_key] if row_key in self._latest else self._rows.get(row_key)
            self._latest[row_key] = new
            if indexer.local_rules:
                changed = indexer.local_changes(row_key, old, new)
                found.entries += [(index, *entry) for index, entry in changed.entries]
                stored = found.collections.get(changed.collection)
                before = self._rows.collection_bytes(changed.collection) if stored is None else stored
                found.collections[changed.collection] = before + changed.grown
            if indexer.global_rules and (old is not None or new is not None):
                found.changes.append((record.lsn, encode_row_changed(RowChanged(row_key, old, new, record.clock))))

    def on_record(self, record: Record, before: Sequence[Change]) -> Sequence[Change]:
        """A record about indexes or a split, behind those changes of the batch; returns the rows that it changes."""
        found = self._beside()
        match record.kind:
            case Kind.TABLE_DEFINITION:
                indexes = decode_indexes(record.body)
                known = self.indexer.indexes if self.indexer is not None else None
                if known is None or indexes.is_newer_than(known):
                    found.indexes = record.body
                    self.indexer = RowIndexer(indexes)
                    self._latest = dict(before)
                    if not self.indexer.global_rules:
                        found.read_upto = record.lsn  # nobody is left to read them
                return []
            case Kind.SPLIT:
                found.splits.append(self._split_here(record, found))
                return []
            case Kind.INDEX_FEED:
                source, upto, changes = decode_feed(record.body)
                found.fed[source] = upto
                return changes
            case _:
                found.read_upto = max(found.read_upto, decode_changes_read(record.body))
                return []

    def _split_here(self, record: Record, found: Beside) -> SplitHere:
        """The split with what the right half begins with: as of the record, so the same on every replica."""
        rows = self._rows
        return SplitHere(
            LogPoint(record.epoch, record.lsn, record.hash),
            record.body,
            record.partition,
            found.indexes if found.indexes is not None else rows.indexes(),
            rows.fed() | found.fed,
            rows.forebears(),
        )

    def _beside(self) -> Beside:
        if self.found is None:
            self.found = Beside()
        return self.found
