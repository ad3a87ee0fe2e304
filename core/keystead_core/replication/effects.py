"""What a node's core asks its shell to do, in this order. The shell makes no decision of its own."""

import msgspec

from keystead_core.ids import Epoch, Lsn, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogEntry, LogPoint
from keystead_core.log.record import Record
from keystead_core.replication.messages import Message


class Send(msgspec.Struct):
    """Best effort: the message may be lost, late or doubled."""

    to: NodeId
    message: Message


class Persist(msgspec.Struct):
    """Write the entries behind all earlier ones, sync, and answer Synced(sequence). At most one per step, with all
    of the step's entries; what must wait for it is held by the core until Synced."""

    sequence: int
    entries: list[LogEntry]


class Apply(msgspec.Struct):
    """These records are committed: bring the rows to the last of them, in one batch with its LSN, then answer Applied.

    Where the rows are older than the first record's predecessor, the shell reads what is between from the cold log.
    """

    partition: PartitionId
    records: list[Record]


class RowsDue(msgspec.Struct):
    """At a start with nothing to apply: bring the rows up to `lsn` before anybody reads or copies them.

    A crash may have left them behind the log's base. What they lack is in the cold log; if not, answer RowsLost.
    """

    partition: PartitionId
    lsn: Lsn


class Proposed(msgspec.Struct):
    """The proposals have LSNs from `first_lsn` on, in order of `tokens`; each succeeds once Apply passes its LSN."""

    partition: PartitionId
    epoch: Epoch
    first_lsn: Lsn
    tokens: list[int]


class ProposalRefused(msgspec.Struct):
    """Nothing was written. `master`: the node that masters the group as far as known here, or ''."""

    partition: PartitionId
    tokens: list[int]
    reason: str
    master: NodeId


class ReadReady(msgspec.Struct):
    """These reads may be served now, from the rows as applied."""

    partition: PartitionId
    tokens: list[int]


class ReadRefused(msgspec.Struct):
    """These reads may not be served here. `master`: as in ProposalRefused."""

    partition: PartitionId
    tokens: list[int]
    reason: str
    master: NodeId


class Deposed(msgspec.Struct):
    """Mastership of `epoch` ended here: proposals above the commit LSN have an unknown outcome."""

    partition: PartitionId
    epoch: Epoch


class MastershipChanged(msgspec.Struct):
    """This node now serves the group (after its epoch record was applied), or its committed membership changed."""

    partition: PartitionId
    epoch: Epoch
    membership: bytes


class TakeLock(msgspec.Struct):
    """Raise the group's lock above `at_least` in the lock service, and answer LockTaken if that succeeds."""

    partition: PartitionId
    at_least: int


class Seal(msgspec.Struct):
    """Write these committed records to the cold log, verify, and answer Sealed.

    `keep_lsn`: a member that gets a copy goes on from the cold log there; it stays from that LSN on (0: none needs it).
    """

    partition: PartitionId
    records: list[Record]
    keep_lsn: Lsn = 0


class ReleaseLog(msgspec.Struct):
    """The hot log no longer needs records of the partition up to `lsn`."""

    partition: PartitionId
    lsn: Lsn


class ReadCold(msgspec.Struct):
    """Read records behind `after_lsn` from the cold log, about `bytes_max`, and answer ColdRead."""

    partition: PartitionId
    peer: ReplicaId
    after_lsn: Lsn
    bytes_max: int


class SendCopy(msgspec.Struct):
    """Stream a checkpoint of the rows to `peer` on node `to`, throttled; answer CopyFinished."""

    partition: PartitionId
    peer: ReplicaId
    to: NodeId
    epoch: Epoch


class InstallCopy(msgspec.Struct):
    """Put the staged copy in the place of the replica's rows; drop its cold log; answer CopyInstalled."""

    partition: PartitionId
    token: int
    base: LogPoint


class DiscardCopy(msgspec.Struct):
    partition: PartitionId
    token: int


class DropRows(msgspec.Struct):
    """Delete the replica's rows and cold log: the tombstone is durable."""

    partition: PartitionId


class EligibilityChanged(msgspec.Struct):
    """`ineligible`: '' or the reason. `refusal`: why a wish to change was refused, or ''."""

    partition: PartitionId
    ineligible: str
    refusal: str


class Retired(msgspec.Struct):
    """Answer to Retire, durable: what is here takes part in nothing any more. `replica`: 0 where there is none. `last`:
    the last record of its log, without a gap; `has_rows`: all up to there can be in its rows."""

    partition: PartitionId
    replica: ReplicaId
    last: LogPoint
    has_rows: bool


class RenounceIdentity(msgspec.Struct):
    """Peers have seen a later start of this volume: stop, and come back as a new node."""

    reason: str


Effect = (
    Send
    | Persist
    | Apply
    | RowsDue
    | Proposed
    | ProposalRefused
    | ReadReady
    | ReadRefused
    | Deposed
    | MastershipChanged
    | TakeLock
    | Seal
    | ReleaseLog
    | ReadCold
    | SendCopy
    | InstallCopy
    | DiscardCopy
    | DropRows
    | EligibilityChanged
    | Retired
    | RenounceIdentity
)
