"""The state of a cluster for people and programs: all nodes' statuses and the map, merged. Pure.

What `keystead status -o json` prints is `ClusterView` as it stands here; fields are added, never changed.
"""

from collections.abc import Mapping

import msgspec

from keystead_core.cluster_map import ClusterMap, PartitionEntry
from keystead_core.comeback import ways_back, ways_in_words
from keystead_core.ids import CATALOG_PARTITION, NodeId
from keystead_core.under_way import split_of
from keystead_operator.node_status import NodeSelf, NodeStatus, ReplicaStatus
from keystead_operator.recovery_said import recovery_of


class NodePlace(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node without asking it. `problem`: why it does not answer, or ""."""

    name: str
    zone: str
    port: int
    data_dir: str
    pid: int = 0
    problem: str = ""


class ReplicaView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A replica. Where no replica is seen, `role` is unreachable (its node does not answer), absent (the node has
    not made it yet) or lost (the volume that held it is gone).

    `why_not`: why it is not eligible or not level. LSNs and `lag` (records behind the master) are null when unknown.
    """

    node: str
    node_id: NodeId
    zone: str
    role: str
    eligible: bool
    why_not: str | None
    last_lsn: int | None
    commit_lsn: int | None
    lag: int | None


class KeyRange(msgspec.Struct, frozen=True):
    """Row keys in hex: low <= key < high; high null: no end."""

    low: str
    high: str | None


class PartitionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A partition. `master` is the name of the node that serves it, or null. `notes`: what its replicas say. `load`:
    units a second against what one partition gives. `split`: how far its division is, in a sentence, or null.
    `recovery`: the same of going on with a minority, and ever after what was kept; `recovering`: it is under way.

    `ways_back`: where too few replicas are left to lead or to take a write, the smallest sets of node ids with whose
    volumes it comes back by itself; empty where enough are there, or where nothing that is absent would be enough.
    """

    id: int
    table: str
    range: KeyRange
    generation: int
    epoch: int
    membership_version: int
    write_quorum: int
    durable_zones: int
    master: str | None
    replicas: list[ReplicaView]
    notes: list[str] = []
    load: float = 0.0
    read_units: float = 0.0
    write_units: float = 0.0
    bytes: int | None = None
    split: str | None = None
    recovery: str | None = None
    recovering: bool = False
    ways_back: list[list[NodeId]] = []

    @property
    def way_back(self) -> str:
        """`ways_back` in words, with the names of the nodes; "" where it is empty."""
        names = {replica.node_id: replica.node for replica in self.replicas}
        return ways_in_words(self.ways_back, lambda node: f"{names.get(node, node)} (node id {node})")


class IndexView(msgspec.Struct, frozen=True, kw_only=True):
    """An index. `status`: CREATING | ACTIVE. `backfilling`: older items are being brought into it."""

    name: str
    status: str
    backfilling: bool


class TableView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A table. `state`: CREATING | ACTIVE | DELETING, as the catalog has it."""

    name: str
    state: str
    managed_by: str
    desired_replicas: int
    partitions: list[PartitionView]
    indexes: list[IndexView] = []


class NodeView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node. `state`: active | maintenance | starting | unreachable | stopped; `problem` says more, or is null.
    `load`: what all its replicas do, in what one partition gives."""

    name: str
    id: str | None
    zone: str
    pid: int | None
    port: int
    data_dir: str
    state: str
    problem: str | None
    masters: int = 0
    replicas: int = 0
    load: float = 0.0


class ClusterView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster. `map_version`: of the newest map that a node gave; it and `catalog` are null if none answers. `page`:
    where a browser sees it all (docs/pictures.md), or "" where none can."""

    cluster: str
    endpoint: str
    map_version: int | None
    nodes: list[NodeView]
    catalog: PartitionView | None
    tables: list[TableView]
    page: str = ""

    def table(self, name: str) -> TableView | None:
        return next((table for table in self.tables if table.name == name), None)

    @property
    def serving(self) -> bool:
        """Whether the catalog and every partition of every table have a master."""
        if self.catalog is None or self.catalog.master is None:
            return False
        return all(partition.master is not None for table in self.tables for partition in table.partitions)


def cluster_view(
    cluster: str,
    endpoint: str,
    places: list[NodePlace],
    statuses: Mapping[str, NodeStatus],
    cluster_map: ClusterMap | None,
) -> ClusterView:
    """Merges what was gathered. `statuses` by the name of the place, without those that did not answer."""
    merge = _Merge(places, statuses, cluster_map)
    entries = [] if cluster_map is None else sorted(cluster_map.partitions.values(), key=lambda one: (one.low, one.id))
    by_table: dict[str, list[PartitionView]] = {}
    catalog = None
    for entry in entries:
        if entry.id == CATALOG_PARTITION:
            catalog = merge.partition(entry)
        else:
            by_table.setdefault(entry.table, []).append(merge.partition(entry))
    tables = [] if cluster_map is None else [cluster_map.tables[name] for name in sorted(cluster_map.tables)]
    return ClusterView(
        cluster=cluster,
        endpoint=endpoint,
        map_version=None if cluster_map is None else cluster_map.version,
        nodes=[merge.node(place) for place in places],
        catalog=catalog,
        tables=[
            TableView(
                name=table.name,
                state=table.status,
                managed_by=table.managed_by,
                desired_replicas=table.replicas,
                partitions=by_table.get(table.name, []),
                indexes=[
                    IndexView(name=index.name, status=index.status, backfilling=bool(index.filling))
                    for index in table.indexes
                ],
            )
            for table in tables
        ],
    )


class _Merge:
    """Finds replicas by node id over all statuses."""

    def __init__(
        self, places: list[NodePlace], statuses: Mapping[str, NodeStatus], cluster_map: ClusterMap | None
    ) -> None:
        self._statuses = statuses
        self._nodes = cluster_map.nodes if cluster_map is not None else {}
        self._names: dict[str, str] = {}
        self._zones: dict[str, str] = {}
        for node_id, entry in (cluster_map.nodes if cluster_map is not None else {}).items():
            self._names[node_id], self._zones[node_id] = entry.name, entry.zone
        self._left = {
            node for node, entry in (cluster_map.nodes if cluster_map else {}).items() if entry.state == "left"
        }
        self._tenants: set[str] = set()
        self._replicas: dict[str, dict[int, ReplicaStatus]] = {}
        self._selves: dict[str, NodeSelf] = {}
        for place in places:
            status = statuses.get(place.name)
            if status is not None:
                self._tenants.add(place.name)
                self._names[status.node.id], self._zones[status.node.id] = place.name, place.zone
                self._selves[status.node.id] = status.node
                self._replicas[status.node.id] = {replica.partition: replica for replica in status.replicas}

    def node(self, place: NodePlace) -> NodeView:
        status = self._statuses.get(place.name)
        if status is None:
            state = "unreachable" if place.pid else "stopped"
        else:
            state = status.node.state
        return NodeView(
            name=place.name,
            id=None if status is None else status.node.id,
            zone=place.zone,
            pid=place.pid or None,
            port=place.port,
            data_dir=place.data_dir,
            state=state,
            problem=place.problem or None,
            masters=0 if status is None else sum(_serves(replica) for replica in status.replicas),
            replicas=0 if status is None else len(status.replicas),
            load=0.0 if status is None else round(sum(self._load(status.node.id, one) for one in status.replicas), 4),
        )

    def _load(self, node: str, replica: ReplicaStatus) -> float:
        """Of a replica there, by what that node says that one partition gives."""
        return self._selves[node].share(replica.read_units, replica.write_units)

    def partition(self, entry: PartitionEntry) -> PartitionView:
        found = {node: self._replicas[node].get(entry.id) for node in self._replicas}
        present = {node: replica for node, replica in found.items() if replica is not None}
        masters = [(replica.epoch, node) for node, replica in present.items() if _serves(replica)]
        master_id = max(masters)[1] if masters else None
        master = present.get(master_id) if master_id is not None else None
        members = self._members(entry, present, master)
        weighed = [master] if master is not None else list(present.values())
        split = split_of(entry)
        best = master or max(present.values(), key=lambda one: (one.epoch, one.membership_version), default=None)
        return PartitionView(
            id=entry.id,
            table=entry.table,
            range=KeyRange(entry.low.hex(), None if entry.high is None else entry.high.hex()),
            generation=entry.generation,
            epoch=entry.epoch if best is None else max(best.epoch, entry.epoch),
            membership_version=entry.membership_version if best is None else best.membership_version,
            write_quorum=entry.write_quorum,
            durable_zones=entry.durable_zones,
            master=None if master_id is None else self._name(master_id),
            replicas=[self._replica(node, present.get(node), master) for node in members],
            notes=[f"{self._name(node)} says: {self._named(one.why)}" for node, one in present.items() if one.why],
            ways_back=self._ways_back(entry, present, master),
            load=round(sum(self._load(node, one) for node, one in present.items()), 4),
            read_units=round(sum(one.read_units for one in present.values()), 1),
            write_units=round(sum(one.write_units for one in present.values()), 1),
            bytes=max((one.bytes for one in weighed if one.bytes is not None), default=None),
            split=None if split is None else split.said(),
            recovery=recovery_of(entry, self._nodes) or None,
            recovering=entry.is_recovering,
        )

    def _ways_back(
        self, entry: PartitionEntry, present: dict[str, ReplicaStatus], master: ReplicaStatus | None
    ) -> list[list[NodeId]]:
        if master is not None and set(master.members) != {place.node for place in entry.members}:
            return []  # of other members than the catalog knows of yet
        absent = [place.node for place in entry.members if place.node not in self._replicas]
        idle = [NodeId(node) for node in self._replicas if node not in present or not present[node].eligible]
        return [way for way in ways_back([entry], absent, [*idle, *map(NodeId, self._left)]) if way]

    def _members(
        self, entry: PartitionEntry, present: dict[str, ReplicaStatus], master: ReplicaStatus | None
    ) -> list[str]:
        """Members as the master has them, else as last reported; then learners and others that are there too."""
        known = list(master.members) if master is not None else [one.node for one in entry.members or entry.target]
        return list(dict.fromkeys([*known, *sorted(present)]))

    def _replica(self, node: str, replica: ReplicaStatus | None, master: ReplicaStatus | None) -> ReplicaView:
        common = {"node": self._name(node), "node_id": NodeId(node), "zone": self._zones.get(node, "")}
        progress = None if master is None else master.followers.get(node)
        if replica is None:
            role, why_not = self._missing(node)
            return ReplicaView(
                **common,  # type: ignore[arg-type]
                role=role,
                eligible=False,
                why_not=why_not,
                last_lsn=None,
                commit_lsn=None,
                lag=None if progress is None else progress.lag,
            )
        lag = None if master is None else max(0, master.last_lsn - replica.last_lsn)
        return ReplicaView(
            **common,  # type: ignore[arg-type]
            role=replica.role,
            eligible=replica.eligible,
            why_not=None if replica.eligible else replica.ineligible_reason or "it does not say why",
            last_lsn=replica.last_lsn,
            commit_lsn=replica.commit_lsn,
            lag=lag,
        )

    def _named(self, text: str) -> str:
        """The text with the names of nodes for their ids."""
        for node, name in self._names.items():
            text = text.replace(node, name)
        return text

    def _missing(self, node: str) -> tuple[str, str]:
        """The role of a replica that no status shows, and why."""
        if node in self._replicas:
            return "absent", "the node has not made its replica yet"
        if node in self._left or self._name(node) in self._tenants:
            return "lost", "the volume that held it is gone"
        return "unreachable", "the node does not answer"

    def _name(self, node: str) -> str:
        return self._names.get(node, node)


def _serves(replica: ReplicaStatus) -> bool:
    """A master whose lease has run out has lost its quorum: it serves nobody."""
    return replica.role == "master" and (replica.lease_ms is None or replica.lease_ms > 0)
