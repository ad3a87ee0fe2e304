"""The cluster as the page shows it: the map, merged with what the nodes say. Pure. docs/pictures.md has its fields."""

from collections.abc import Mapping

import msgspec

from keystead_core import under_way
from keystead_core.cluster_map import ClusterMap, NodeEntry, PartitionEntry, TableDefinition
from keystead_core.ids import NodeId, PartitionId
from keystead_core.keyspace import HASH_SPACE, hash_of
from keystead_core.split.dial_up import PartitionLimits, dial_up, partitions_for
from keystead_node.ui.loads import Behind, ReplicaLoad

Loads = Mapping[NodeId, list[ReplicaLoad] | str]


class SplitPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A split that is planned or not settled. `at`: where it is cut, as a share of all hashes; null: not chosen yet."""

    right: PartitionId
    phase: str
    reason: str
    at: float | None
    said: str


class MovePicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Replicas on their way. `behind`: members that are not level, with what they lack, as their master says."""

    joining: list[NodeId]
    leaving: list[NodeId]
    behind: list["BehindPicture"]


class BehindPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`way`: log | cold | copy. `lag`: records. `sent` of `total` bytes of a copy; 0 of 0 else."""

    node: NodeId
    way: str
    lag: int
    sent: int
    total: int


class ReplicaPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`role` as in a node's status; silent where the node does not answer, absent where it has not made its replica."""

    node: NodeId
    role: str
    eligible: bool


class PartitionPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`low` and `high`: row keys in hex (`high` null: no end); `start` and `end`: their places as shares of all hashes.
    `load`: units a second against what one partition gives; more than 1 is more. `master`: null: none serves."""

    id: PartitionId
    low: str
    high: str | None
    start: float
    end: float
    load: float
    read_units: float
    write_units: float
    bytes: int | None
    master: NodeId | None
    replicas: list[ReplicaPicture]
    split: SplitPicture | None
    split_from: PartitionId | None
    split_refusal: str
    move: MovePicture | None


class PlanPicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a table's units ask for: `wanted` partitions, `splits` more of them in `generations`."""

    wanted: int
    splits: int
    generations: int


class TablePicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`name` "": the catalog. `index_of`: the table whose global index this one holds, or ""."""

    name: str
    state: str
    index_of: str
    plan: PlanPicture | None
    partitions: list[PartitionPicture]


class NodePicture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`problem`: why it does not answer, or null. Loads are sums over its replicas: what its partitions do here."""

    id: NodeId
    name: str
    zone: str
    state: str
    problem: str | None
    masters: int
    replicas: int
    bytes: int
    read_units: float
    write_units: float
    load: float


class State(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """GET /ui/state. `asked`: the node that answers. The limits are what one partition gives a second, 0: no limit."""

    cluster: str
    asked: NodeId
    map_version: int
    read_units_max: int
    write_units_max: int
    nodes: list[NodePicture]
    tables: list[TablePicture]


def state_of(asked: NodeId, cluster_map: ClusterMap, loads: Loads, limits: PartitionLimits) -> State:
    """Tables by name, the catalog first; partitions by their ranges; nodes by zone and name."""
    return _Merge(cluster_map, loads, limits).state(asked)


class _Merge:
    def __init__(self, cluster_map: ClusterMap, loads: Loads, limits: PartitionLimits) -> None:
        self._map = cluster_map
        self._limits = limits
        self._loads = loads
        self._said: dict[PartitionId, dict[NodeId, ReplicaLoad]] = {}
        for node, answer in loads.items():
            for load in answer if not isinstance(answer, str) else ():
                self._said.setdefault(load.partition, {})[node] = load

    def state(self, asked: NodeId) -> State:
        by_table: dict[str, list[PartitionEntry]] = {name: [] for name in ("", *sorted(self._map.tables))}
        for entry in sorted(self._map.partitions.values(), key=lambda one: (one.low, one.id)):
            by_table.setdefault(entry.table, []).append(entry)
        tables = [self._table(name, entries) for name, entries in by_table.items()]
        return State(
            cluster=self._map.cluster,
            asked=asked,
            map_version=self._map.version,
            read_units_max=self._limits.read_units,
            write_units_max=self._limits.write_units,
            nodes=self._nodes(tables),
            tables=tables,
        )

    def _table(self, name: str, entries: list[PartitionEntry]) -> TablePicture:
        table = self._map.tables.get(name)
        return TablePicture(
            name=name,
            state=table.status if table is not None else "ACTIVE",
            index_of=table.index_of if table is not None else "",
            plan=self._plan(table, entries) if table is not None else None,
            partitions=[self._partition(entry) for entry in entries],
        )

    def _plan(self, table: TableDefinition, entries: list[PartitionEntry]) -> PlanPicture | None:
        if not table.read_units or not entries:
            return None
        wanted = partitions_for(table.read_units, table.write_units, self._limits)
        step = dial_up(entries, min(wanted, table.partitions_max) if table.partitions_max else wanted)
        if not step.splits:
            return None
        return PlanPicture(wanted=step.wanted, splits=step.splits, generations=step.generations)

    def _partition(self, entry: PartitionEntry) -> PartitionPicture:
        said = self._said.get(entry.id, {})
        serving = [(load.epoch, node) for node, load in said.items() if load.serves]
        master = max(serving)[1] if serving else None
        reads = sum(load.read_units for load in said.values())
        writes = sum(load.write_units for load in said.values())
        sizes = [load.size for node, load in said.items() if load.size >= 0 and (master is None or node == master)]
        places = dict.fromkeys([*(one.node for one in entry.members or entry.target), *said])
        return PartitionPicture(
            id=entry.id,
            low=entry.low.hex(),
            high=None if entry.high is None else entry.high.hex(),
            start=hash_of(entry.low) / HASH_SPACE,
            end=1.0 if entry.high is None else hash_of(entry.high) / HASH_SPACE,
            load=self._share(reads, writes),
            read_units=round(reads, 1),
            write_units=round(writes, 1),
            bytes=max(sizes, default=None),
            master=master,
            replicas=[self._replica(node, said.get(node)) for node in places],
            split=_split(entry),
            split_from=entry.left or None,
            split_refusal=entry.split_refusal,
            move=_move(entry, said[master].behind if master is not None else []),
        )

    def _replica(self, node: NodeId, load: ReplicaLoad | None) -> ReplicaPicture:
        if load is not None:
            return ReplicaPicture(node=node, role=load.role, eligible=load.eligible)
        answers = isinstance(self._loads.get(node), list)
        return ReplicaPicture(node=node, role="absent" if answers else "silent", eligible=False)

    def _share(self, reads: float, writes: float) -> float:
        most = self._limits
        share = (reads / most.read_units if most.read_units else 0.0) + (
            writes / most.write_units if most.write_units else 0.0
        )
        return round(share, 4)

    def _nodes(self, tables: list[TablePicture]) -> list[NodePicture]:
        masters: dict[NodeId, int] = {}
        replicas: dict[NodeId, int] = {}
        for table in tables:
            for partition in table.partitions:
                if partition.master is not None:
                    masters[partition.master] = masters.get(partition.master, 0) + 1
                for replica in partition.replicas:
                    replicas[replica.node] = replicas.get(replica.node, 0) + 1
        entries = [e for e in self._map.nodes.values() if e.state != "left" or e.id in replicas]
        entries.sort(key=lambda entry: (entry.zone, _by_number(entry.name), entry.id))
        return [self._node(entry, masters.get(entry.id, 0), replicas.get(entry.id, 0)) for entry in entries]

    def _node(self, entry: NodeEntry, masters: int, replicas: int) -> NodePicture:
        answer = self._loads.get(entry.id, "it has left" if entry.state == "left" else "it was not asked")
        loads = answer if not isinstance(answer, str) else []
        reads, writes = sum(load.read_units for load in loads), sum(load.write_units for load in loads)
        return NodePicture(
            id=entry.id,
            name=entry.name,
            zone=entry.zone,
            state=entry.state,
            problem=answer if isinstance(answer, str) else None,
            masters=masters,
            replicas=replicas,
            bytes=sum(max(0, load.size) for load in loads),
            read_units=round(reads, 1),
            write_units=round(writes, 1),
            load=self._share(reads, writes),
        )


def _by_number(name: str) -> tuple[str, int]:
    """node-10 comes after node-9."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _split(entry: PartitionEntry) -> SplitPicture | None:
    split = under_way.split_of(entry)
    if split is None:
        return None
    return SplitPicture(
        right=split.right,
        phase=split.phase,
        reason=split.reason,
        at=hash_of(split.at) / HASH_SPACE if split.at else None,
        said=split.said(),
    )


def _move(entry: PartitionEntry, behind: list[Behind]) -> MovePicture | None:
    """Also where nothing moves, but a member is far enough behind to need a copy."""
    move = under_way.move_of(entry)
    named = [one for one in behind if one.way != "log" or (move is not None and one.node in move.joining)]
    if move is None and not named:
        return None
    return MovePicture(
        joining=move.joining if move is not None else [],
        leaving=move.leaving if move is not None else [],
        behind=[BehindPicture(node=b.node, way=b.way, lag=b.lag, sent=b.sent, total=b.total) for b in named],
    )
