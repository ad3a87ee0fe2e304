"""Who belongs to a group, and which sets of its members are quorums. Pure values; every quorum rule stands here.

N voters, W write quorum (always more than N/2), K zones that a write must reach, F failover quorum
(docs/protocol.md, Membership and Election 5). A log-only member is a voter: it has log and promises, but no rows.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import Epoch, Lsn, Micros, NodeId, ReplicaId


class MembershipError(ValueError):
    """The bytes are no membership."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A replica of the group. `log_only` may be true of a learner too: it will become a log-only voter."""

    replica: ReplicaId
    node: NodeId
    zone: str
    voter: bool = True
    log_only: bool = False

    @property
    def role(self) -> str:
        if not self.voter:
            return "learner"
        return "log-only" if self.log_only else "voter"


class Membership(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """The whole of a membership record. Named by (version, epoch); `write_quorum_min` 0 means a majority."""

    version: int
    epoch: Epoch
    members: tuple[Member, ...]
    write_quorum_min: int = 0
    durable_zones: int = 1
    lease: Micros = 1_000_000

    @cached_property
    def voters(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.voter)

    @cached_property
    def write_quorum(self) -> int:
        return max(self.write_quorum_min, len(self.voters) // 2 + 1)

    def member(self, replica: ReplicaId) -> Member | None:
        return next((m for m in self.members if m.replica == replica), None)

    def is_voter(self, replica: ReplicaId) -> bool:
        member = self.member(replica)
        return member is not None and member.voter

    def is_durable(self, replicas: Collection[ReplicaId]) -> bool:
        """Do these replicas make a write durable: W voters, in at least K zones?"""
        holders = [m for m in self.members if m.voter and m.replica in replicas]
        return len(holders) >= self.write_quorum and _zones(holders) >= self.durable_zones

    def is_failover_quorum(self, supporters: Collection[ReplicaId]) -> bool:
        """May a candidate with these supporters lead: more than N/2, and the others could not have acked alone?

        A quorum of log-only members alone has no rows to serve, so one full voter must be among them.
        """
        voters = self.voters
        inside = [m for m in voters if m.replica in supporters]
        outside = [m for m in voters if m.replica not in supporters]
        if 2 * len(inside) <= len(voters) or all(m.log_only for m in inside):
            return False
        return len(outside) < self.write_quorum or _zones(outside) < self.durable_zones

    def blocks_failover(self, granters: Collection[ReplicaId]) -> bool:
        """Do these granters meet every possible failover quorum?"""
        return not self.is_failover_quorum([m.replica for m in self.voters if m.replica not in granters])

    def durable_lsn(self, acks: Mapping[ReplicaId, Lsn]) -> Lsn:
        """The highest LSN that is durable, given each counted voter's last contiguous synced LSN."""
        for lsn in sorted({acks[m.replica] for m in self.voters if m.replica in acks}, reverse=True):
            if self.is_durable([m.replica for m in self.voters if acks.get(m.replica, 0) >= lsn]):
                return lsn
        return 0

    def refusal_of(self, new: "Membership") -> str:
        """Why `new` may not follow this membership in one record, or ''."""
        if new.version != self.version + 1:
            return f"version {new.version} does not follow {self.version}"
        before = {(m.replica, m.log_only) for m in self.voters}
        after = {(m.replica, m.log_only) for m in new.voters}
        changed = len(before ^ after)
        rules_change = (self.write_quorum_min, self.durable_zones, self.lease) != (
            new.write_quorum_min,
            new.durable_zones,
            new.lease,
        )
        if changed > 1 or (changed and rules_change):
            return "a record adds or removes one voter, or changes the rules with the voters unchanged"
        if not new.voters:
            return "no voter would remain"
        if _zones(new.voters) < new.durable_zones:
            return f"{_zones(new.voters)} zones of voters cannot meet durable zones = {new.durable_zones}"
        if len(new.voters) < new.write_quorum:
            return f"{len(new.voters)} voters cannot meet a write quorum of {new.write_quorum}"
        if not new.is_failover_quorum([m.replica for m in new.voters]):
            return "no failover quorum would have rows"
        log_only = sum(m.log_only for m in new.voters)
        if log_only and log_only > smallest_failover_quorum(len(new.voters)) - 1:
            return f"{log_only} log-only voters could be a whole failover quorum"
        return ""

    def with_member(self, member: Member, epoch: Epoch) -> "Membership":
        """The next membership, with `member` added or in the place of the same replica."""
        kept = tuple(m for m in self.members if m.replica != member.replica)
        return msgspec.structs.replace(self, version=self.version + 1, epoch=epoch, members=(*kept, member))

    def without(self, replica: ReplicaId, epoch: Epoch) -> "Membership":
        kept = tuple(m for m in self.members if m.replica != replica)
        return msgspec.structs.replace(self, version=self.version + 1, epoch=epoch, members=kept)


def smallest_failover_quorum(voters: int) -> int:
    return voters // 2 + 1


def _zones(members: Iterable[Member]) -> int:
    return len({m.zone for m in members})


def founding_membership(
    founders: Iterable[ReplicaTarget], write_quorum_min: int, durable_zones: int, lease: Micros
) -> Membership:
    """The first membership of a group: the same bytes at every founder."""
    members = tuple(
        Member(t.replica, t.node, t.zone, t.role != "learner", t.role == "log-only")
        for t in sorted(founders, key=lambda t: t.replica)
    )
    return Membership(1, 1, members, write_quorum_min, durable_zones, lease)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Membership)


def encode_membership(membership: Membership) -> bytes:
    return _encoder.encode(membership)


def decode_membership(data: bytes) -> Membership:
    """Raises MembershipError on anything but one whole membership."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MembershipError(str(error)) from error
