"""What a node says about itself on its admin port: the answer to GET /status."""

import msgspec

from keystead_core.ids import NodeId


class FollowerProgress(msgspec.Struct, frozen=True, rename="camel"):
    """How far a master knows a follower to be. `lag` counts records."""

    last_lsn: int = 0
    lag: int = 0


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One replica on the node. `role`: master | follower | candidate | learner | log-only. `why`: what keeps it from
    serving, as a sentence. `followers` is the master's only: node id -> progress. `members` are node ids. `bytes`: of
    the rows, about, null while they are not open. `read_units` and `write_units`: a second, over the last seconds;
    of a follower, the reads that it answers."""

    partition: int
    replica: int = 0
    role: str
    epoch: int = 0
    membership_version: int = 0
    members: list[NodeId] = []
    last_lsn: int = 0
    durable_lsn: int = 0
    commit_lsn: int = 0
    applied_lsn: int = 0
    eligible: bool = True
    ineligible_reason: str | None = None
    lease_ms: float | None = msgspec.field(default=None, name="lease_ms")
    why: str | None = None
    followers: dict[str, FollowerProgress] = {}
    bytes: int | None = None
    read_units: float = 0.0
    write_units: float = 0.0


class NodeSelf(msgspec.Struct, frozen=True, kw_only=True):
    """The process. `formed`: it holds a replica of the catalog. `state`: starting | active | maintenance | left.
    `room_bytes`: what its volume has left above its reserve; -1: it does not say. `partition_read_units` and
    `partition_write_units`: what one partition gives a second, 0: no limit. `peers`: nodes that it hears."""

    id: NodeId
    name: str = ""
    zone: str = ""
    boot: int = 0
    state: str = "active"
    formed: bool = False
    volume_empty: bool = False
    pid: int = 0
    api_port: int = 0
    room_bytes: int = -1
    partition_read_units: int = 0
    partition_write_units: int = 0
    peers: list[NodeId] = []

    def share(self, read_units: float, write_units: float) -> float:
        """Units a second against what one partition gives."""
        reads = read_units / self.partition_read_units if self.partition_read_units else 0.0
        return reads + (write_units / self.partition_write_units if self.partition_write_units else 0.0)


class NodeStatus(msgspec.Struct, frozen=True):
    node: NodeSelf
    replicas: list[ReplicaStatus] = []

    @property
    def held_bytes(self) -> int:
        """Of the rows of all its replicas, about; those that are not open yet are not counted."""
        return sum(replica.bytes or 0 for replica in self.replicas)

    def replica_of(self, partition: int) -> ReplicaStatus | None:
        return next((replica for replica in self.replicas if replica.partition == partition), None)


def decode_status(body: bytes) -> NodeStatus:
    """Raises msgspec.DecodeError (also for fields of a wrong type)."""
    return msgspec.json.decode(body, type=NodeStatus)
