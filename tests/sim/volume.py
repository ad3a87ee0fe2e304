"""What a machine's disk holds: the real hot log's blocks, rows and cold logs; and beside it the account of what it must
hold (`durable`, `pending`), by which recovery is judged."""

from __future__ import annotations

from random import Random

from keystead_core.ids import Lsn, NodeId, PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogEntry, RecoveredReplica
from keystead_node.recovered import complete, find_sealed_membership
from keystead_node.storage.cold_log import ColdLog
from keystead_node.storage.geometry import Geometry
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.recovery import recover
from tests.sim.database import Files
from tests.sim.disk import SimDisk
from tests.sim.durable import DurableLog, rebuilt
from tests.sim.segments import SegmentFiles


class Volume:
    """`struck`: bits were flipped or a write went astray here, so recovery may find damage. `torn`: records, as (LSN,
    hash), that were written when the process died, so that recovery may find their names alone. `disk` may hold what an
    earlier identity left: a hot log need not be zeroed for a new one."""

    def __init__(self, node_id: NodeId, random: Random, geometry: Geometry, disk: SimDisk | None = None) -> None:
        self.node_id = node_id
        self.random = random
        self.geometry = geometry
        self.boot_counter = 0
        self.is_formed = False
        self.disk = disk or SimDisk(geometry.total_blocks)
        self.databases: dict[PartitionId, Files] = {}
        self.segments: dict[PartitionId, SegmentFiles] = {}
        self.floors: dict[PartitionId, Lsn] = {}
        self.durable: dict[PartitionId, DurableLog] = {}
        self.pending: list[LogEntry] = []
        self.struck = False
        self.torn: dict[PartitionId, set[tuple[Lsn, int]]] = {}

    def database_of(self, partition: PartitionId) -> Files:
        found = self.databases.get(partition)
        if found is None:
            found = self.databases[partition] = Files(self.random)
        return found

    def segments_of(self, partition: PartitionId) -> SegmentFiles:
        found = self.segments.get(partition)
        if found is None:
            found = self.segments[partition] = SegmentFiles()
        return found

    def drop(self, partition: PartitionId) -> None:
        """Deletes the partition's directory."""
        self.databases.pop(partition, None)
        self.segments.pop(partition, None)
        self.floors.pop(partition, None)

    def settle(self, count: int) -> None:
        """The first `count` pending entries are durable now."""
        for entry in self.pending[:count]:
            log = self.durable.get(entry.partition)
            if log is None:
                log = self.durable[entry.partition] = DurableLog()
            log.add(entry)
        del self.pending[:count]

    def crash(self, random: Random, power: bool) -> bool:
        """Returns whether something that was written is lost or torn."""
        lost = self.disk.crash(random, power)
        for files in self.databases.values():
            files.crash()
        return lost

    def open(self) -> tuple[HotLog, list[RecoveredReplica]]:
        """Forms the hot log, or recovers it and adds what the rows and cold logs say, as the node does."""
        if not self.is_formed:
            hot_log = HotLog.create(self.disk, self.node_id, self.geometry)
            self.is_formed = True
            return hot_log, []
        logs = {partition: ColdLog(files, partition) for partition, files in sorted(self.segments.items())}
        ends = {partition: cold.end for partition, cold in logs.items() if cold.end != EMPTY_LOG}
        hot_log, replicas = recover(self.disk, self.node_id, ends)
        for found in replicas:
            cold_start = logs[found.partition].start_lsn if found.partition in ends else 0
            complete(found, cold_start, self.floors.get(found.partition, 0))
            if found.partition in ends:
                find_sealed_membership(found, logs[found.partition])
        return hot_log, replicas

    def adopt(self, found: dict[PartitionId, RecoveredReplica]) -> None:
        """What recovery found is durable from now on."""
        before = self.durable
        self.durable = {p: rebuilt(replica, before.get(p, DurableLog())) for p, replica in found.items()}
        self.pending.clear()

    @property
    def is_sound(self) -> bool:
        return self.disk.is_sound and all(files.is_sound for files in self.segments.values())

    def copy(self) -> Volume:
        """What stands on the disk, made before a start: an old copy, to be rolled back to or attached a second time."""
        other = Volume(self.node_id, self.random, self.geometry, self.disk.copy())
        other.boot_counter, other.is_formed, other.struck = self.boot_counter, self.is_formed, self.struck
        other.databases = {partition: files.copy() for partition, files in self.databases.items()}
        other.segments = {partition: files.copy() for partition, files in self.segments.items()}
        other.floors = dict(self.floors)
        other.durable = {p: log.copy() for p, log in self.durable.items()}
        other.pending = list(self.pending)
        other.torn = {p: set(records) for p, records in self.torn.items()}
        return other
