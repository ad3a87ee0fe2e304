"""Leases by pairs of nodes: one heartbeat renews the grants of every group that its sender masters.

`GrantsFrom` is the holder's side of one pair: what a peer has granted to us. `GrantsTo` is the granter's side: what we
have granted to a peer. Both are about one peer node and name its boot; grants are not persisted, so a node supports
nobody for a while after its start (docs/protocol.md, Lease). A thousand idle groups cost the messages of one.
"""

from typing import Final

import xxhash

from keystead_core.ids import Boot, Epoch, Micros, PartitionId
from keystead_core.replication.messages import Heartbeat, HeartbeatReply

HEARTBEATS_IN_FLIGHT_MAX: Final = 64
CHANGES_KEPT_MAX: Final = 4096


def pair_digest(partition: PartitionId, epoch: Epoch) -> int:
    """One group's share of a set's digest, which is the XOR of all shares."""
    return xxhash.xxh3_64_intdigest(b"%d/%d" % (partition, epoch))


class GrantsFrom:
    """What one peer grants to us, as holder. A grant counts from when its heartbeat was SENT."""

    def __init__(self) -> None:
        self.groups: dict[PartitionId, Epoch] = {}
        self.version = 0
        self.digest = 0
        self._added_at: dict[PartitionId, int] = {}
        self._changes: list[tuple[int, PartitionId]] = []
        self._sent: dict[int, tuple[Micros, int, int]] = {}
        self.sequence = 0
        self.confirmed_sequence = 0
        self.peer_boot: Boot = 0
        self.peer_version = 0
        self.confirmed_version = 0
        self.confirmed_sent_at: Micros = -1
        self.excluded: dict[PartitionId, Epoch] = {}
        self.dirty = False

    def add(self, partition: PartitionId, epoch: Epoch) -> None:
        self.remove(partition)
        self.version += 1
        self.groups[partition] = epoch
        self._added_at[partition] = self.version
        self.digest ^= pair_digest(partition, epoch)
        self._changes.append((self.version, partition))
        self.dirty = True

    def remove(self, partition: PartitionId) -> None:
        epoch = self.groups.pop(partition, None)
        if epoch is None:
            return
        self.version += 1
        del self._added_at[partition]
        self.digest ^= pair_digest(partition, epoch)
        self._changes.append((self.version, partition))
        self.excluded.pop(partition, None)
        self.dirty = True

    def heartbeat(self, boot: Boot, now: Micros, urgent: bool, reply: HeartbeatReply | None, room: int) -> Heartbeat:
        """The next heartbeat to the peer, sent at `now`, with our reply to its last one where that has waited."""
        self.sequence += 1
        self.dirty = False
        self._sent[self.sequence] = (now, self.version, self.digest)
        if len(self._sent) > HEARTBEATS_IN_FLIGHT_MAX:
            del self._sent[next(iter(self._sent))]
        base, added, removed = self.peer_version, [], []
        if len(self._changes) > CHANGES_KEPT_MAX:
            del self._changes[: len(self._changes) // 2]
            if base and base < self._changes[0][0]:
                base = self.peer_version = 0
        if base == 0:
            added = list(self.groups.items())
        else:
            changed = dict.fromkeys(p for version, p in self._changes if version > base)
            added = [(p, self.groups[p]) for p in changed if p in self.groups]
            removed = [p for p in changed if p not in self.groups]
        return Heartbeat(
            boot, self.peer_boot, self.sequence, self.version, self.digest, base, added, removed, urgent, reply, room
        )

    def on_reply(self, reply: HeartbeatReply) -> bool:
        """Counts a reply; returns whether it renewed anything."""
        sent = self._sent.pop(reply.sequence, None)
        if sent is None or not self.reply_is_current(reply, sent):
            if reply.version == 0:
                self.peer_version = 0
                self.dirty = True
            return False
        sent_at, version, _ = sent
        self.peer_version = max(self.peer_version, version)
        while self._changes and self._changes[0][0] <= self.peer_version:
            self._changes.pop(0)
        if sent_at < self.confirmed_sent_at:
            return False
        self.confirmed_sent_at = self.count_from(sent_at)
        self.confirmed_version = version
        self.confirmed_sequence = reply.sequence
        self.excluded = {p: e for p, e in reply.excluded if p in self.groups}
        return True

    @staticmethod
    def reply_is_current(reply: HeartbeatReply, sent: tuple[Micros, int, int]) -> bool:
        """A reply renews exactly the set whose version and digest it names: ours at sending."""
        return reply.version == sent[1] and reply.digest == sent[2]

    @staticmethod
    def count_from(sent_at: Micros) -> Micros:
        return sent_at

    def granted_since(self, partition: PartitionId) -> Micros:
        """The time from which this peer's grant of the group counts; -1: there is none."""
        added = self._added_at.get(partition)
        if added is None or added > self.confirmed_version or partition in self.excluded:
            return -1
        return self.confirmed_sent_at

    def forget_peer(self, boot: Boot) -> None:
        """The peer restarted: it remembers no grant and no set."""
        self.peer_boot = boot
        self.peer_version = 0
        self.confirmed_version = 0
        self.confirmed_sent_at = -1
        self.excluded = {}
        self._sent.clear()
        self.dirty = bool(self.groups)


class GrantsTo:
    """What we grant to one peer. A grant binds us from when its heartbeat was RECEIVED."""

    def __init__(self) -> None:
        self.groups: dict[PartitionId, Epoch] = {}
        self.excluded: dict[PartitionId, Epoch] = {}
        self.version = 0
        self.digest = 0
        self.sequence = 0
        self.boot: Boot = 0
        self.received_at: Micros = -1

    def on_heartbeat(self, beat: Heartbeat, now: Micros) -> tuple[list[PartitionId], list[PartitionId]] | None:
        """Follows the sender's set. Returns the groups (added, removed), or None where the whole set is needed.

        The caller then judges each added group (`exclude` or not) and replies.
        """
        if beat.base_version == 0:
            removed = [p for p in self.groups if p not in dict(beat.added)]
            changed = [p for p, e in beat.added if self.groups.get(p) != e]
            self.groups = dict(beat.added)
            self.excluded = {p: e for p, e in self.excluded.items() if p in self.groups}
            self.digest = 0
            for partition, epoch in beat.added:
                self.digest ^= pair_digest(partition, epoch)
        elif beat.base_version > self.version:
            return None
        else:
            removed, changed = self._follow(beat)
        self.version = beat.version
        self.sequence = beat.sequence
        if self.digest != beat.digest:
            self.version = 0
            return None
        self.received_at = now
        return changed, removed

    def _follow(self, beat: Heartbeat) -> tuple[list[PartitionId], list[PartitionId]]:
        removed = []
        for partition in beat.removed:
            epoch = self.groups.pop(partition, None)
            if epoch is not None:
                self.digest ^= pair_digest(partition, epoch)
                self.excluded.pop(partition, None)
                removed.append(partition)
        changed = []
        for partition, epoch in beat.added:
            old = self.groups.get(partition)
            if old == epoch:
                continue
            if old is not None:
                self.digest ^= pair_digest(partition, old)
            self.digest ^= pair_digest(partition, epoch)
            self.groups[partition] = epoch
            changed.append(partition)
        return removed, changed

    def reply(self, boot: Boot, room: int) -> HeartbeatReply:
        """The reply to the last heartbeat, as of now: what we took out since it came is taken out of the reply."""
        excluded = list(self.excluded.items())
        return HeartbeatReply(boot, self.boot, self.sequence, self.version, self.digest, excluded, room)

    def bound_until(self, partition: PartitionId, granted: Micros) -> Micros:
        """Until when the group's grant to this peer binds us; -1 where we gave none."""
        if partition not in self.groups or partition in self.excluded or self.received_at < 0:
            return -1
        return self.received_at + granted
