"""Requests between nodes, beside the core's own messages, and what may be answered. Numbered for ever."""

from typing import get_args

import msgspec

from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint


class WriteRow(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Put (or delete: `value` None) one row at the partition's master."""

    partition: PartitionId
    generation: int
    row_key: bytes
    value: bytes | None
    want_old: bool


class ReadRow(msgspec.Struct, frozen=True, array_like=True, tag=2):
    partition: PartitionId
    generation: int
    row_key: bytes
    consistent: bool


class ScanRows(msgspec.Struct, frozen=True, array_like=True, tag=3):
    partition: PartitionId
    generation: int
    low: bytes
    high: bytes | None
    consistent: bool
    max_rows: int
    max_bytes: int
    backwards: bool = False
    index: int = 0


class RunCommand(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A catalog command, for the catalog's master; answered with an encoded CatalogReply."""

    command: bytes


class FollowMap(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What changed in the map after `since`; answered at once if anything did, else after `wait_ms` at the latest."""

    since: int
    wait_ms: int


class CopyBegin(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A physical copy for `replica` follows: files (name, size), the point that they hold, the membership as of it."""

    partition: PartitionId
    replica: ReplicaId
    epoch: int
    base: LogPoint
    membership: bytes
    files: list[tuple[str, int]]


class CopyChunk(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Bytes of one file; `crc` is crc32c of `data`."""

    partition: PartitionId
    replica: ReplicaId
    file: str
    offset: int
    data: bytes
    crc: int


class CopyEnd(msgspec.Struct, frozen=True, array_like=True, tag=8):
    partition: PartitionId
    replica: ReplicaId


class TableSizes(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Approximate (rows, bytes) of the partitions that the asked node masters."""

    partitions: list[PartitionId]


class WhereAre(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Where were these nodes last heard? The answer's value is msgpack: [(node, the volume's boot, host:port)]."""

    nodes: list[NodeId]


class ChangeRow(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Change one row at the partition's master as an encoded RowChange says; answered with an encoded outcome."""

    partition: PartitionId
    generation: int
    row_key: bytes
    change: bytes


class FeedIndex(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Changes of `source`'s rows for a partition of one of its global indexes, (`after`, `upto`], as in ops.py.

    Answered, taken or not, with up to where the partition has taken the source's changes, as `applied_lsn`: not taken
    unless that was `after`. `after` -1 only asks. [`low`, `high`): the range that whoever asks believes it has; where
    it is less, the answer is STALE: how far it is says nothing of what has gone to another partition.
    """

    partition: PartitionId
    generation: int
    source: PartitionId
    after: int
    upto: int
    changes: list[tuple[bytes, bytes | None]]
    low: bytes = b""
    high: bytes | None = None


class UnitsAsked(msgspec.Struct, frozen=True, array_like=True):
    """Of one limit: a resource, a kind of units (core/capacity/limits.py), a partition or 0 for the whole resource."""

    resource: str
    kind: int
    partition: PartitionId
    returned: float
    wanted: float


class AskUnits(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """To the accountant of these limits. The answer's value is msgpack: a list of Grants, None where it is not that."""

    asked: list[UnitsAsked]


class WriteRows(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Put or delete several rows at the partition's master: all, or none, unless the outcome is unknown."""

    partition: PartitionId
    generation: int
    changes: list[tuple[bytes, bytes | None]]


class NodeLoad(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """What do the asked node's replicas do? The answer's value is msgpack: a list of ReplicaLoads (ui/loads.py)."""


Request = (
    WriteRow
    | ReadRow
    | ScanRows
    | RunCommand
    | FollowMap
    | CopyBegin
    | CopyChunk
    | CopyEnd
    | TableSizes
    | WhereAre
    | ChangeRow
    | FeedIndex
    | AskUnits
    | WriteRows
    | NodeLoad
)

ALWAYS_KNOWN = 11
"""Nodes of all versions know the requests up to this number, and say in their Hello which others they know."""


def announced() -> list[int]:
    """The numbers of the other requests, for the Hello of this version."""
    return sorted(tag for kind in get_args(Request) if (tag := number_of(kind)) > ALWAYS_KNOWN)


def number_of(kind: type[Request]) -> int:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


OK = 0
NOT_MASTER = 1
STALE = 2
UNKNOWN_OUTCOME = 3
REFUSED = 4
OVERLOADED = 5
STORAGE_FULL = 6
COLLECTION_TOO_LARGE = 7


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """`status` is one of the numbers above; `hint`: the node that masters the partition as the answerer believes.

    `value`: the row (write with want_old, read), an encoded CatalogReply or MapDelta; `rows` and `more` of a scan.
    """

    status: int
    hint: str = ""
    reason: str = ""
    value: bytes | None = None
    rows: list[tuple[bytes, bytes]] = []
    more: bool = False
    applied_lsn: int = 0


class RequestFailed(Exception):
    """The request was not answered. `sent`: it may have reached the other node."""

    def __init__(self, reason: str, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent
