"""What a hot log should hold, kept the simplest way, and random entries that keep its chains right."""

import random

from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import (
    EMPTY_LOG,
    AppendEntry,
    LogEntry,
    LogPoint,
    RecoveredReplica,
    ReplicaState,
    SnipEntry,
    StateEntry,
)
from keystead_core.log.record import Kind, Record, make_record
from keystead_node.storage.geometry import Geometry
from keystead_node.storage.hot_log import HotLog
from tests.storage.mem_disk import MemDisk

NODE = NodeId("00000000000000a1")
SMALL = Geometry(segment_blocks=16, segment_count=8, ring_blocks=16)


def new_log(geometry: Geometry = SMALL) -> tuple[MemDisk, HotLog]:
    disk = MemDisk(geometry.total_blocks * 4096)
    return disk, HotLog.create(disk, NODE, geometry)


def state_of(replica: int, promised: int = 0, *, dropped: bool = False, base: LogPoint = EMPTY_LOG) -> ReplicaState:
    return ReplicaState(ReplicaId(replica), promised, ReplicaId(0), 0, "", base, b"", dropped)


def record_after(previous: Record | LogPoint, partition: int, body: bytes, epoch: int = 0) -> Record:
    return make_record(
        PartitionId(partition),
        epoch or previous.epoch or 1,
        previous.lsn + 1,
        Kind.DATA,
        1,
        previous.hash,
        0,
        body,
    )


def chain_of(partition: int, count: int, body_bytes: int = 100, epoch: int = 1) -> list[Record]:
    records: list[Record] = []
    previous: Record | LogPoint = EMPTY_LOG
    for number in range(count):
        previous = record_after(previous, partition, bytes([number % 251]) * body_bytes, epoch)
        records.append(previous)
    return records


def write_batch(disk: MemDisk, log: HotLog, *entries: LogEntry) -> None:
    """Appends, writes and syncs."""
    disk.write_all(log.append(list(entries)))
    disk.sync()
    log.synced(log.last_batch)


class Model:
    """Per partition: the live records by position, the state, the commit bound, and what is sealed."""

    def __init__(self, seed: int, partitions: int = 4, body_bytes_max: int = 3000) -> None:
        self.random = random.Random(seed)
        self.body_bytes_max = body_bytes_max
        self.records: dict[PartitionId, list[Record]] = {PartitionId(n): [] for n in range(1, partitions + 1)}
        self.states: dict[PartitionId, ReplicaState] = {}
        self.commits: dict[PartitionId, int] = dict.fromkeys(self.records, 0)
        self.sealed: dict[PartitionId, LogPoint] = {}
        self.epochs: dict[PartitionId, int] = dict.fromkeys(self.records, 1)

    def copy(self) -> "Model":
        other = Model(0)
        other.records = {partition: list(records) for partition, records in self.records.items()}
        other.states, other.commits, other.sealed = dict(self.states), dict(self.commits), dict(self.sealed)
        return other

    def entries(self, count: int, only: list[PartitionId] | None = None) -> list[LogEntry]:
        return [self._entry(self.random.choice(only or list(self.records))) for _ in range(count)]

    def _entry(self, partition: PartitionId) -> LogEntry:
        choice = self.random.random()
        records = self.records[partition]
        sealed = self.sealed.get(partition, EMPTY_LOG)
        if choice < 0.1:
            return self._new_state(partition)
        if choice < 0.2 and records:
            first = self.random.randint(max(records[0].lsn, self.commits[partition] + 1, sealed.lsn + 1), 10**9)
            first = min(first, records[-1].lsn + 1)
            self.epochs[partition] += 1
            del records[len(records) - (records[-1].lsn + 1 - first) :]
            return SnipEntry(partition, first, self.epochs[partition])
        new = []
        previous: Record | LogPoint = records[-1] if records else sealed
        for _ in range(self.random.randint(1, 4)):
            body = self.random.randbytes(self.random.randint(0, self.body_bytes_max))
            previous = record_after(previous, partition, body, self.epochs[partition])
            new.append(previous)
        records += new
        self.commits[partition] = max(self.commits[partition], new[-1].lsn - self.random.randint(1, 8))
        return AppendEntry(partition, self.commits[partition], new)

    def _new_state(self, partition: PartitionId) -> StateEntry:
        old = self.states.get(partition)
        self.states[partition] = state_of(100 + partition, (old.promised if old else 0) + 1)
        return StateEntry(partition, self.states[partition])

    def seal(self, log: HotLog, partition: PartitionId) -> None:
        """Releases what is committed."""
        done = [record for record in self.records[partition] if record.lsn <= self.commits[partition]]
        if done:
            self.sealed[partition] = LogPoint(done[-1].epoch, done[-1].lsn, done[-1].hash)
            del self.records[partition][: len(done)]
            log.release(partition, done[-1].lsn)

    def is_matched_by(self, replicas: list[RecoveredReplica]) -> bool:
        return self.difference(replicas) == ""

    def difference(self, replicas: list[RecoveredReplica]) -> str:
        """ "" where the recovered replicas hold exactly this; else what differs first."""
        found = {replica.partition: replica for replica in replicas}
        for partition, records in self.records.items():
            replica = found.get(partition)
            if replica is None:
                if records or partition in self.states:
                    return f"partition {partition} is gone"
                continue
            if replica.damaged or replica.damaged_unknown:
                return f"partition {partition} is damaged: {replica.damaged} {replica.damaged_unknown}"
            if [r.raw for r in replica.records] != [r.raw for r in records]:
                return f"partition {partition} has {replica.records}, not {records}"
            if replica.state != self.states.get(partition):
                return f"partition {partition} has state {replica.state}, not {self.states.get(partition)}"
            if replica.commit_lsn != self.commits[partition]:
                return f"partition {partition} has commit {replica.commit_lsn}, not {self.commits[partition]}"
        return ""
