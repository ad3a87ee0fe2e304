"""What a node does about the cluster map, where the catalog is the real one: the parts of MapKeeper and Splitter, as
events on the timeline.

The map is what the core's catalog made of its commands, a while late; what it means for this node is decided by the
core (hosting.plan_hosting). A restarted node begins with the map that it last wrote down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead_core.catalog.commands import (
    Command,
    GroupReport,
    RefuseSplit,
    RegisterNode,
    ReportGroups,
    ReportSplit,
    SettleSplit,
)
from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import EMPTY_MAP, ClusterMap, NodeEntry, PartitionEntry, ReplicaTarget, SplitPlan
from keystead_core.hosting import Hosted, brings_rows, plan_hosting, plan_removed
from keystead_core.ids import CATALOG_PARTITION, Epoch, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication import events as ev
from keystead_core.replication.membership import Membership
from keystead_core.replication.replica import Replica
from keystead_core.split.record import Split, encode_split, membership_of

if TYPE_CHECKING:
    from tests.sim.machine import Machine, Process
    from tests.sim.steered import SteeredCatalog
    from tests.sim.volume import Volume


def entry_of(machine: Machine, volume: Volume, boot: int) -> NodeEntry:
    """What the node of the volume says of itself at its start number `boot`."""
    return NodeEntry(
        id=volume.node_id,
        name=machine.place,
        zone=machine.zone,
        host=f"h{machine.index}",
        disk="",
        api_address="",
        peer_address="",
        admin_address="",
        boot=boot,
        state="active",
    )


class Follower:
    """Of one process. `waits`: a look is on its way already."""

    def __init__(self, catalog: SteeredCatalog, process: Process) -> None:
        self.catalog = catalog
        self.process = process
        self.map: ClusterMap = catalog.saved.get(process.node_id, EMPTY_MAP)
        self.registered = False
        self._current_from = -1
        self.held: set[PartitionId] = set()
        self.waits = False
        self._targets: dict[PartitionId, ev.SetTarget] = {}
        self._reports: dict[PartitionId, GroupReport] = {}
        self._latency = catalog.cluster.network.latency
        self._pause = catalog.cluster.scenario.settings.lease // 16

    def begin(self) -> None:
        self._react(list(self.map.partitions.values()), [])
        self.process.later(self._pause, self._go_round)

    def _go_round(self) -> None:
        self.look()
        self.process.later(self._pause + self.process.random.randrange(self._pause), self._go_round)

    def look_soon(self) -> None:
        """The map has changed."""
        if self.waits or not self.process.alive:
            return
        self.waits = True
        late = self.process.random.random() < 0.1
        delay = self._latency() + (self.process.random.randrange(8 * self._pause) if late else 0)
        self.process.later(delay, self._look_now)

    def _look_now(self) -> None:
        self.waits = False
        self.look()

    def look(self) -> None:
        """Takes the catalog's map, if it can be had, and does what is due."""
        if not self.catalog.cluster.locks.away:
            self._take(self.catalog.map)
        if self.process.alive:
            self._look_at_splits()
            self._look_at_held()
            self._send_reports()

    def _take(self, newer: ClusterMap) -> None:
        before, self.map = self.map, newer
        if newer is before:
            return
        if self.process.random.random() < 0.5:
            self.catalog.saved[self.process.node_id] = newer
        known = before.partitions
        is_first = before.version < self._current_from <= newer.version
        self._react([e for number, e in newer.partitions.items() if is_first or known.get(number) is not e], [])

    # -- who is hosted, as MapKeeper ------------------------------------------------------------------------------

    def _react(self, entries: list[PartitionEntry], removed: list[PartitionId]) -> None:
        process = self.process
        for entry in entries:
            if entry.id == CATALOG_PARTITION:
                continue
            awaits = bool(entry.left) and self._is_going_to_make(entry)
            older = not 0 <= self._current_from <= self.map.version
            hosted = self._hosted(entry.id)
            for event in plan_hosting(entry, process.node_id, hosted, self.registered, awaits, older):
                if isinstance(event, ev.HostReplica) and event.founding is not None and not process.may_found:
                    continue
                if isinstance(event, ev.DropReplica) and self._is_source(entry.id):
                    self.held.add(entry.id)
                    break
                if isinstance(event, ev.SetTarget):
                    if self._targets.get(entry.id) == event:
                        continue
                    self._targets[entry.id] = event
                else:
                    self._targets.pop(entry.id, None)
                process.step(event)
                if not process.alive:
                    return
            self._check_report(entry.id)
        gone = {p: found for p in removed if (found := self._hosted(p)) is not None}
        for drop in plan_removed(self.map, gone, removed):
            process.step(drop)

    def _look_at_held(self) -> None:
        held, self.held = sorted(self.held), set()
        self._react([self.map.partitions[p] for p in held if p in self.map.partitions], [])

    def _look_again(self, entry: PartitionEntry) -> None:
        if entry.id not in self.process.core.replicas:
            self._react([entry], [])

    def _hosted(self, partition: PartitionId) -> Hosted | None:
        r = self.process.core.replicas.get(partition)
        return Hosted.of(r) if r is not None else None

    # -- what the catalog is told ---------------------------------------------------------------------------------

    def register(self) -> None:
        cluster = self.map.cluster or self.catalog.state.cluster
        volume = self.process.volume
        self.tell(RegisterNode(cluster, entry_of(self.process.machine, volume, volume.boot_counter)))

    def on_mastership(self, partition: PartitionId, epoch: Epoch, membership: Membership) -> None:
        members = [ReplicaTarget(m.replica, m.node, m.zone, m.role) for m in membership.members]
        report = GroupReport(partition, epoch, membership.version, members, self.process.node_id, membership.epoch)
        self._reports[partition] = report
        self.process.later(self._pause // 4, self._send_reports)

    def _check_report(self, partition: PartitionId) -> None:
        """The map lacks what a group mastered here last said: say it again."""
        r = self._mastered(partition)
        entry = self.map.partitions.get(partition)
        if r is None or entry is None or partition in self._reports:
            return
        membership = r.log.membership_at(r.commit_lsn)
        if membership is not None and (entry.epoch, entry.membership_version) < (r.epoch, membership.version):
            self.on_mastership(partition, r.epoch, membership)

    def _send_reports(self) -> None:
        if self._reports and not self.catalog.cluster.locks.away:
            reports, self._reports = self._reports, {}
            self.tell(ReportGroups(list(reports.values())))

    def tell(self, command: Command) -> None:
        """As CatalogClient: said again where the answer is lost, so that it may be heard twice."""
        latency = self._latency
        times = 2 if self.process.random.random() < 0.1 else 1
        for _ in range(times):
            self.catalog.cluster.timeline.after(latency() * times, self._at_catalog, command)

    def _at_catalog(self, command: Command) -> None:
        if self.catalog.cluster.locks.away:
            if isinstance(command, RegisterNode | ReportGroups):
                self.catalog.cluster.timeline.after(4 * self._pause, self._at_catalog, command)
            return
        reply = self.catalog.execute(command)
        if isinstance(command, RegisterNode):
            self.process.later(self._latency(), self._on_registered, reply)

    def _on_registered(self, reply: CatalogReply) -> None:
        if reply.error in ("NodeLeft", "BootTooOld"):
            self.catalog.cluster.renounce(self.process.machine)
        elif not reply.error and not self.registered:
            self.registered = True
            self._current_from = reply.version
            self.process.step(ev.Registered())
            self._react(list(self.map.partitions.values()), [])

    # -- splits, as Splitter --------------------------------------------------------------------------------------

    def _mastered(self, partition: PartitionId) -> Replica | None:
        r = self.process.core.replicas.get(partition)
        return r if r is not None and r.mastership is not None and r.mastership.serving else None

    def _look_at_splits(self) -> None:
        process = self.process
        for entry in self.map.partitions.values():
            if entry.split is not None and not entry.split.done:
                self._propose(entry, entry.split)
            if entry.left:
                self._look_again(entry)
                self._settle(entry)
        for partition in list(process.core.replicas):
            for point, split in process.stores.splits(partition):
                self._follow(partition, point, split)

    def _propose(self, entry: PartitionEntry, plan: SplitPlan) -> None:
        r = self._mastered(entry.id)
        stores = self.process.stores
        if r is None or any(split.right == plan.right for _, split in r.log.splits) or stores.splits(entry.id):
            return
        low, high = stores.rows_of(entry.id).row_range() or (entry.low, entry.high)
        if plan.at <= low or (high is not None and plan.at >= high):
            self.tell(RefuseSplit(entry.id, plan.right, "the key is not in its range any more"))
            return
        minimum = entry.write_quorum if entry.write_quorum > len(plan.members) // 2 + 1 else 0
        lease = self.process.core.settings.lease
        split = Split(plan.right, low, plan.at, high, tuple(plan.members), minimum, entry.durable_zones, lease)
        self.process.later(self._latency(), self.process.step, ev.ProposeSplit(entry.id, encode_split(split)))

    def _follow(self, partition: PartitionId, point: LogPoint, split: Split) -> None:
        self.make_soon(partition, point, split)
        right = self.map.partitions.get(split.right)
        if right is None:
            if self._mastered(partition) is not None:
                self.tell(ReportSplit(partition, encode_split(split), point.epoch))
        elif not right.left:
            self.process.stores.rows_of(partition).let_go(split)

    def make_soon(self, partition: PartitionId, point: LogPoint, split: Split) -> None:
        replica = self._replica_to_make(split)
        if replica is not None:
            event = ev.HostReplica(split.right, replica, membership_of(split, point.epoch), point)
            delay = 500 + self.process.random.randrange(5000)
            self.process.later(delay, self.process.stores.make_right, partition, event, split)

    def _replica_to_make(self, split: Split) -> ReplicaId | None:
        core = self.process.core
        replica = next((member.replica for member in split.members if member.node == core.id), None)
        if replica is None or split.right in core.replicas or core.tombstones.get(split.right, 0) >= replica:
            return None
        return None if self.map.is_deleted(split.right) else replica

    def _is_source(self, partition: PartitionId) -> bool:
        r = self.process.core.replicas.get(partition)
        if r is None or r.is_log_only:
            return False
        splits = [split for _, split in self.process.stores.splits(partition)]
        splits += [split for lsn, split in r.log.splits if r.applied_lsn < lsn <= r.commit_lsn]
        return any(self._replica_to_make(split) is not None and not self._is_settled(split) for split in splits)

    def _is_settled(self, split: Split) -> bool:
        right = self.map.partitions.get(split.right)
        return right is not None and not right.left

    def _is_going_to_make(self, entry: PartitionEntry) -> bool:
        process = self.process
        if not entry.left or not any(t.node == process.node_id for t in entry.founders):
            return False
        left = process.core.replicas.get(entry.left)
        if left is None or left.is_log_only:
            return left is None and brings_rows(self.map.partitions.get(entry.left), process.node_id)
        store = process.stores.get(entry.left)
        if store.rows is None:
            process.stores.open_soon(store)
            return True
        known = process.stores.ranges.get(entry.left)
        is_behind = known is None or known[1] is None or known[1] > entry.low
        return is_behind or any(split.right == entry.id for _, split in store.rows.splits())

    def _settle(self, entry: PartitionEntry) -> None:
        r = self._mastered(entry.id)
        if r is None or r.mastership is None or r.membership is None:
            return
        level = {r.id, *(replica for replica, p in r.mastership.progress.items() if p.level)}
        if all(member.replica in level for member in r.membership.voters):
            self.tell(SettleSplit(entry.id))
