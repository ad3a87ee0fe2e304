"""Messages between nodes: one struct each, numbered for ever. Encoded as MessagePack arrays, tag first.

Every message about one group names the replica that speaks and its node's boot; a receiver drops what comes from a
replica id that is not in the group or from an older boot (docs/protocol.md, Identity).
"""

import msgspec

from keystead_core.ids import Boot, Epoch, Lsn, Micros, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint


class Append(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Master to follower: records behind `prev` (laid end to end), and the commit LSN. Empty `records`: a probe."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    prev: LogPoint
    commit_lsn: Lsn
    records: bytes


class Appended(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Follower to master, after Synced: the log equals the master's and is durable up to `durable_lsn`.

    `counts` is false while the follower is ineligible: then it tells progress, and is no ack. `commit_lsn`: what the
    follower knows to be committed; -1: it does not say. `standing` rises with each change of the follower's eligibility
    and each replacement of its log: what it said with a lower one is void.
    """

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    durable_lsn: Lsn
    counts: bool
    log_start: Lsn
    commit_lsn: Lsn = -1
    standing: int = 0


class AppendRefused(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The epoch is below the follower's promise."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    promised: Epoch


class AppendMismatch(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The follower lacks the record before, or has another: send again from behind `resume_lsn`."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    resume_lsn: Lsn
    log_start: Lsn


class Probe(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The dry round of an election: has your grant lapsed?"""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot


class ProbeReply(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """`expires_in`: microseconds until this replica could support the asker; 0 means its grant has lapsed."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    expires_in: Micros
    promised: Epoch
    last_epoch: Epoch
    last_lsn: Lsn
    can_stand: bool
    unfit: str


class Release(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """A master gives up its lease for `successor`, whose log must end at `last`. Void for any other epoch and boot."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    last: LogPoint
    successor: ReplicaId


class SupportRequest(msgspec.Struct, frozen=True, array_like=True, tag=8):
    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    release: Release | None


class Support(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """A durable promise for (epoch, candidate, its boot), and the log that stood before it."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    candidate: ReplicaId
    candidate_boot: Boot
    last_epoch: Epoch
    last_lsn: Lsn
    membership_version: int


class SupportRefused(msgspec.Struct, frozen=True, array_like=True, tag=10):
    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    promised: Epoch
    expires_in: Micros
    unfit: str


class FetchLog(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """A candidate asks a supporter with a newer log for the records behind `after`, which it knows committed."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    after: LogPoint


class LogFetched(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """`prev` is what the records chain to; `last_lsn` is the supporter's last. No records: it cannot serve `after`."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    prev: LogPoint
    records: bytes
    last_lsn: Lsn


class HeartbeatReply(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Renews exactly the set that `version` and `digest` name, less `excluded` ((partition, promised epoch) pairs).

    `version` 0: the receiver does not have the base and asks for the whole set; nothing is renewed. `room`: bytes left
    on the disk of the node that speaks, above its first reserve; -1: it does not say.
    """

    boot: Boot
    sender_boot: Boot
    sequence: int
    version: int
    digest: int
    excluded: list[tuple[PartitionId, Epoch]]
    room: int = -1


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Renews the grants of all groups that the sender masters and the receiver follows; sent per pair of nodes.

    `version` and `digest` name the sender's set. `base_version` is what the receiver is believed to have; `added`
    ((partition, epoch) pairs) and `removed` lead from there to `version`. `base_version` 0: `added` is the whole set.
    Not `urgent`: the reply may wait for the receiver's own next heartbeat, and travel as its `reply`. `room` as there.
    """

    boot: Boot
    receiver_boot: Boot
    sequence: int
    version: int
    digest: int
    base_version: int
    added: list[tuple[PartitionId, Epoch]]
    removed: list[PartitionId]
    urgent: bool = True
    reply: HeartbeatReply | None = None
    room: int = -1


class EligibilityRequest(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """A member tells that it wants to become ineligible (`entering`), or has been and wants to count again."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    entering: bool
    reason: str
    standing: int = 0


class EligibilityReply(msgspec.Struct, frozen=True, array_like=True, tag=16):
    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    entering: bool
    refusal: str


class RepairRequest(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """Asks for the record at `lsn` whose hash is `hash`; needs no master and no quorum."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    lsn: Lsn
    hash: int


class RepairReply(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """`record` is empty where the answerer does not hold it; `certain` when its own log is undamaged there."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    lsn: Lsn
    record: bytes
    certain: bool


class StartLog(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """Master to an empty log-only learner: your log starts behind `base`, under this membership."""

    partition: PartitionId
    replica: ReplicaId
    boot: Boot
    epoch: Epoch
    base: LogPoint
    membership: bytes


class BootRefused(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The receiver has seen a later start of the sender's volume: the sender runs on an old copy of it."""

    boot: Boot
    seen: Boot


GroupMessage = (
    Append
    | Appended
    | AppendRefused
    | AppendMismatch
    | Probe
    | ProbeReply
    | Release
    | SupportRequest
    | Support
    | SupportRefused
    | FetchLog
    | LogFetched
    | EligibilityRequest
    | EligibilityReply
    | RepairRequest
    | RepairReply
    | StartLog
)
PairMessage = Heartbeat | HeartbeatReply | BootRefused
Message = GroupMessage | PairMessage


class MessageError(ValueError):
    """The bytes are no message of this version."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message) -> bytes:
    return _encoder.encode(message)


def decode_message(data: bytes | memoryview) -> Message:
    """Raises MessageError on anything but one whole message."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from error
