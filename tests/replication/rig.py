"""One node's core on a bench: events in, effects out, with every persist synced at will."""

from typing import TypeVar

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import MILLISECOND, SECOND, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, DamagedRecord, LogPoint, RecoveredReplica, ReplicaState
from keystead_core.log.record import Kind, Record, make_record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.membership import Membership, encode_membership, founding_membership
from keystead_core.replication.node import Node
from keystead_core.replication.replica import Replica
from keystead_core.replication.settings import Settings

M = TypeVar("M")

GROUP = PartitionId(7)
A, B, C = (NodeId(name) for name in "abc")
BOOT = 1 << 16
TARGETS = [ReplicaTarget(ReplicaId(n + 1), node, f"zone-{node}", "voter") for n, node in enumerate((A, B, C))]
FOUNDING = founding_membership(TARGETS, 0, 1, SECOND)


def founding_record(membership: Membership = FOUNDING) -> Record:
    return make_record(GROUP, 1, 1, Kind.MEMBERSHIP, 1, 0, 0, encode_membership(membership))


def chain(after: Record, *epochs: int) -> list[Record]:
    """Data records behind `after`, one of each epoch; the body names the epoch, so that branches differ."""
    records = []
    for epoch in epochs:
        record = make_record(GROUP, epoch, after.lsn + 1, Kind.DATA, 1, after.hash, 0, b"e%d" % epoch)
        records.append(record)
        after = record
    return records


def point(record: Record) -> LogPoint:
    return LogPoint(record.epoch, record.lsn, record.hash)


class Rig:
    """The core of node `a`, long after its start, so that no forgotten grant silences it."""

    def __init__(
        self, records: list[Record], damaged: list[Record] | None = None, promised: int = 1, doubtful: bool = False
    ) -> None:
        state = ReplicaState(ReplicaId(1), promised, ReplicaId(0), 0, "", EMPTY_LOG, b"")
        lost = [DamagedRecord(record.lsn, record.hash, doubtful) for record in damaged or []]
        found = self.recovered(records, state, lost)
        self.now = 10 * SECOND
        self.node = Node(Settings(lock="none"), A, BOOT, [found], 0, 1)
        self.effects: list[ef.Effect] = list(self.node.start(self.now))
        self.effects += self.node.step(ev.Registered(), self.now)

    @staticmethod
    def recovered(
        records: list[Record], state: ReplicaState, lost: list[DamagedRecord] | None = None
    ) -> RecoveredReplica:
        return RecoveredReplica(GROUP, state, records, 1, 0, damaged=lost or [])

    @property
    def replica(self) -> Replica:
        return self.node.replicas[GROUP]

    def step(self, event: ev.Event) -> list[ef.Effect]:
        effects = self.node.step(event, self.now)
        self.effects += effects
        return effects

    def hear(self, sender: NodeId, message: msg.Message) -> list[ef.Effect]:
        return self.step(ev.Received(sender, BOOT, message))

    def sync(self) -> list[ef.Effect]:
        """Everything handed to the disk so far is durable."""
        sequences = [effect.sequence for effect in self.effects if isinstance(effect, ef.Persist)]
        return self.step(ev.Synced(max(sequences))) if sequences else []

    def pass_time(self, micros: Micros) -> None:
        """In tenths of a second, each with its tick."""
        for _ in range(micros // (100 * MILLISECOND)):
            self.now += 100 * MILLISECOND
            self.step(ev.Tick())

    def append(self, sender: int, epoch: int, prev: Record, *records: Record, commit: int = 1) -> list[ef.Effect]:
        """An Append of the master with replica id `sender`."""
        blob = b"".join(record.raw for record in records)
        message = msg.Append(GROUP, ReplicaId(sender), BOOT, epoch, point(prev), commit, blob)
        return self.hear(TARGETS[sender - 1].node, message)


def sent(effects: list[ef.Effect], kind: type[M], to: NodeId | None = None) -> list[M]:
    """The messages of one kind that went out, to one node or to all."""
    sends = [e for e in effects if isinstance(e, ef.Send) and to in (None, e.to)]
    return [e.message for e in sends if isinstance(e.message, kind)]


def elected() -> Rig:
    """Node `a` leads epoch 2 with `b`; `c` has not answered yet."""
    rig = Rig([founding_record()])
    rig.now += 200_000
    rig.step(ev.Tick())
    rig.hear(TARGETS[1].node, msg.ProbeReply(GROUP, ReplicaId(2), BOOT, 0, 1, 1, 1, True, ""))
    rig.sync()
    epoch = rig.replica.promised
    rig.hear(TARGETS[1].node, msg.Support(GROUP, ReplicaId(2), BOOT, epoch, ReplicaId(1), BOOT, 1, 1, 1))
    rig.now += 100_000
    rig.step(ev.Tick())
    rig.sync()
    rig.hear(TARGETS[1].node, msg.Appended(GROUP, ReplicaId(2), BOOT, epoch, 2, True, 0))
    assert rig.replica.commit_lsn == 2
    rig.step(ev.Applied(GROUP, 2))
    return rig
