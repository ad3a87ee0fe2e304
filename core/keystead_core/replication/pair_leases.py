"""All leases of a node, by pairs of nodes: what its peers grant to it, what it grants to them, and when heartbeats go.

One heartbeat a pair renews the grants of every group that its sender masters; `lease.py` holds the two sides of one
pair. Here is decided which groups are in a pair's set, and which of them this node may grant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead_core.ids import Boot, Epoch, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.replication import handover, read_index, suspicion
from keystead_core.replication import messages as msg
from keystead_core.replication.lease import GrantsFrom, GrantsTo
from keystead_core.replication.replica import FOLLOWER, MASTER, NEVER, Replica

if TYPE_CHECKING:
    from keystead_core.replication.node import Node

EARLY_LOCK_HEARTBEATS = 3
STALE_HEARTBEATS = 3
"""Grants older than so many heartbeats want a reply at once; where replies wait, they are up to two old."""


class PairLeases:
    """`generation` counts changes of what peers grant to us; `reading` names groups whose reads wait for a round.

    `room` is told with every heartbeat: what the disk here has left; `rooms`: what peers told of theirs.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.grants_from: dict[NodeId, GrantsFrom] = {}
        self.grants_to: dict[NodeId, GrantsTo] = {}
        self.generation = 0
        self.reading: dict[PartitionId, None] = {}
        self.room = -1
        self.rooms: dict[NodeId, int] = {}
        self.heartbeat_at: Micros = NEVER
        self.replies_due: dict[NodeId, None] = {}
        self.lapse_at: dict[NodeId, Micros] = {}
        self.quiet_at: dict[NodeId, Micros] = {}

    # -- granting ---------------------------------------------------------------------------------------------------

    def on_heartbeat(self, sender: NodeId, beat: msg.Heartbeat) -> None:
        node = self.node
        granted = self.grants_to.get(sender)
        if granted is None or granted.boot != beat.boot:
            granted = self.grants_to[sender] = GrantsTo()
            granted.boot = beat.boot
        if beat.room >= 0:
            self.rooms[sender] = beat.room
        if beat.reply is not None:
            self.on_reply(sender, beat.reply)
        if beat.sequence <= granted.sequence:
            return
        fresh = beat.receiver_boot == node.boot or beat.base_version == 0
        result = granted.on_heartbeat(beat, node.now) if fresh else None
        if result is None:
            self.replies_due.pop(sender, None)
            node.send(sender, msg.HeartbeatReply(node.boot, beat.boot, beat.sequence, 0, 0, []))
            return
        added, removed = result
        for partition in added:
            self._judge(sender, granted, partition)
        for partition in removed:
            r = node.replicas.get(partition)
            if r is not None and r.role == FOLLOWER and r.election_at == NEVER:
                suspicion.suspect(r, node.settings.lease // 4)
        early = EARLY_LOCK_HEARTBEATS * node.settings.heartbeat
        self.lapse_at[sender] = node.now + node.settings.granted if granted.groups else NEVER
        self.quiet_at[sender] = node.now + early if granted.groups else NEVER
        if not beat.urgent and self._beats_soon(sender):
            self.replies_due[sender] = None
        else:
            self._reply(sender)

    def _beats_soon(self, peer: NodeId) -> bool:
        """Is a heartbeat of ours to the peer on its way, which can take the reply along?"""
        holder = self.grants_from.get(peer)
        return holder is not None and bool(holder.groups) and self.heartbeat_at < NEVER

    def _take_reply(self, peer: NodeId) -> msg.HeartbeatReply | None:
        if peer not in self.replies_due:
            return None
        del self.replies_due[peer]
        return self.grants_to[peer].reply(self.node.boot, self.room)

    def _reply(self, peer: NodeId) -> None:
        self.replies_due.pop(peer, None)
        self.node.send(peer, self.grants_to[peer].reply(self.node.boot, self.room))

    def _judge(self, sender: NodeId, granted: GrantsTo, partition: PartitionId) -> None:
        """Is this group's lease ours to grant to the sender? If not, the group is taken out of every reply."""
        epoch = granted.groups[partition]
        r = self.node.replicas.get(partition)
        if r is not None and may_grant(r, sender, epoch):
            granted.excluded.pop(partition, None)
            r.election_at = NEVER
            return
        if r is not None and partition not in granted.excluded and r.promised == epoch:
            # We may grant no more, but what we granted binds us to its end.
            r.grant_floor = max(r.grant_floor, granted.bound_until(partition, self.node.settings.granted))
        granted.excluded[partition] = r.promised if r else 0

    def judge_group(self, partition: PartitionId) -> None:
        """The group's replica here has changed: may it still grant what it granted, or now what it did not?"""
        for sender, granted in self.grants_to.items():
            if partition in granted.groups:
                self._judge(sender, granted, partition)

    def recheck(self, r: Replica) -> None:
        self.judge_group(r.partition)
        self.generation += 1

    def on_peer_restarted(self, peer: NodeId, boot: Boot) -> None:
        """The peer has forgotten all grants of both directions; our word is kept all the same."""
        if peer in self.grants_from:
            self.grants_from[peer].forget_peer(boot)
        self.generation += 1
        granted = self.grants_to.pop(peer, None)
        self.replies_due.pop(peer, None)
        if granted is not None:
            self._keep_word(granted)
        self.lapse_at.pop(peer, None)
        self.quiet_at.pop(peer, None)

    def _keep_word(self, granted: GrantsTo) -> None:
        node = self.node
        for partition in granted.groups:
            r = node.replicas.get(partition)
            if r is not None:
                r.grant_floor = max(r.grant_floor, granted.bound_until(partition, node.settings.granted))
                suspicion.suspect(r, max(0, r.grant_floor - node.now))

    def bound_until(self, r: Replica, exempt: NodeId | None) -> Micros:
        """Until when our grants of this group to others than `exempt` bind us; -1: they do not."""
        until = -1
        for sender, granted in self.grants_to.items():
            if sender != exempt:
                until = max(until, granted.bound_until(r.partition, self.node.settings.granted))
        return until

    def is_granting(self, r: Replica) -> bool:
        member = r.membership.member(r.master) if r.membership and r.master else None
        granted = self.grants_to.get(member.node) if member else None
        return granted is not None and granted.bound_until(r.partition, self.node.settings.granted) > self.node.now

    # -- holding ----------------------------------------------------------------------------------------------------

    def on_reply(self, sender: NodeId, reply: msg.HeartbeatReply) -> None:
        node = self.node
        holder = self.grants_from.get(sender)
        if holder is None or reply.sender_boot != node.boot:
            return
        if holder.peer_boot != reply.boot:
            holder.forget_peer(reply.boot)
            return
        if reply.room >= 0:
            self.rooms[sender] = reply.room
        renewed = holder.on_reply(reply)
        self.generation += 1
        if not renewed:
            return
        for partition in list(self.reading):
            read_index.proceed(node.replicas[partition])
        for partition, promised in reply.excluded:
            r = node.replicas.get(partition)
            if r is not None and r.role == MASTER and promised > r.epoch:
                handover.meet_higher_promise(r, promised)

    def granted_since(self, peer: NodeId, partition: PartitionId) -> Micros:
        holder = self.grants_from.get(peer)
        return holder.granted_since(partition) if holder else -1

    def enter_mastership(self, r: Replica, peer: NodeId) -> None:
        holder = self.grants_from.get(peer)
        if holder is None:
            holder = self.grants_from[peer] = GrantsFrom()
            holder.peer_boot = self.node.boots.get(peer, 0)
        if holder.groups.get(r.partition) != r.epoch:
            holder.add(r.partition, r.epoch)

    def leave_mastership(self, r: Replica) -> None:
        read_index.refuse_all(r)
        for holder in self.grants_from.values():
            holder.remove(r.partition)
        self.generation += 1

    def leave_peers(self, r: Replica) -> None:
        """Members that left the group grant nothing any more."""
        nodes = [m.node for m in r.peers()]
        for node, holder in self.grants_from.items():
            if node not in nodes:
                holder.remove(r.partition)

    def nudge(self, r: Replica, replica: ReplicaId) -> None:
        """The member's grant counts from now on: do not wait for the next beat to get it."""
        member = r.membership.member(replica) if r.membership else None
        holder = self.grants_from.get(member.node) if member else None
        if holder is not None and holder.granted_since(r.partition) < 0:
            holder.dirty = True

    # -- time -------------------------------------------------------------------------------------------------------

    def beat_if_changed(self) -> None:
        """A change of a set travels at once."""
        for holder in self.grants_from.values():
            if holder.dirty:
                self._beat(due=False)
                return

    def _beat(self, due: bool) -> None:
        """Heartbeats: to every pair with groups when due, and at once where the set has changed."""
        node = self.node
        busy = False
        for peer, holder in self.grants_from.items():
            wanted = holder.dirty or (due and (holder.groups or holder.peer_version not in (0, holder.version)))
            busy = busy or bool(holder.groups)
            if wanted:
                stale = node.now - holder.confirmed_sent_at > STALE_HEARTBEATS * node.settings.heartbeat
                reply = self._take_reply(peer)
                node.send(peer, holder.heartbeat(node.boot, node.now, holder.dirty or stale, reply, self.room))
        for peer in list(self.replies_due) if due else []:
            self._reply(peer)
        if due or (busy and self.heartbeat_at == NEVER):
            self.heartbeat_at = node.now + node.settings.heartbeat if busy else NEVER

    def deadline(self) -> Micros:
        return min(self.heartbeat_at, *self.lapse_at.values(), *self.quiet_at.values(), NEVER)

    def on_tick(self) -> None:
        now = self.node.now
        if self.heartbeat_at <= now:
            self._beat(due=True)
        for peer, at in list(self.quiet_at.items()):
            if at <= now:
                self.on_silence(peer)
        for peer, at in list(self.lapse_at.items()):
            if at <= now:
                self._on_lapse(peer)

    def on_silence(self, peer: NodeId) -> None:
        """A master may be gone: its first successors take their locks while the grants still run."""
        self.quiet_at[peer] = NEVER
        granted = self.grants_to.get(peer)
        for r in self._granted_groups(granted) if granted else []:
            suspicion.lock_early(r)

    def _on_lapse(self, peer: NodeId) -> None:
        self.lapse_at[peer] = NEVER
        for r in self._granted_groups(self.grants_to[peer]):
            suspicion.suspect(r, 0)

    def _granted_groups(self, granted: GrantsTo) -> list[Replica]:
        found = [self.node.replicas.get(partition) for partition in granted.groups if partition not in granted.excluded]
        return [r for r in found if r is not None and r.role == FOLLOWER]


def may_grant(r: Replica, sender: NodeId, epoch: Epoch) -> bool:
    """A grant goes to the master of the promised epoch, by an eligible member that holds its log."""
    member = r.membership.member(r.promised_to) if r.membership else None
    return r.promised == epoch and member is not None and member.node == sender and not r.unfit and not r.staged
