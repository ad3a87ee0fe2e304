"""What the catalog holds, and the only hands that change it: each change is noted as a row and under a map version.

Everything here is made from rows alone (`Contents.from_rows`); the ledger, the tables' partition lists and the counts
of partitions that wait for a first master are worked out from them. Dicts named `*_changed` and `*_removed` keep their
keys in the order of the last change, so that a delta reads only what is new.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeVar

from keystead_core.catalog.results import RowChange
from keystead_core.catalog.rows import META_KEY, Lock, Meta, decode_row, encode_row, row_key
from keystead_core.cluster_map import (
    CATALOG_TABLE,
    ClusterMap,
    MapDelta,
    NodeEntry,
    PartitionEntry,
    TableDefinition,
    in_ranges,
)
from keystead_core.ids import Lsn, NodeId, PartitionId
from keystead_core.ledger import Ledger, groups_of

_Key = TypeVar("_Key", str, NodeId, PartitionId)

REMOVALS_KEPT_MAX = 10_000
"""Removed tables and partitions that deltas remember, each; older askers get the whole map."""


class Contents:
    """The catalog's tables of nodes, tables, partitions and locks. Readers read the fields; writers use the methods."""

    def __init__(self) -> None:
        self.meta = Meta()
        self.nodes: dict[NodeId, NodeEntry] = {}
        self.tables: dict[str, TableDefinition] = {}
        self.partitions: dict[PartitionId, PartitionEntry] = {}
        self.locks: dict[PartitionId, Lock] = {}
        self.deleted: list[tuple[int, int]] = []
        self.by_table: dict[str, list[PartitionId]] = {}
        self.waiting: dict[str, int] = {}
        self.dividing: set[PartitionId] = set()
        """Those whose right half is planned and not in the map yet."""
        self.ledger = Ledger()
        self._nodes_changed: dict[NodeId, int] = {}
        self._tables_changed: dict[str, int] = {}
        self._partitions_changed: dict[PartitionId, int] = {}
        self._tables_removed: dict[str, int] = {}
        self._partitions_removed: dict[PartitionId, int] = {}
        self._pending: dict[bytes, bytes | None] = {}
        self._version = 0
        self._map: ClusterMap | None = None

    # --- a command's frame

    def begin(self, lsn: Lsn) -> None:
        """Opens the changes of one record: what they touch gets its LSN as version."""
        assert lsn > self.meta.version, f"record {lsn} has been applied already: the map is at {self.meta.version}"
        assert not self._pending
        self._version = lsn

    @property
    def version(self) -> int:
        """The version that this record gives to what it touches."""
        return self._version

    def finish(self) -> list[RowChange]:
        """Closes the changes of one record: the rows to write, each key once."""
        if META_KEY in self._pending:
            self._pending[META_KEY] = encode_row(self.meta)
        rows = list(self._pending.items())
        self._pending = {}
        return rows

    def save_meta(self) -> None:
        """Notes that a single value has changed."""
        self._pending[META_KEY] = b""

    def touch_map(self) -> None:
        """Moves the map's version on to this record."""
        self.meta.version = self._version
        self._map = None
        self.save_meta()

    # --- changes

    def put_node(self, node: NodeEntry) -> None:
        self.nodes[node.id] = node
        _note(self._nodes_changed, node.id, self._version)
        self._pending[row_key(b"n", node.id)] = encode_row((self._version, node))
        self.touch_map()

    def put_table(self, table: TableDefinition) -> None:
        self.tables[table.name] = table
        self.by_table.setdefault(table.name, [])
        _note(self._tables_changed, table.name, self._version)
        if self._tables_removed.pop(table.name, None) is not None:
            self._pending[row_key(b"r", table.name)] = None
        self._pending[row_key(b"t", table.name)] = encode_row((self._version, table))
        self.touch_map()

    def put_partition(self, entry: PartitionEntry) -> None:
        assert not in_ranges(self.deleted, entry.id), f"partition {entry.id} has been deleted"
        self._index_partition(entry)
        _note(self._partitions_changed, entry.id, self._version)
        self._pending[row_key(b"p", entry.id)] = encode_row((self._version, entry))
        self.touch_map()

    def put_lock(self, partition: PartitionId, lock: Lock) -> None:
        self.locks[partition] = lock
        self._pending[row_key(b"l", partition)] = encode_row(lock)

    def delete_unborn(self, partition: PartitionId) -> None:
        """Makes the id of a partition that never came into the map known as deleted: replicas may be there."""
        self._note_deleted(partition)
        self._forget_old_removals()
        self.touch_map()

    def replace_partition(self, old: PartitionId, new: PartitionEntry, is_deleted: bool) -> None:
        """Puts another partition in the place of one, which nodes keep what they have of as long as it is not
        deleted."""
        self.by_table[self._take_partition(old).table].remove(old)
        if is_deleted:
            self._note_deleted(old)
        else:
            _note(self._partitions_removed, old, self._version)
            self._pending[row_key(b"q", old)] = encode_row(self._version)
        self._forget_old_removals()
        self.put_partition(new)

    def remove_table(self, name: str) -> None:
        """Removes a table and its partitions; their ids stay known as deleted for ever."""
        entries = [self._take_partition(partition) for partition in self.by_table.pop(name)]
        unborn = [entry.split.right for entry in entries if entry.split is not None and not entry.split.done]
        unborn += [entry.recovery.old for entry in entries if entry.recovery is not None and entry.is_recovering]
        unborn = [partition for partition in unborn if partition]
        for partition in sorted([*(entry.id for entry in entries), *unborn]):  # So no row is put and deleted at once.
            self._note_deleted(partition)
        del self.tables[name]
        del self._tables_changed[name]
        self.waiting.pop(name, None)
        _note(self._tables_removed, name, self._version)
        self._pending[row_key(b"t", name)] = None
        self._pending[row_key(b"r", name)] = encode_row(self._version)
        self._forget_old_removals()
        self.touch_map()

    def _take_partition(self, partition: PartitionId) -> PartitionEntry:
        entry = self.partitions.pop(partition)
        self.dividing.discard(partition)
        for group in groups_of(entry):
            self.ledger.remove(group)
        del self._partitions_changed[partition]
        self._pending[row_key(b"p", partition)] = None
        return entry

    def _note_deleted(self, partition: PartitionId) -> None:
        _note(self._partitions_removed, partition, self._version)
        self._pending[row_key(b"q", partition)] = encode_row(self._version)
        if self.locks.pop(partition, None) is not None:
            self._pending[row_key(b"l", partition)] = None
        self._add_deleted(partition)

    def _add_deleted(self, partition: PartitionId) -> None:
        """Adds an id to the deleted ranges, joined with the neighbours that it touches."""
        place = bisect_left(self.deleted, (int(partition), 0))
        first, last, begin, end = int(partition), int(partition), place, place
        if place and self.deleted[place - 1][1] == partition - 1:
            first, begin = self.deleted[place - 1][0], place - 1
        if place < len(self.deleted) and self.deleted[place][0] == partition + 1:
            last, end = self.deleted[place][1], place + 1
            self._pending[row_key(b"d", partition + 1)] = None
        self.deleted = [*self.deleted[:begin], (first, last), *self.deleted[end:]]
        self._pending[row_key(b"d", first)] = encode_row(last)

    def _forget_old_removals(self) -> None:
        """Keeps the newest removals; what is let go raises the floor under which a delta is a whole map."""
        while len(self._tables_removed) > REMOVALS_KEPT_MAX:
            name = next(iter(self._tables_removed))
            self.meta.delta_floor = max(self.meta.delta_floor, self._tables_removed.pop(name))
            self._pending[row_key(b"r", name)] = None
        while len(self._partitions_removed) > REMOVALS_KEPT_MAX:
            partition = next(iter(self._partitions_removed))
            self.meta.delta_floor = max(self.meta.delta_floor, self._partitions_removed.pop(partition))
            self._pending[row_key(b"q", partition)] = None

    def _index_partition(self, entry: PartitionEntry) -> None:
        """Puts an entry into the tables that are worked out."""
        before = self.partitions.get(entry.id)
        if before is None:
            self.by_table.setdefault(entry.table, []).append(entry.id)
            if _is_waited_for(entry):
                self.waiting[entry.table] = self.waiting.get(entry.table, 0) + 1
        else:
            for group in groups_of(before):
                self.ledger.remove(group)
            if _is_waited_for(before) and not _is_waited_for(entry):
                self.waiting[entry.table] -= 1
        for group in groups_of(entry):
            self.ledger.add(group)
        if entry.split is not None and not entry.split.done:
            self.dividing.add(entry.id)
        else:
            self.dividing.discard(entry.id)
        self.partitions[entry.id] = entry

    # --- reading

    def partitions_to_be(self, table: str | None = None) -> int:
        """How many a table will have, or all tables together, once every half that is planned is there."""
        if table is None:
            return len(self.partitions) - 1 + len(self.dividing)
        mine = self.by_table[table]
        return len(mine) + (sum(partition in self.dividing for partition in mine) if self.dividing else 0)

    def rows(self) -> list[tuple[bytes, bytes]]:
        """Every row, by key: what the row store holds."""
        rows = [(META_KEY, encode_row(self.meta))]
        rows += [(row_key(b"n", k), encode_row((self._nodes_changed[k], v))) for k, v in self.nodes.items()]
        rows += [(row_key(b"t", k), encode_row((self._tables_changed[k], v))) for k, v in self.tables.items()]
        rows += [(row_key(b"p", k), encode_row((self._partitions_changed[k], v))) for k, v in self.partitions.items()]
        rows += [(row_key(b"l", k), encode_row(v)) for k, v in self.locks.items()]
        rows += [(row_key(b"d", first), encode_row(last)) for first, last in self.deleted]
        rows += [(row_key(b"r", k), encode_row(v)) for k, v in self._tables_removed.items()]
        rows += [(row_key(b"q", k), encode_row(v)) for k, v in self._partitions_removed.items()]
        return sorted(rows)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[bytes, bytes]]) -> "Contents":
        """The contents that the rows hold, in whatever order they come. Raises CatalogRowError."""
        new = cls()
        for kind, name, value in sorted((decode_row(k, v) for k, v in rows), key=lambda row: (row[0], row[1])):
            new._load(kind, name, value)
        _sort_by_version(new._nodes_changed)
        _sort_by_version(new._tables_changed)
        _sort_by_version(new._partitions_changed)
        _sort_by_version(new._tables_removed)
        _sort_by_version(new._partitions_removed)
        return new

    def _load(self, kind: bytes, name: str | int, value: object) -> None:
        match kind, name, value:
            case b"m", _, Meta():
                self.meta = value
            case b"n", _, (int(version), NodeEntry() as node):
                self.nodes[node.id] = node
                self._nodes_changed[node.id] = version
            case b"t", _, (int(version), TableDefinition() as table):
                self.tables[table.name] = table
                self.by_table.setdefault(table.name, [])
                self._tables_changed[table.name] = version
            case b"p", _, (int(version), PartitionEntry() as entry):
                self._index_partition(entry)
                self._partitions_changed[entry.id] = version
            case b"l", int(), Lock():
                self.locks[PartitionId(name)] = value
            case b"d", int(), int():
                self.deleted.append((name, value))
            case b"r", str(), int():
                self._tables_removed[name] = value
            case b"q", int(), int():
                self._partitions_removed[PartitionId(name)] = value
            case _:
                raise AssertionError(f"a row of kind {kind!r} decodes to {value!r}")

    def map(self) -> ClusterMap:
        """The map as it is now; later changes do not touch it."""
        if self._map is None:
            self._map = ClusterMap(
                version=self.meta.version,
                cluster=self.meta.cluster,
                nodes=dict(self.nodes),
                tables=dict(self.tables),
                partitions=dict(self.partitions),
                deleted=list(self.deleted),
                settings=self.meta.settings,
            )
        return self._map

    def delta(self, since: int) -> MapDelta:
        """What a map of version `since` lacks; the whole map where that cannot be told any more."""
        whole = since < self.meta.delta_floor or since == 0 or since > self.meta.version
        gone = [] if whole else _after(self._partitions_removed, since)
        return MapDelta(
            since=0 if whole else since,
            version=self.meta.version,
            cluster=self.meta.cluster,
            whole=whole,
            nodes=[self.nodes[key] for key in _after(self._nodes_changed, 0 if whole else since)],
            tables=[self.tables[key] for key in _after(self._tables_changed, 0 if whole else since)],
            partitions=[self.partitions[key] for key in _after(self._partitions_changed, 0 if whole else since)],
            removed_tables=[] if whole else _after(self._tables_removed, since),
            removed_partitions=gone,
            deleted=list(self.deleted) if whole or gone else None,
            settings=self.meta.settings,
        )


def _is_waited_for(entry: PartitionEntry) -> bool:
    """Does its table become active with its first master? Not of what came of a split: its range was served before."""
    return entry.epoch == 0 and entry.table != CATALOG_TABLE and not entry.founding_epoch


def _note(changed: dict[_Key, int], key: _Key, version: int) -> None:
    """Sets a key's version and moves it behind all others."""
    changed.pop(key, None)
    changed[key] = version


def _after(changed: dict[_Key, int], since: int) -> list[_Key]:
    """The keys that changed after version `since`, in order."""
    keys: list[_Key] = []
    for key, version in reversed(changed.items()):
        if version <= since:
            break
        keys.append(key)
    return sorted(keys)


def _sort_by_version(changed: dict[_Key, int]) -> None:
    ordered = sorted(changed.items(), key=lambda item: (item[1], item[0]))
    changed.clear()
    changed.update(ordered)
