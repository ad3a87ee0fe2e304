"""What the core hands to the hot log, and what the hot log hands back at a start.

The core's `Persist` effect carries a list of these entries; the hot log writes them in that order, behind everything
handed over before, and one fdatasync covers them all. At recovery the same kinds come back as `RecoveredReplica`.
"""

import msgspec

from keystead_core.ids import Epoch, Lsn, PartitionId, ReplicaId
from keystead_core.log.record import Record


class LogPoint(msgspec.Struct, frozen=True, array_like=True):
    """A position in a log that names its whole history: the record at `lsn` and its hash."""

    epoch: Epoch
    lsn: Lsn
    hash: int


EMPTY_LOG = LogPoint(0, 0, 0)


class ReplicaState(msgspec.Struct, frozen=True, array_like=True):
    """All of a replica that survives beside its log and rows. Written whole; the last one written counts.

    `ineligible`: "" or why it counts in no quorum ("planned", "damaged", "copied", "copying", "retired"). `base`: the
    point behind which this replica's log starts (a physical copy, or the founding record's predecessor). `dropped`: a
    tombstone, kept for ever, so that a node never re-creates a replica that it once held. `log_only`: it was told where
    its log starts, so that it has no rows, though no membership in its log may name it yet.
    """

    replica: ReplicaId
    promised: Epoch
    promised_to: ReplicaId
    promised_boot: int
    ineligible: str
    base: LogPoint
    base_membership: bytes
    dropped: bool = False
    log_only: bool = False


class AppendEntry(msgspec.Struct, frozen=True):
    """Records of one partition, and a lower bound of its commit LSN as known when they were appended."""

    partition: PartitionId
    commit_lsn: Lsn
    records: list[Record]


class SnipEntry(msgspec.Struct, frozen=True):
    """Kills what was written before for LSNs >= `first_lsn` of the partition."""

    partition: PartitionId
    first_lsn: Lsn
    epoch: Epoch


class StateEntry(msgspec.Struct, frozen=True):
    partition: PartitionId
    state: ReplicaState


LogEntry = AppendEntry | SnipEntry | StateEntry


class DamagedRecord(msgspec.Struct, frozen=True):
    """A record that the log's index names and whose bytes are gone. `hash` is what a peer's copy must have.

    `doubtful`: it was in a batch that may never have been synced: lost with the power, not damaged later.
    """

    lsn: Lsn
    hash: int
    doubtful: bool = False


class RecoveredReplica(msgspec.Struct):
    """What a volume holds of one replica.

    `records` are in LSN order, without conflicts; the first chains to `state.base` or to the cold log's end. Where
    records are damaged there is a gap in them, and what stands above the gap is there too. `damaged_unknown`: damage
    of which no index says what it was. `cold_end`: the last record of the cold log, if any. `applied`: of the rows.
    `cold_membership`: the body of the last membership record that the cold log holds above `state.base`, if any.
    """

    partition: PartitionId
    state: ReplicaState | None
    records: list[Record]
    commit_lsn: Lsn
    applied_lsn: Lsn
    cold_start: Lsn = 0
    cold_end: LogPoint = EMPTY_LOG
    damaged: list[DamagedRecord] = []
    damaged_unknown: bool = False
    cold_membership: bytes = b""
