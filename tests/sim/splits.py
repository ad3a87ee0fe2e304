"""The simulated catalog's splits, and what the node's Splitter does about them, as events on the timeline.

planned       the left master is asked to append the record, again and again
in the rows   each process that is to have a right replica makes it; the left master reports
reported      the right group is in the catalog, clients find it
settled       the left replicas let the rows go
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import Epoch, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication import events as ev
from keystead_core.replication.membership import Member, Membership, founding_membership
from keystead_core.replication.replica import Replica
from keystead_core.split.record import Split, encode_split, membership_of
from tests.sim.rows import key_bytes
from tests.sim.violation import demand

if TYPE_CHECKING:
    from tests.sim.catalog import Catalog, Group
    from tests.sim.machine import Process


class Plan(msgspec.Struct):
    """A split that the catalog wants, or (`done`) knows of. `copies`: the learners that it put into the left group."""

    split: Split
    copies: list[ReplicaTarget]
    done: bool = False


class Splits:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.cluster = catalog.cluster
        self.random = Random(f"{self.cluster.scenario.seed}/splits/catalog")
        self._next = self.cluster.scenario.partitions

    # -- planning -------------------------------------------------------------------------------------------------

    def plan_at_random(self, a: float, b: float) -> bool:
        """Returns whether there was something to divide."""
        free = [g for g in self.catalog.groups.values() if g.plan is None and not g.left and g.founding.members]
        if not free or self.cluster.locks.away:
            return False
        group = free[int(a * len(free))]
        keys = [key_bytes(key) for key in range(self.cluster.scenario.keys)]
        inside = [key for key in keys if key >= group.low and (group.high is None or key < group.high)]
        if len(inside) < 2:
            return False
        return self._plan(group, inside[1 + int(b * (len(inside) - 1))])

    def _plan(self, group: Group, at: bytes) -> bool:
        nodes = {t.node: t for t in group.target}
        without_rows = {t.node for t in group.target if t.role == "log-only"}
        members = {m.node for m in group.reported.members if m.log_only}
        others = self.catalog.hosts(group) - set(nodes)
        barred = without_rows | members | others | self.cluster.lost_nodes
        machines = [m for m in self.cluster.machines if m.volume.node_id not in barred]
        count = self.cluster.scenario.replicas
        chosen = self.random.sample(machines, min(count, len(machines)))
        if len(chosen) < max(count, group.write_quorum_min) or len({m.zone for m in chosen}) < group.durable_zones:
            return False
        right = [self.catalog.new_target(m, "voter") for m in chosen]
        copies = [self.catalog.new_target(m, "learner") for m in chosen if m.volume.node_id not in nodes]
        self._next += 1
        lease = self.cluster.scenario.settings.lease
        rules = (group.write_quorum_min, group.durable_zones, lease)
        split = Split(PartitionId(self._next), group.low, at, group.high, tuple(right), *rules)
        group.plan = Plan(split, copies)
        group.target = [*group.target, *copies]
        group.version += 1
        group.was_changed = group.was_changed or bool(copies)
        self.cluster.coverage["split planned"] += 1
        return True

    def in_flight(self) -> bool:
        """Is there a split that is planned, or committed and not settled?"""
        groups = self.catalog.groups
        if any(group.plan is not None or group.left for group in groups.values()):
            return True
        ledgers = self.cluster.checker.ledgers.values()
        return any(split.right not in groups for ledger in ledgers for _, split in ledger.splits)

    def unborn(self) -> list[tuple[PartitionId, Split, Epoch]]:
        """Right groups that the catalog does not know yet: (left group, split, epoch of its record), of every split
        that is committed, or stands in the log of somebody who runs and may yet be."""
        found = {
            split.right: (partition, split, ledger.epochs[lsn])
            for partition, ledger in self.cluster.checker.ledgers.items()
            for lsn, split in ledger.splits
        }
        for machine in self.cluster.machines:
            for r in machine.process.core.replicas.values() if machine.process else ():
                for _, split in r.log.splits:
                    found.setdefault(split.right, (r.partition, split, r.epoch))
        return [one for right, one in found.items() if right not in self.catalog.groups]

    def planned(self) -> list[Membership]:
        """What right groups will begin with whose split is planned only: a master that has not noticed yet who is lost
        may make it come true."""
        found = []
        for group in self.catalog.groups.values():
            if group.plan is not None and not group.plan.done:
                members = group.plan.split.members if isinstance(group.plan, Plan) else group.plan.members
                found.append(founding_membership(list(members), group.write_quorum_min, group.durable_zones, 0))
        return found

    def is_fit(self, left: PartitionId, split: Split, member: Member) -> bool:
        """Will a replica come of the left one there, as far as one can see?"""
        machine = self.cluster.by_node.get(member.node)
        process = machine.process if machine else None
        if process is None:
            return False
        r = process.core.replicas.get(split.right)
        if r is not None:
            return r.id == member.replica and not r.unfit
        return self.will_make(process, left, split.right)

    @staticmethod
    def will_make(process: Process, left: PartitionId, right: PartitionId) -> bool:
        """Is the split in the rows of a left replica here that may count, or in its log?"""
        r = process.core.replicas.get(left)
        if r is None or r.unfit or r.is_log_only or r.staged:
            return False
        known = [split for _, split in (*process.stores.splits(left), *r.log.splits)]
        return any(split.right == right for split in known)

    def waits(self) -> list[str]:
        """What is left to do when all faults have ended, in words."""
        found = []
        for group in self.catalog.groups.values():
            lost = [t for t in group.target if t.node in self.cluster.lost_nodes]
            if group.plan is not None and not group.plan.done and not lost:
                found.append(f"p{group.partition} is not split: {self._why(group)}")
            if group.left and not lost:
                found.append(f"p{group.partition} is not settled")
        for partition, ledger in self.cluster.checker.ledgers.items():
            for _, split in ledger.splits:
                if split.right not in self.catalog.groups:
                    found.append(f"p{partition}: split {split.right} is not reported")
        return found

    def _why(self, group: Group) -> str:
        processes = [m.process for m in self.cluster.machines if m.process is not None]
        replicas = [r for p in processes if (r := p.core.replicas.get(group.partition)) is not None]
        return "; ".join(f"{r.id}: {r.why}" for r in replicas if r.mastership is not None)

    # -- going round ----------------------------------------------------------------------------------------------

    def look(self, process: Process) -> None:
        """What the process is to do about splits, as the catalog's map and its own rows say."""
        latency = self.cluster.network.latency
        for group in list(self.catalog.groups.values()):
            r = process.core.replicas.get(group.partition)
            if r is None:
                continue
            serves = r.mastership is not None and r.mastership.serving
            if group.plan is not None and not group.plan.done and serves:
                process.later(latency(), self._propose, process, group, group.plan)
            for point, split in process.stores.splits(group.partition):
                self._follow(process, group, point, split, serves)
            if group.left and serves and r.mastership is not None and r.membership is not None:
                level = {r.id, *(replica for replica, p in r.mastership.progress.items() if p.level)}
                if all(member.replica in level for member in r.membership.voters):
                    self.cluster.timeline.after(latency(), self._settled, group)

    def _propose(self, process: Process, group: Group, plan: Plan) -> None:
        """One at a time, until it is settled: so the catalog hears of them in order."""
        if process.stores.splits(group.partition):
            return
        low, high = process.stores.ranges.get(group.partition, (group.low, group.high))
        if plan.split.at <= low or (high is not None and plan.split.at >= high):
            self.cluster.timeline.after(self.cluster.network.latency(), self._refused, group, plan)
            return
        split = msgspec.structs.replace(plan.split, low=low, high=high)
        process.step(ev.ProposeSplit(group.partition, encode_split(split)))

    def _refused(self, group: Group, plan: Plan) -> None:
        if group.plan is plan and not plan.done:
            self.cancel(group)

    def _follow(self, process: Process, group: Group, point: LogPoint, split: Split, serves: bool) -> None:
        self.make_soon(process, group.partition, point, split)
        right = self.catalog.groups.get(split.right)
        if right is None:
            if serves:
                self.cluster.timeline.after(self.cluster.network.latency(), self._reported, group, point, split)
        elif not right.left:
            process.stores.rows_of(group.partition).let_go(split)

    def make_soon(self, process: Process, partition: PartitionId, point: LogPoint, split: Split) -> None:
        """The process makes its right replica, if it is to have one."""
        replica = self._replica_to_make(process, split)
        if replica is None:
            return
        event = ev.HostReplica(split.right, replica, membership_of(split, point.epoch), point)
        process.later(500 + self.random.randrange(5000), process.stores.make_right, partition, event, split)

    @staticmethod
    def _replica_to_make(process: Process, split: Split) -> ReplicaId | None:
        replica = next((member.replica for member in split.members if member.node == process.node_id), None)
        if replica is None or split.right in process.core.replicas:
            return None
        return None if process.core.tombstones.get(split.right, 0) >= replica else replica

    def is_source(self, process: Process, r: Replica) -> bool:
        """As Splitter.is_source."""
        splits = [split for _, split in process.stores.splits(r.partition)]
        splits += [split for lsn, split in r.log.splits if r.applied_lsn < lsn <= r.commit_lsn]
        settled = {group.partition for group in self.catalog.groups.values() if not group.left}
        return any(self._replica_to_make(process, s) is not None and s.right not in settled for s in splits)

    def is_going_to_make(self, process: Process, group: Group) -> bool:
        """As Splitter.is_going_to_make."""
        if not group.left or not any(t.node == process.node_id for t in group.founding_target):
            return False
        left = process.core.replicas.get(group.left)
        if left is None or left.is_log_only:
            wanted = self.catalog.groups[group.left].target
            return left is None and any(t.node == process.node_id and t.role != "log-only" for t in wanted)
        store = process.stores.get(group.left)
        if store.rows is None:
            process.stores.open_soon(store)
            return True
        found = process.stores.ranges.get(group.left)
        is_behind = found is None or found[1] is None or found[1] > group.low
        return is_behind or any(split.right == group.partition for _, split in process.stores.splits(group.left))

    # -- what the catalog is told -----------------------------------------------------------------------------------

    def _reported(self, left: Group, point: LogPoint, split: Split) -> None:
        if self.cluster.locks.away or split.right in self.catalog.groups:
            return
        self.cluster.coverage["split reported"] += 1
        demand((split.low, split.high) == (left.low, left.high), "a split of another range", (left.partition, split))
        self.catalog.add_right(left, split, point)
        left.high = split.at
        left.target = [*left.target, *(copies := self._copies(left, split))]
        if left.plan is None:
            left.plan = Plan(split, copies)
        if left.plan.split.right == split.right:
            left.plan.copies = [*left.plan.copies, *(copy for copy in copies if copy not in left.plan.copies)]
            left.plan.done = True
        left.version += bool(copies)

    def _copies(self, left: Group, split: Split) -> list[ReplicaTarget]:
        """Learners on the nodes from whose rows the right half is made, and which a new target had left out."""
        held = {t.node for t in left.target} | self.cluster.lost_nodes
        machines = [self.cluster.by_node.get(m.node) for m in split.members if m.node not in held]
        return [self.catalog.new_target(machine, "learner") for machine in machines if machine is not None]

    def _settled(self, right: Group) -> None:
        if self.cluster.locks.away or not right.left:
            return
        self.cluster.coverage["split settled"] += 1
        left = self.catalog.groups[right.left]
        right.left = PartitionId(0)
        if left.plan is not None and left.plan.split.right == right.partition:
            self.cancel(left)

    def cancel(self, group: Group) -> None:
        """The plan is over, done or not: the copies go."""
        assert group.plan is not None
        copies = {copy.replica for copy in group.plan.copies}
        group.target = [t for t in group.target if t.replica not in copies or t.role != "learner"]
        group.plan = None
        group.version += 1
