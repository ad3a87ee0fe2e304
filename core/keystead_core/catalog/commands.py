"""The catalog's commands: the bodies of records of Kind.CATALOG.

    body = msgpack array [number, field, ...]

A command's number and the order of its fields are for ever; new fields are appended, with a default. A command carries
all that its application needs (time and seed come from the proposer), so that every replica applies it alike.

`fence` is the operator's number in office (see `Fence`). Where it may be 0, 0 means: not the operator's command.
"""

import msgspec

from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import (
    ClusterSettings,
    IndexSpec,
    KeyAttribute,
    NodeEntry,
    ReplicaTarget,
    Survivor,
    TableOptions,
)
from keystead_core.ids import Boot, Epoch, NodeId, PartitionId


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A table as it is asked for, in what a Table resource can declare too. A number that is 0 stands for the cluster's
    default; of `partitions_max`, how far splits by themselves go, for no limit."""

    name: str
    hash_key: KeyAttribute
    range_key: KeyAttribute | None = None
    partitions: int = 0
    replicas: int = 0
    write_quorum: int = 0
    durable_zones: int = 0
    managed_by: str = ""
    deletion_protection: bool = False
    tags: dict[str, str] = {}
    billing_mode: str = "PAY_PER_REQUEST"
    read_units: int = 0
    write_units: int = 0
    partitions_max: int = 0


class ReplicaSpec(msgspec.Struct, frozen=True, array_like=True):
    """A place in a target. A node that the target holds already keeps its replica id, unless `fresh` asks for one; with
    `again` one that has a full voter of the group by its last report, and that the target no longer holds, does too."""

    node: NodeId
    role: str = "voter"
    fresh: bool = False
    again: bool = False


class LockRequest(msgspec.Struct, frozen=True, array_like=True):
    """A wish for a group's lock above `at_least`."""

    partition: PartitionId
    at_least: int


class GroupReport(msgspec.Struct, frozen=True, array_like=True):
    """What a master says of its group, once it is committed: newer (epoch, membership version) wins.

    `membership_epoch`: the epoch in which the membership was made; with its version it names one record.
    """

    partition: PartitionId
    epoch: Epoch
    membership_version: int
    members: list[ReplicaTarget]
    master: NodeId
    membership_epoch: Epoch = 0


class InitCluster(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first command of a catalog's log. `catalog`: the founders of the catalog group, with their replica ids."""

    cluster: str
    catalog: list[ReplicaTarget]
    settings: ClusterSettings = ClusterSettings()


class RegisterNode(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A node says that it runs. Idempotent; the entry's `state` is not looked at."""

    cluster: str
    node: NodeEntry


class NodeLeft(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The node id never serves again. `only_if_empty`: refused while a group has the node as member or target."""

    node: NodeId
    fence: int
    only_if_empty: bool = False


class SetNodeState(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """`state`: active | maintenance. `fence` may be 0."""

    node: NodeId
    state: str
    fence: int = 0


class CreateTable(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """`seed` makes the table's id (any bytes that no other command has); `at`: seconds since 1970. `fence` may be 0."""

    table: TableSpec
    seed: bytes
    at: float
    fence: int = 0
    options: TableOptions = TableOptions()
    indexes: list[IndexSpec] = []


class UpdateTable(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The table as it should be; its options stay. `manager`: "" for the API, else the custom resource that asks.
    `fence` may be 0."""

    table: TableSpec
    manager: str = ""
    fence: int = 0


class DeleteTable(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """`manager` as in UpdateTable. `table_id`: "" or the only id that is meant. `fence` may be 0."""

    name: str
    manager: str = ""
    table_id: str = ""
    fence: int = 0


class TakeLocks(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A node's candidacies, together: every lock's counter becomes max(counter, at_least) + 1 and names the taker."""

    taker: NodeId
    boot: Boot
    locks: list[LockRequest]


class ReportGroups(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """What masters say of their groups, in one record."""

    groups: list[GroupReport]


class SetTarget(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Where a group should live; the first place is the preferred master's."""

    partition: PartitionId
    target: list[ReplicaSpec]
    fence: int


class Fence(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """An operator takes office: its number is max(last number, lease transitions) + 1."""

    holder: str
    lease_transitions: int


class UpdateSettings(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """The cluster's settings as they should be."""

    settings: ClusterSettings
    fence: int


class ChangeTable(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Changes what it names of a table and leaves the rest alone. `at`: seconds since 1970. At most one global index
    comes (`new_index`) or goes (`old_index`, its name; "" none). `manager` as in UpdateTable; `fence` may be 0."""

    name: str
    change: TableChange
    at: float
    new_index: IndexSpec | None = None
    old_index: str = ""
    manager: str = ""
    fence: int = 0


class ReportFilled(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """A partition's master says: all rows that were there before these indexes came are in them now."""

    partition: PartitionId
    indexes: list[int]


class PlanSplit(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """Divide a partition at the row key `at` (b"": where its master finds best). `reason`: size | traffic | anomaly |
    request | capacity, for people. Answered with the right half's id as the only counter. `fence` may be 0."""

    partition: PartitionId
    at: bytes = b""
    reason: str = "request"
    fence: int = 0


class RefuseSplit(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """A master says why the planned split is not made; or somebody takes the plan back."""

    partition: PartitionId
    right: PartitionId
    reason: str


class ReportSplit(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A master says that a split is committed. `split`: the record's body; `epoch`: the record's."""

    partition: PartitionId
    split: bytes
    epoch: Epoch


class SettleSplit(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """The right group's master says: every member has its rows and a record of this group's own, synced."""

    right: PartitionId


class GoneNode(msgspec.Struct, frozen=True, array_like=True):
    """A node that is given up, at the boot with which it registered last: if it has since, it is not gone."""

    node: NodeId
    boot: int


class Recover(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """A person's word: these nodes are gone for good, so go on with what is left of the group, whatever was
    acknowledged and is not there (docs/decisions/0012). `at`: seconds since 1970. Answered with the id of the partition
    that has the range as the only counter. Said again with more nodes it gives up those as well.

    `changing_to`: the nodes that the group's log names last as members, where that change is not known to be
    committed; [] where there is none.
    """

    partition: PartitionId
    gone: list[GoneNode]
    at: float
    changing_to: list[NodeId] = []


class ReportRetired(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """A node says: whatever I have of the group that is given up takes part in nothing any more, for ever."""

    partition: PartitionId
    survivor: Survivor


Command = (
    InitCluster
    | RegisterNode
    | NodeLeft
    | SetNodeState
    | CreateTable
    | UpdateTable
    | DeleteTable
    | TakeLocks
    | ReportGroups
    | SetTarget
    | Fence
    | UpdateSettings
    | ChangeTable
    | ReportFilled
    | PlanSplit
    | RefuseSplit
    | ReportSplit
    | SettleSplit
    | Recover
    | ReportRetired
)


class CommandError(ValueError):
    """The bytes are no command that this version knows."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Command)


def encode_command(command: Command) -> bytes:
    """The body of the command's record."""
    return _encoder.encode(command)


def decode_command(body: bytes) -> Command:
    """Reads a record's body. Raises CommandError."""
    try:
        command: Command = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"no catalog command: {error}") from error
    return command


def take_lock(partition: PartitionId, at_least: int, taker: NodeId, boot: Boot) -> TakeLocks:
    """One lock alone."""
    return TakeLocks(taker, boot, [LockRequest(partition, at_least)])
