"""The catalog of runs in which nodes come and go and tables are dialled up: the core's own state machine.

Every command of nodes (follower.py) and of the operator (operator.py) is applied by `CatalogState`; what the checks and
the clients look at (`groups`) is made from its map. The catalog's own group is not simulated: it follows its target at
once, and can be away, with the locks.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from keystead_core.catalog.commands import (
    Command,
    CreateTable,
    GroupReport,
    InitCluster,
    PlanSplit,
    RegisterNode,
    ReportGroups,
    TableSpec,
)
from keystead_core.catalog.results import CatalogReply
from keystead_core.catalog.state import CatalogState
from keystead_core.cluster_map import (
    ClusterMap,
    ClusterSettings,
    KeyAttribute,
    PartitionEntry,
    ReplicaTarget,
)
from keystead_core.hosting import founding_of
from keystead_core.ids import CATALOG_PARTITION, MILLISECOND, Boot, Epoch, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication.membership import Membership, founding_membership
from keystead_core.split.record import Split
from tests.sim.catalog import Catalog, Group
from tests.sim.follower import Follower, entry_of
from tests.sim.operator import Operator
from tests.sim.rows import key_bytes
from tests.sim.splits import Splits

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster
    from tests.sim.machine import Process

CLUSTER = "simulated"


def table_name(table: int) -> str:
    return f"t{table}"


class SteeredSplits(Splits):
    """The waiting and judging parts are those of Splits; the rest is the catalog's and the followers'."""

    def plan_at_random(self, a: float, b: float) -> bool:
        """A person's request."""
        catalog, scenario = self.catalog, self.cluster.scenario
        assert isinstance(catalog, SteeredCatalog)
        groups = list(catalog.groups.values())
        if self.cluster.locks.away or not groups:
            return False
        group = groups[int(a * len(groups))]
        keys = sorted(key_bytes(scenario.first_key + number) for number in range(scenario.keys))
        inside = [key for key in keys if key > group.low and (group.high is None or key < group.high)]
        if not inside:
            return False
        reply = catalog.execute(PlanSplit(group.partition, inside[int(b * len(inside))], "request"))
        if not reply.error:
            catalog.operator.requested[group.table] += 1
        return not reply.error

    def make_soon(self, process: Process, partition: PartitionId, point: LogPoint, split: Split) -> None:
        assert isinstance(self.catalog, SteeredCatalog)
        self.catalog.follower(process).make_soon(partition, point, split)


class SteeredCatalog(Catalog):
    """`map`: as of the last command. `saved`: the map that each node would find on its disk."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        super().__init__(cluster, random)
        self.splits = SteeredSplits(self)
        self.state = CatalogState()
        self.map: ClusterMap = self.state.map()
        self.saved: dict[str, ClusterMap] = {}
        self.operator = Operator(self)
        self._followers: dict[Boot, Follower] = {}
        self._lsn = 0
        self._epoch = 1

    # -- commands -------------------------------------------------------------------------------------------------

    def execute(self, command: Command) -> CatalogReply:
        """Applies a command; whoever runs hears of the new map a while later."""
        self._lsn += 1
        result = self.state.apply(command, self._lsn)
        cluster = self.cluster
        reply = result.reply
        name = type(command).__name__
        cluster.trace.update(name.encode() + reply.error.encode())
        if cluster.trace.verbose:
            line = f"{command} {reply.error} {reply.message}"
            cluster.trace.line(cluster.timeline.now, cluster.timeline.current, 0, "CATALOG", line)
        cluster.coverage[f"{name} {'refused' if reply.error else 'done'}"] += 1
        if result.rows:
            self._on_change()
        return reply

    def _on_change(self) -> None:
        self.map = self.state.map()
        for number, entry in self.map.partitions.items():
            if number == CATALOG_PARTITION:
                continue
            group = self.groups.get(number)
            if group is None:
                group = self.groups[number] = self._group_of(entry)
            if entry.target != group.target:
                group.target = list(entry.target)
                group.version += 1
            group.low, group.high, group.left = entry.low, entry.high, entry.left
            plan: Any = entry.split
            group.plan = plan
        self._follow_own_target()
        for machine in self.cluster.machines:
            if machine.process is not None:
                self.follower(machine.process).look_soon()

    def _group_of(self, entry: PartitionEntry) -> Group:
        group = Group(entry.id, founding_of(entry), list(entry.target))
        if entry.founding_epoch:
            body = founding_of(entry)
            group.reported = Membership(
                body.version, entry.founding_epoch, body.members, body.write_quorum_min, body.durable_zones, body.lease
            )
        group.table = PartitionId(int(entry.table[1:]))
        group.was_changed = True
        return group

    def _follow_own_target(self) -> None:
        entry = self.map.partitions[CATALOG_PARTITION]
        if entry.epoch and entry.members == entry.target:
            return
        self._epoch += 1
        version = entry.membership_version + 1
        self.execute(
            ReportGroups([GroupReport(entry.id, self._epoch, version, entry.target, entry.target[0].node, self._epoch)])
        )

    # -- the beginning --------------------------------------------------------------------------------------------

    def found(self, partition: PartitionId) -> None:
        """The tables, with their partitions where the core places them."""
        if partition == 1:
            self._form()
        scenario = self.cluster.scenario
        spec = TableSpec(
            name=table_name(partition),
            hash_key=KeyAttribute("id", "S"),
            partitions=1,
            replicas=scenario.replicas,
            write_quorum=scenario.write_quorum_min,
            durable_zones=scenario.durable_zones,
        )
        reply = self.execute(CreateTable(spec, b"%d" % partition, 0.0))
        assert not reply.error, reply.message

    def _form(self) -> None:
        scenario = self.cluster.scenario
        present = self.cluster.machines[: scenario.nodes]
        self.operator.place_first(present)
        members = [
            ReplicaTarget(ReplicaId(number + 1), machine.volume.node_id, machine.zone, "voter")
            for number, machine in enumerate(present[: min(3, len(present))])
        ]
        lease_ms = scenario.settings.lease // MILLISECOND
        self.execute(InitCluster(CLUSTER, members, ClusterSettings(lease_ms=lease_ms)))
        for machine in present:
            self.execute(RegisterNode(CLUSTER, entry_of(machine, machine.volume, boot=1)))

    def begin(self) -> None:
        self.operator.begin()

    # -- nodes ----------------------------------------------------------------------------------------------------

    def follower(self, process: Process) -> Follower:
        found = self._followers.get(process.boot)
        if found is None or found.process is not process:
            found = self._followers[process.boot] = Follower(self, process)
            found.begin()
        return found

    def on_start(self, process: Process) -> None:
        self.follower(process)

    def register(self, process: Process) -> None:
        if not process.is_clone:
            self.follower(process).register()

    def report(self, process: Process, partition: PartitionId, epoch: Epoch, membership: Membership) -> None:
        """The catalog hears of it by a command; the checks know it as soon as it is said."""
        self.follower(process).on_mastership(partition, epoch, membership)
        group = self.groups.get(partition)
        if group is not None and membership.version > group.reported.version:
            group.reported = membership

    def bears_loss_of(self, node: NodeId) -> bool:
        """The catalog's own group has to survive it too, though it is not simulated: one loss at a time, of three."""
        members = [place.node for place in self.map.partitions[CATALOG_PARTITION].members]
        if node in members and (len(members) < 3 or not self.cluster.lost_nodes.isdisjoint(members)):
            return False
        return super().bears_loss_of(node)

    def _known_memberships(self, group: Group) -> list[Membership]:
        """Also the one that the map has: a change that the catalog never heard of is one that a start may forget."""
        entry = self.map.partitions[group.partition]
        told = founding_membership(entry.members, group.write_quorum_min, entry.durable_zones, 0)
        return [*super()._known_memberships(group), told]

    def change_at_random(self, a: float, b: float) -> bool:
        """Fault R: here it is the operator who wants something else."""
        return self.operator.wish(a, b)
