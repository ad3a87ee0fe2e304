"""The cluster map: which tables exist, which partition holds which range, and where its replicas should live.

The catalog's state machine makes it, every node keeps the last one it saw on its disk, and routers follow its deltas.
It is a hint to everyone but the catalog: a replica trusts only its own log about who its members are.

A partition that is missing from a map is not thereby deleted: only `ClusterMap.is_deleted` says so, and a node drops a
replica of a partition that is missing for no other reason.
"""

from bisect import bisect_left, bisect_right

import msgspec

from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId, ReplicaId

CATALOG_TABLE = ""
"""The table of the catalog's own partition; no table that a user makes can have this name."""


class KeyAttribute(msgspec.Struct, frozen=True):
    """A key attribute: `type` is S, N or B."""

    name: str
    type: str


class IndexSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secondary index of a table, as it is asked for.

    A local one (`is_global` False) lies with the table's rows, under the table's hash key and another range key. A
    global one has keys of its own, one to four of each kind, and is a table of its own (`index_table`). `projection`:
    ALL | KEYS_ONLY | INCLUDE, then with the attributes `included`. A global one has units and limits, as a table has.
    """

    name: str
    is_global: bool
    hash: list[KeyAttribute]
    range: list[KeyAttribute] = []
    projection: str = "ALL"
    included: list[str] = []
    read_units: int = 0
    write_units: int = 0
    read_requests_max: int = 0
    write_requests_max: int = 0
    warm_reads: int = 0
    warm_writes: int = 0


class IndexDefinition(IndexSpec, frozen=True, kw_only=True, omit_defaults=True):
    """An index as the catalog holds it. `id`: its number, never used twice in the table's life. `status`: CREATING |
    ACTIVE. `filling`: the table's partitions whose older rows are not yet in the index."""

    id: int
    status: str = "CREATING"
    filling: list[PartitionId] = []


class TableOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a table has from the API alone: no Table resource has words for it, so none changes it.

    "" and 0 mean: never said. Times are seconds since 1970. `on_demand_at`: when the billing mode was last changed to
    PAY_PER_REQUEST. `stream_view`: "" while there is no stream; `stream_label`: of the latest one, kept when it ends.
    `read_requests_max` and `write_requests_max`: -1 for no limit. `expiry_attribute`: "" while items do not expire.
    """

    on_demand_at: float = 0.0
    table_class: str = ""
    table_class_at: float = 0.0
    encryption: str = ""
    encryption_key: str = ""
    stream_view: str = ""
    stream_label: str = ""
    read_requests_max: int = 0
    write_requests_max: int = 0
    warm_reads: int = 0
    warm_writes: int = 0
    expiry_attribute: str = ""


class TableDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A table as the catalog holds it. `managed_by`: "" (made through the API) or the custom resource that owns it.

    `write_quorum` 0 means a majority. `status`: CREATING | ACTIVE | DELETING. `created_at`: seconds since 1970.
    `index_version`: of the map, when an index came or went last; `next_index`: the next index's id. `index_of`: the
    table whose global index this one holds, "" for a table that has a name of its own. `partitions`: how many it was
    made with; `partitions_max`: how many splits by themselves may make of them, 0 for no limit.
    """

    name: str
    table_id: str
    hash_key: KeyAttribute
    range_key: KeyAttribute | None
    partitions: int
    replicas: int
    write_quorum: int
    durable_zones: int
    created_at: float
    status: str
    managed_by: str = ""
    deletion_protection: bool = False
    tags: dict[str, str] = {}
    billing_mode: str = "PAY_PER_REQUEST"
    read_units: int = 0
    write_units: int = 0
    options: TableOptions = TableOptions()
    indexes: list[IndexDefinition] = []
    index_version: int = 0
    next_index: int = 1
    index_of: str = ""
    partitions_max: int = 0

    def index(self, name: str) -> IndexDefinition | None:
        """The index of that name, if the table has one."""
        return next((index for index in self.indexes if index.name == name), None)


def index_table(table: str, index: str) -> str:
    """The name of the table that holds a global index: none that a user's table can have."""
    return f"{table}/index/{index}"


class ReplicaTarget(msgspec.Struct, frozen=True):
    """Where a replica should live. `role`: voter | learner | log-only."""

    replica: ReplicaId
    node: NodeId
    zone: str
    role: str


class SplitPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A partition is to be divided at the row key `at` (b"": its master chooses), the right half going to the group
    `right` with the replicas `members`. `done`: it has been; the left group is still the source of what they lack."""

    right: PartitionId
    at: bytes
    members: list[ReplicaTarget]
    reason: str
    done: bool = False


class Survivor(msgspec.Struct, frozen=True):
    """What a node has of a group that is given up: the last record of its log, without a gap. `has_rows`: another group
    can be made of it."""

    node: NodeId
    epoch: int
    lsn: int
    has_rows: bool


class Recovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group that lost the majority of its volumes for good is given up, by a person's word, for one that is made of
    what is left (docs/decisions/0012). `at`: seconds since 1970. `gone`: nodes that were given up with it.

    `old`: 0 as long as every node is asked to take part no more (`heard`: who does not any more); then the partition
    that was given up, this one being made on the node of `source`. `done`: it has served.
    """

    gone: list[NodeId]
    at: float
    heard: list[NodeId] = []
    survivors: list[Survivor] = []
    old: PartitionId = PartitionId(0)
    source: Survivor | None = None
    done: bool = False


class PartitionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A range [low, high) of row keys of one table (`high` None: no end) and its replica group.

    `founders` are the members with which the group was made; `target` is where the group's master is to bring its
    membership, the first of them being the preferred master; `members`, `epoch`, `membership_version` (made in the
    epoch `membership_epoch`) and `master` are what the group last reported. `write_quorum` is a number here, never 0.
    The `founding_` rules are those of the group's first membership record and never change: a founder that comes late
    makes the same record, to the byte. `founding_epoch`: of the split record behind which the group's log begins; 0
    where it begins with a record of its own. `left`: the partition that this one was split from, until it needs nothing
    of it any more (0). `split_refusal`: why the last split that was planned was not made. `recovery`: the last one.
    """

    id: PartitionId
    table: str
    low: bytes
    high: bytes | None
    generation: int
    founders: list[ReplicaTarget]
    target: list[ReplicaTarget]
    members: list[ReplicaTarget]
    write_quorum: int
    durable_zones: int
    epoch: int = 0
    membership_version: int = 1
    master: NodeId = NodeId("")
    founding_write_quorum: int = 0
    founding_durable_zones: int = 1
    founding_lease_ms: int = 1000
    membership_epoch: int = 0
    founding_epoch: int = 0
    left: PartitionId = PartitionId(0)
    split: SplitPlan | None = None
    split_refusal: str = ""
    recovery: Recovery | None = None

    @property
    def is_recovering(self) -> bool:
        """Nothing is done with the group, or asked of it, before another has taken its range and served."""
        return self.recovery is not None and not self.recovery.done


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A node that has registered. `state`: active | maintenance | left (irreversible). Addresses are host:port.

    `host` and `disk` are names that are unique in the cluster (a disk's volume handle, not its device number); ""
    means unknown, and is shared with nobody.
    """

    id: NodeId
    name: str
    zone: str
    host: str
    disk: str
    api_address: str
    peer_address: str
    admin_address: str
    boot: int
    state: str


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole cluster: defaults of new tables, and limits.

    `write_quorum` 0 means a majority. `peers_max` bounds the nodes with which one node shares groups.
    `shared_fate_ok`: voters of one group may share a host or a disk (embedded mode).
    """

    partitions: int = 1
    replicas: int = 3
    write_quorum: int = 0
    durable_zones: int = 1
    lease_ms: int = 1000
    peers_max: int = 24
    shared_fate_ok: bool = False
    tables_max: int = 10_000
    partitions_max: int = 200_000
    partitions_per_table_max: int = 10_000


class MapDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in the map after version `since`, up to `version`. `whole`: apply it to nothing, it is everything.

    `deleted` is given whole when it changed, else None.
    """

    since: int
    version: int
    cluster: str
    whole: bool
    nodes: list[NodeEntry]
    tables: list[TableDefinition]
    partitions: list[PartitionEntry]
    removed_tables: list[str]
    removed_partitions: list[PartitionId]
    deleted: list[tuple[int, int]] | None
    settings: ClusterSettings


class DeltaMismatch(ValueError):
    """The delta does not continue the map: ask again with the map's own version."""


class ClusterMap(msgspec.Struct, kw_only=True):
    """The whole map. `version` rises with every change: it is the LSN of the catalog record that made the last one.

    `deleted`: the ids of all partitions ever deleted, as sorted, disjoint, closed ranges [first, last].
    """

    version: int
    cluster: str
    nodes: dict[NodeId, NodeEntry]
    tables: dict[str, TableDefinition]
    partitions: dict[PartitionId, PartitionEntry]
    deleted: list[tuple[int, int]] = []
    settings: ClusterSettings = ClusterSettings()

    def apply_delta(self, delta: MapDelta) -> "ClusterMap":
        """The map at `delta.version`; this one stays as it is. Idempotent: an older delta changes nothing.

        Raises DeltaMismatch if the delta starts after this map or belongs to another cluster.
        """
        if self.cluster and delta.cluster != self.cluster:
            raise DeltaMismatch(f"a delta of cluster {delta.cluster} does not fit a map of cluster {self.cluster}")
        if delta.version <= self.version:
            return self
        if not delta.whole and delta.since > self.version:
            raise DeltaMismatch(f"a delta since version {delta.since} leaves a gap behind version {self.version}")
        nodes = {} if delta.whole else dict(self.nodes)
        tables = {} if delta.whole else dict(self.tables)
        partitions = {} if delta.whole else dict(self.partitions)
        for name in delta.removed_tables:
            tables.pop(name, None)
        for partition in delta.removed_partitions:
            partitions.pop(partition, None)
        nodes.update((node.id, node) for node in delta.nodes)
        tables.update((table.name, table) for table in delta.tables)
        partitions.update((entry.id, entry) for entry in delta.partitions)
        return ClusterMap(
            version=delta.version,
            cluster=delta.cluster,
            nodes=nodes,
            tables=tables,
            partitions=partitions,
            deleted=self.deleted if delta.deleted is None else delta.deleted,
            settings=delta.settings,
        )

    def is_deleted(self, partition: PartitionId) -> bool:
        """Whether the catalog has deleted the partition's table: its replicas may be dropped."""
        return in_ranges(self.deleted, partition)

    def catalog(self) -> PartitionEntry | None:
        """The catalog's own group, if the map is not the empty one."""
        return self.partitions.get(CATALOG_PARTITION)


EMPTY_MAP = ClusterMap(version=0, cluster="", nodes={}, tables={}, partitions={})


def in_ranges(ranges: list[tuple[int, int]], number: int) -> bool:
    """Whether sorted, disjoint, closed ranges hold the number."""
    place = bisect_right(ranges, number, key=lambda pair: pair[0])
    return place > 0 and number <= ranges[place - 1][1]


class RangeIndex:
    """The partitions of one table, found by row key in O(log n). Immutable; cheap to build anew."""

    __slots__ = ("_entries", "_lows")

    def __init__(self, entries: list[PartitionEntry]) -> None:
        self._entries = tuple(sorted(entries, key=lambda entry: entry.low))
        self._lows = [entry.low for entry in self._entries]

    def find(self, row_key: bytes) -> PartitionEntry | None:
        """The partition whose range holds the row key; None where the map has a hole."""
        place = bisect_right(self._lows, row_key) - 1
        if place < 0:
            return None
        entry = self._entries[place]
        if entry.high is not None and row_key >= entry.high:
            return None
        return entry

    def after(self, low: bytes) -> PartitionEntry | None:
        """The partition that holds `low` or, in a hole, the next one behind it: what a scan reads next."""
        found = self.find(low)
        if found is not None:
            return found
        place = bisect_right(self._lows, low)
        return self._entries[place] if place < len(self._entries) else None

    def before(self, high: bytes | None) -> PartitionEntry | None:
        """The partition that holds the keys right below `high` (None: the highest): what a backward scan reads next."""
        place = len(self._entries) if high is None else bisect_left(self._lows, high)
        return self._entries[place - 1] if place else None

    @property
    def entries(self) -> tuple[PartitionEntry, ...]:
        """All partitions, in order of their ranges."""
        return self._entries


class Routes:
    """A map with an index per table; following a delta rebuilds only the indexes of the tables that it touches."""

    __slots__ = ("_indexes", "map")

    def __init__(self, cluster_map: ClusterMap = EMPTY_MAP) -> None:
        self.map = cluster_map
        by_table: dict[str, list[PartitionEntry]] = {}
        for entry in cluster_map.partitions.values():
            by_table.setdefault(entry.table, []).append(entry)
        self._indexes = {table: RangeIndex(entries) for table, entries in by_table.items()}

    def table(self, name: str) -> RangeIndex | None:
        """The index of a table's partitions; None if the map has none of that name."""
        return self._indexes.get(name)

    def apply_delta(self, delta: MapDelta) -> None:
        """Moves on to the delta's version. Raises DeltaMismatch as `ClusterMap.apply_delta` does."""
        before = self.map
        after = before.apply_delta(delta)
        if after is before:
            return
        if delta.whole:
            fresh = Routes(after)
            self.map, self._indexes = fresh.map, fresh._indexes
            return
        changed = {entry.id: entry for entry in delta.partitions}
        gone = set(delta.removed_partitions)
        touched = dict.fromkeys(entry.table for entry in delta.partitions)
        touched.update(
            (before.partitions[id_].table, None) for id_ in delta.removed_partitions if id_ in before.partitions
        )
        self.map = after
        for table in touched:
            index = self._indexes.get(table)
            kept = [e for e in index.entries if e.id not in changed and e.id not in gone] if index else []
            entries = kept + [entry for entry in delta.partitions if entry.table == table]
            if entries:
                self._indexes[table] = RangeIndex(entries)
            else:
                self._indexes.pop(table, None)
