"""What can happen to a node's core. Times are passed beside the event, never in it."""

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import Boot, Epoch, Lsn, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.replication.membership import Membership
from keystead_core.replication.messages import Message


class Received(msgspec.Struct):
    """A message from another node; `boot` is that of the connection's hello."""

    sender: NodeId
    boot: Boot
    message: Message


class Synced(msgspec.Struct):
    """Everything persisted with a sequence number up to `sequence` is on stable storage."""

    sequence: int


class Tick(msgspec.Struct):
    """The time that `Node.deadline()` named has come (or any other: it is always safe)."""


class Propose(msgspec.Struct):
    """Client writes for one partition, as (token, kind, body); the core answers with Proposed or ProposalRefused.

    `clock`: microseconds of the wall clock since 1970, for the records' hybrid clock; no decision rests on it.
    """

    partition: PartitionId
    proposals: list[tuple[int, int, bytes]]
    clock: int = 0


class ReadWanted(msgspec.Struct):
    """A strongly consistent read, where `reads` is quorum; answered with ReadReady or ReadRefused."""

    partition: PartitionId
    token: int


class Registered(msgspec.Struct):
    """The catalog has taken this start of the node in: its volume is no old copy, and its node has not left."""


class Retire(msgspec.Struct):
    """The catalog gives the group up (docs/decisions/0012): the replica here takes part in nothing any more, for ever.

    `replica`: the highest id that the map names for a replica here, which is never made where there is none (0: none).
    """

    partition: PartitionId
    replica: ReplicaId


class Conclude(msgspec.Struct):
    """Another group goes on from what this retired replica has: all of its log is to be in its rows."""

    partition: PartitionId


class Rebalance(msgspec.Struct):
    """From time to time: give masterships back to the replicas that the catalog prefers as masters."""


class RoomMeasured(msgspec.Struct):
    """`room`: bytes that the disk has left above its first reserve; 0: writes that grow are refused here."""

    room: int


class Applied(msgspec.Struct):
    """The rows hold everything up to `lsn`."""

    partition: PartitionId
    lsn: Lsn


class LockTaken(msgspec.Struct):
    """The group's lock was raised for us to `counter`."""

    partition: PartitionId
    counter: int


class PeerLost(msgspec.Struct):
    """The connection to this node was reset."""

    node: NodeId


class ProposeSplit(msgspec.Struct):
    """Divide the partition, if this is its master and every member of the right group has all but its last records.

    `body`: an encoded Split. Nothing answers: the split is applied like any record, or `why` says what it waits for.
    """

    partition: PartitionId
    body: bytes
    clock: int = 0


class HostReplica(msgspec.Struct):
    """Create a replica here. `founding`: the first membership, where this replica is a founder, else None.

    `base`: of a group that a split made, whose log begins behind it; the rows as of it are here already, durably.
    """

    partition: PartitionId
    replica: ReplicaId
    founding: Membership | None
    base: LogPoint = EMPTY_LOG


class DropReplica(msgspec.Struct):
    """A committed membership of the group, of this version, excludes `replica`: forget it and keep a tombstone."""

    partition: PartitionId
    replica: ReplicaId


class SetTarget(msgspec.Struct):
    """Where the catalog wants the group's replicas; its master changes the membership step by step.

    `committed`: (version, epoch) of the membership that a master of the group last reported, once it was committed.
    """

    partition: PartitionId
    target: list[ReplicaTarget]
    write_quorum_min: int
    durable_zones: int
    committed: tuple[int, Epoch] = (0, 0)


class HandOver(msgspec.Struct):
    """Give up mastership of the group to `successor` (0: the most level full voter elsewhere)."""

    partition: PartitionId
    successor: ReplicaId


class Maintain(msgspec.Struct):
    """Make every replica of this node ineligible by plan, mastership handed over first."""


class Resume(msgspec.Struct):
    """Make every replica that is ineligible by plan count again."""


class Sealed(msgspec.Struct):
    """The cold log holds everything up to `end`."""

    partition: PartitionId
    end: LogPoint


class SealWanted(msgspec.Struct):
    """The hot log wants its space back: seal what is committed of this partition."""

    partition: PartitionId


class ColdRead(msgspec.Struct):
    """Answer to ReadCold: records behind `prev`, laid end to end; empty where the cold log does not reach."""

    partition: PartitionId
    peer: ReplicaId
    prev: LogPoint
    records: bytes


class CopyFinished(msgspec.Struct):
    """The copy to `peer` that SendCopy began has ended, well or not."""

    partition: PartitionId
    peer: ReplicaId
    ok: bool


class CopyArrived(msgspec.Struct):
    """A verified physical copy is here, staged under `token`; the core decides whether to install it."""

    partition: PartitionId
    token: int
    epoch: Epoch
    base: LogPoint
    membership: bytes


class RowsLost(msgspec.Struct):
    """The rows or the cold log are damaged beyond what the log here can rebuild; the shell has deleted them."""

    partition: PartitionId


class CopyInstalled(msgspec.Struct):
    """The staged copy has become the replica's rows."""

    partition: PartitionId
    token: int


Event = (
    Received
    | Synced
    | Tick
    | Propose
    | ReadWanted
    | Registered
    | Retire
    | Conclude
    | Rebalance
    | RoomMeasured
    | Applied
    | LockTaken
    | PeerLost
    | ProposeSplit
    | HostReplica
    | DropReplica
    | SetTarget
    | HandOver
    | Maintain
    | Resume
    | Sealed
    | SealWanted
    | ColdRead
    | CopyFinished
    | CopyArrived
    | CopyInstalled
    | RowsLost
)
