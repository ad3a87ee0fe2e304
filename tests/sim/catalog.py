"""The simulated catalog: where each group's replicas should live, and what its masters last reported.

It hosts and drops replicas on nodes, tells targets, replaces replicas whose nodes are gone, and (as a fault, R) wants
something else at random: one more, one less, another, log-only instead of full, a learner instead of a voter.
It can be away, with the locks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.hosting import Hosted
from keystead_core.ids import Epoch, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication import events as ev
from keystead_core.replication.membership import Member, Membership, founding_membership
from keystead_core.replication.replica import DAMAGED
from keystead_core.split.record import Split, membership_of
from tests.sim.quorums import is_durable
from tests.sim.rows import Key, key_bytes
from tests.sim.splits import Plan, Splits

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster
    from tests.sim.machine import Machine, Process


class Group:
    """One partition in the catalog. `version` counts its targets; `reported` is the last committed membership."""

    def __init__(self, partition: PartitionId, founding: Membership, target: list[ReplicaTarget]) -> None:
        self.partition = partition
        self.founding = founding
        self.founders = {m.replica: m.node for m in founding.members}
        self.reported = founding
        self.target = target
        self.version = 1
        self.write_quorum_min = founding.write_quorum_min
        self.durable_zones = founding.durable_zones
        self.replace_at: Micros = -1
        self.was_changed = False
        self.table = partition
        self.low = b""
        self.high: bytes | None = None
        self.plan: Plan | None = None
        self.left = PartitionId(0)
        self.founding_target: list[ReplicaTarget] = []

    @property
    def said(self) -> tuple[int, int, Epoch]:
        """What nodes are to hear of: which target, and the (version, epoch) of the membership that is committed."""
        return self.version, self.reported.version, self.reported.epoch


class Catalog:
    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.groups: dict[PartitionId, Group] = {}
        self._replicas = 0
        self.splits = Splits(self)

    def new_target(self, machine: Machine, role: str) -> ReplicaTarget:
        self._replicas += 1
        return ReplicaTarget(ReplicaId(self._replicas), machine.volume.node_id, machine.zone, role)

    def found(self, partition: PartitionId) -> None:
        """Places a group so that its voters stand in enough zones."""
        scenario = self.cluster.scenario
        machines = self.random.sample(self.cluster.machines, len(self.cluster.machines))
        by_zone = [sum(1 for m in machines[:i] if m.zone == machine.zone) for i, machine in enumerate(machines)]
        machines = [machines[i] for i in sorted(range(len(machines)), key=lambda i: by_zone[i])]
        roles = ["voter"] * scenario.replicas
        if scenario.log_only:
            roles[-1] = "log-only"
        target = [self.new_target(m, role) for m, role in zip(machines, roles, strict=False)]
        zones = len({t.zone for t in target})
        lease = scenario.settings.lease
        founding = founding_membership(target, scenario.write_quorum_min, min(scenario.durable_zones, zones), lease)
        self.groups[partition] = Group(partition, founding, target)

    def add_right(self, left: Group, split: Split, point: LogPoint) -> None:
        """A group that came of a split: nobody founds it but its own replicas."""
        members = list(split.members)
        group = Group(split.right, membership_of(split, point.epoch), members)
        group.founders, group.founding_target = {}, members
        group.write_quorum_min, group.durable_zones = split.write_quorum_min, split.durable_zones
        group.table, group.low, group.high, group.left = left.table, split.at, left.high, left.partition
        self.groups[split.right] = group

    def route(self, table: PartitionId, key: Key) -> PartitionId:
        """The partition that holds the key, as the map says."""
        row_key = key_bytes(key)
        for group in self.groups.values():
            if group.table == table and group.low <= row_key and (group.high is None or row_key < group.high):
                return group.partition
        raise AssertionError((table, key))

    # -- reports and reconciling ----------------------------------------------------------------------------------

    def on_start(self, process: Process) -> None:
        """A node begins; it knows what stands on its volume."""

    def register(self, process: Process) -> None:
        """A node says that it runs."""
        process.step(ev.Registered())

    def report(self, process: Process, partition: PartitionId, epoch: Epoch, membership: Membership) -> None:
        self.cluster.timeline.after(self.cluster.network.latency() * 2, self._reported, partition, membership)

    def _reported(self, partition: PartitionId, membership: Membership) -> None:
        """What the catalog cannot take now is reported again."""
        group = self.groups.get(partition)
        if self.cluster.locks.away or group is None:
            again = self.cluster.scenario.settings.lease // 4
            self.cluster.timeline.after(again, self._reported, partition, membership)
        elif membership.version > group.reported.version:
            group.reported = membership
            self.cluster.coverage["membership reported"] += 1

    def begin(self) -> None:
        self.reconcile()

    def reconcile(self) -> None:
        """Level-triggered: every node that can be reached is told what it does not have."""
        cluster = self.cluster
        if not cluster.locks.away:
            for group in self.groups.values():
                self._replace_lost(group)
                for machine in cluster.machines:
                    if machine.process is not None:
                        self._tell(group, machine.process)
            for machine in cluster.machines:
                if machine.process is not None:
                    self.splits.look(machine.process)
        else:
            cluster.count("X")
        cluster.timeline.after(cluster.scenario.settings.lease // 4, self.reconcile)

    def _tell(self, group: Group, process: Process) -> None:
        partition = group.partition
        replica = process.core.replicas.get(partition)
        wanted = next((t for t in group.target if t.node == process.node_id), None)
        if replica is None:
            if process.node_id not in self.cluster.lost_nodes and not self.splits.is_going_to_make(process, group):
                self._host(group, process, wanted)
            return
        members = [m.replica for m in group.reported.members]
        is_out = Hosted.of(replica).is_out(group.reported.version, group.reported.epoch)
        if is_out and replica.id not in members and (wanted is None or wanted.replica != replica.id):
            if self.splits.is_source(process, replica):
                return
            process.later(self.cluster.network.latency(), process.step, ev.DropReplica(partition, replica.id))
        elif process.targets.get(partition) != group.said and (group.was_changed or self.random.random() < 0.3):
            process.targets[partition] = group.said
            process.later(self.cluster.network.latency(), self._set_target, group, process)

    def _set_target(self, group: Group, process: Process) -> None:
        """As it is now: a node follows its map in order, and never goes back to an older one."""
        rules = (group.write_quorum_min, group.durable_zones)
        process.step(ev.SetTarget(group.partition, group.target, *rules, group.said[1:]))

    def _host(self, group: Group, process: Process, wanted: ReplicaTarget | None) -> None:
        founder = next((r for r, node in group.founders.items() if node == process.node_id), None)
        tombstone = process.core.tombstones.get(group.partition, 0)
        founding = founder is not None and group.reported.member(founder) is not None and founder > tombstone
        latency = self.cluster.network.latency()
        if founding and process.may_found:
            assert founder is not None
            process.later(latency, process.step, ev.HostReplica(group.partition, founder, group.founding))
        elif not founding and wanted is not None and wanted.replica > tombstone:
            process.later(latency, process.step, ev.HostReplica(group.partition, wanted.replica, None))

    # -- changing one's mind --------------------------------------------------------------------------------------

    def _replace_lost(self, group: Group) -> None:
        """A replica is replaced after a grace if its node is gone for good, or if it is damaged past repair."""
        lost = [t for t in group.target if t.node in self.cluster.lost_nodes or self._is_beyond_repair(group, t)]
        if not lost:
            group.replace_at = -1
            return
        now = self.cluster.timeline.now
        if group.replace_at < 0:
            group.replace_at = now + self.cluster.scenario.settings.lease
        elif group.replace_at <= now:
            kept = [t for t in group.target if t is not lost[0]]
            found = self.retarget(group, kept, lost[0].role, lost[0].zone)
            if not found and not group.reported.is_voter(lost[0].replica):
                self.retarget(group, kept, "")  # There is no machine for it, and it never counted.

    def _is_beyond_repair(self, group: Group, target: ReplicaTarget) -> bool:
        machine = self.cluster.by_node.get(target.node)
        process = machine.process if machine else None
        r = process.core.replicas.get(group.partition) if process else None
        return r is not None and r.id == target.replica and r.ineligible == DAMAGED

    def retarget(self, group: Group, kept: list[ReplicaTarget], role: str, zone: str = "") -> bool:
        """Sets a target of `kept` and one more of `role` on a free machine ('': none), if it can meet the rules."""
        if group.plan is not None:
            copies = {copy.replica for copy in group.plan.copies}
            kept = [t for t in kept if t.replica not in copies]
        target = list(kept)
        if role:
            taken = {t.node for t in target} | {m.node for m in group.reported.members} | self.hosts(group)
            lost = self.cluster.lost_nodes  # Also old copies of volumes, whose nodes are refused when they register.
            free = [m for m in self.cluster.machines if m.volume.node_id not in taken | lost]
            free = [m for m in free if m.zone == zone] or free
            if not free and not (reused := self._reusable(group, target, role)):
                return False
            target.append(self.new_target(self.random.choice(free), role) if free else reused[0])
        voters = [t for t in target if t.role != "learner"]
        full = [t for t in voters if t.role == "voter"]
        zones = len({t.zone for t in voters})
        if not full or zones < group.durable_zones or len(voters) < max(group.write_quorum_min, 1):
            return False
        log_only = len(voters) - len(full)
        if log_only and log_only > len(voters) // 2:
            return False
        wanted = founding_membership(target, group.write_quorum_min, group.durable_zones, 0)
        there = [t.replica for t in target if t.node not in self.cluster.lost_nodes]
        if not wanted.is_durable(there) or not wanted.is_failover_quorum(there):
            return False  # Nobody shrinks a group whose lost member is not replaced yet to one that is dead by it.
        if group.plan is not None and group.plan.done:
            places = {t.node for t in target}
            target += [copy for copy in group.plan.copies if copy.node not in places]
        else:
            group.plan = None  # What is under way goes on by itself; no more is begun.
        group.target = target
        group.version += 1
        group.was_changed = True
        return True

    def hosts(self, group: Group) -> set[NodeId]:
        """The nodes that have a replica of the group, as far as they can be asked."""
        processes = [m.process for m in self.cluster.machines if m.process is not None]
        return {p.node_id for p in processes if group.partition in p.core.replicas}

    def _reusable(self, group: Group, target: list[ReplicaTarget], role: str) -> list[ReplicaTarget]:
        """Members that nobody wants any more, in the wanted role, on nodes that are there and that hold no other.

        The catalog refuses a target that names a node twice.
        """
        kept, places = {t.replica for t in target}, {t.node for t in target}
        return [
            ReplicaTarget(m.replica, m.node, m.zone, m.role)
            for m in group.reported.members
            if m.replica not in kept and m.node not in places and m.node in self.cluster.by_node and m.role == role
        ]

    def change_at_random(self, a: float, b: float) -> bool:
        """Fault R; returns whether there was something to change."""
        group = list(self.groups.values())[int(a * len(self.groups))]
        target = group.target
        victim = target[int(b * 997) % len(target)]
        if b < 0.25:
            return self.retarget(group, target, "voter")
        if b < 0.45:
            return len(target) > 1 and self.retarget(group, [t for t in target if t is not victim], "")
        if b < 0.8:
            return self.retarget(group, [t for t in target if t is not victim], "voter", victim.zone)
        if b < 0.84:
            return self._change_role(group, victim)
        if b < 0.9:
            return self.retarget(group, target, "learner")
        if any(t.role == "log-only" for t in target) or len(target) < 3:
            return False
        return self.retarget(group, [t for t in target if t is not victim], "log-only", victim.zone)

    def _change_role(self, group: Group, victim: ReplicaTarget) -> bool:
        """A voter is wanted as a learner from now on, or a learner that no split has there as a voter."""
        if victim.role == "log-only" or group.plan is not None:
            return False
        role = "learner" if victim.role == "voter" else "voter"
        changed = [msgspec.structs.replace(t, role=role) if t is victim else t for t in group.target]
        return self.retarget(group, changed, "")

    def bears_loss_of(self, node: NodeId) -> bool:
        """Would every group survive the loss of this node's volume, no other being lost meanwhile?"""
        for group in self.groups.values():
            for membership in self._known_memberships(group):
                is_target = any(t.node == node for t in group.target)
                if not self._survives(membership, node, is_target, partial(self._is_fit, group)):
                    return False
        return all(
            self._survives(membership_of(split, epoch), node, False, partial(self.splits.is_fit, left, split))
            for left, split, epoch in self.splits.unborn()
        ) and all(self._survives(membership, node, False, lambda _: True) for membership in self.splits.planned())

    def _survives(
        self, membership: Membership, node: NodeId, is_target: bool, is_fit: Callable[[Member], bool]
    ) -> bool:
        """Under this membership, one loss at a time: the others can go on, and hold all that was acknowledged."""
        if not is_target and all(m.node != node for m in membership.members):
            return True
        if any(m.node in self.cluster.lost_nodes for m in membership.members):
            return False
        rest = [m.replica for m in membership.voters if m.node != node and is_fit(m)]
        enough = len(membership.voters) >= 3 and membership.is_failover_quorum(rest)
        return enough and is_durable(membership, rest)

    def is_short(self) -> bool:
        """Does a group still count a member whose volume is lost, or one that is to come of a split?"""
        lost = self.cluster.lost_nodes
        nodes = [m.node for group in self.groups.values() for m in group.reported.members]
        nodes += [m.node for _, split, _ in self.splits.unborn() for m in split.members]
        return not lost.isdisjoint(nodes)

    def _is_fit(self, group: Group, member: Member) -> bool:
        """Whether it counts now, as far as one can see; one that is down counts if its volume says so."""
        machine = self.cluster.by_node.get(member.node)
        if machine is None:
            return False
        if machine.process is not None:
            r = machine.process.core.replicas.get(group.partition)
            if r is None and group.left:
                return self.splits.will_make(machine.process, group.left, group.partition)
            return r is not None and r.id == member.replica and not r.unfit
        log = machine.volume.durable.get(group.partition)
        if log is None or log.state is None or self.cluster.scenario.live:
            return False
        return not log.state.ineligible

    def _known_memberships(self, group: Group) -> list[Membership]:
        """The reported one, the wanted one, and each that stands in any running replica's log."""
        wanted = founding_membership(group.target, group.write_quorum_min, group.durable_zones, 0)
        known = [group.reported, wanted]
        for machine in self.cluster.machines:
            if machine.process is None:
                continue
            replica = machine.process.core.replicas.get(group.partition)
            if replica is not None and replica.id in (m.replica for m in group.reported.members):
                known.extend(membership for _, membership in replica.log.memberships[-2:])
        return known


def epoch_of(group: Group) -> Epoch:
    return group.reported.epoch
