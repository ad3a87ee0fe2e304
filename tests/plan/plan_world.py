"""A small world for the planner: the real catalog state machine, and nodes that do at once what they are told."""

from copy import deepcopy

import msgspec

from keystead_core.catalog import commands
from keystead_core.catalog.state import CatalogState
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import ClusterMap, KeyAttribute, NodeEntry, PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId
from keystead_core.split.record import Split, encode_split
from keystead_operator.plan.actions import (
    Action,
    AddNode,
    ChangeIndexes,
    CreateTable,
    DeleteTable,
    ForgetTable,
    FormCatalog,
    GiveUpVolume,
    GrowVolume,
    MarkBootstrapped,
    MarkLeft,
    NameFounders,
    PlanSplit,
    RemoveNode,
    RestartNode,
    SetTarget,
    StartNode,
    StopNode,
    UpdateSettings,
    UpdateTable,
)
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired, Founder, Observed, ObservedNode
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable

CLUSTER_ID = "c1"
ORDERS = DeclaredTable(
    resource="orders",
    name="orders",
    hash_key=KeyAttribute("id", "S"),
    range_key=None,
    replicas=3,
    write_quorum=2,
    durable_zones=1,
)
LONG_SECONDS = 100_000.0


class Machine(msgspec.Struct):
    """A place with its volume. `volume`: number of the volume; a lost one gets the next number and so a new node id.

    `stranded`: the machine that has the volume is gone for good; a process for it is never more than asked for.
    `template`: that of its last start.
    """

    name: str
    zone: str
    volume: int = 0
    running: bool = False
    started_on: int = 0
    formed: bool = False
    holds_data: bool = False
    down: float = 0.0
    template: int = 0
    stranded: bool = False
    small: bool = False

    @property
    def node_id(self) -> NodeId:
        return NodeId(f"{self.name}#{self.volume}")


class World:
    """`desired` and everything that an observation shows."""

    def __init__(self, desired: Desired) -> None:
        self.desired = desired
        self.machines: dict[str, Machine] = {}
        self.founders: tuple[Founder, ...] = ()
        self.bootstrapped = False
        self.catalog = CatalogState()
        self.lsn = 0
        self.fence = 0
        self.seconds_down: dict[NodeId, float] = {}
        self.template = 0
        self.volumes_used: dict[str, int] = {}

    # ---- what the outside does

    def kill(self, name: str) -> None:
        self.machines[name].running = False

    def lose_volume(self, name: str) -> None:
        machine = self.machines[name]
        machine.volume += 1
        machine.formed = machine.holds_data = False

    def put_back_volume(self, name: str, volume: int) -> None:
        """The place's volume is an earlier one again, with all that it held; its process is to be started anew."""
        machine = self.machines[name]
        machine.volume, machine.running = volume, False
        machine.holds_data = True
        machine.formed = any(founder.node_id == machine.node_id for founder in self.founders)

    def lose_machine(self, name: str) -> None:
        """The machine under a place is gone for good, and the volume is nowhere else."""
        self.machines[name].stranded = True
        self.seconds_down[self.machines[name].node_id] = LONG_SECONDS

    # ---- what the planner sees and does

    def observe(self) -> Observed:
        self._data_plane()
        serving = self._catalog_serves()
        cluster_map = self.catalog.map() if serving else None
        return Observed(
            nodes=tuple(self._observed(machine) for machine in self.machines.values()),
            founders=self.founders,
            bootstrapped=self.bootstrapped,
            map=cluster_map,
            known_map=self.catalog.map() if self.bootstrapped else None,
            unlevel=self._unlevel(),
            seconds_down={} if cluster_map is None else {node: self._down(node) for node in cluster_map.nodes},
        )

    def execute(self, action: Action) -> None:
        match action:
            case AddNode(name, zone):
                self.machines.setdefault(name, Machine(name, zone, self.volumes_used.get(name, 0)))
            case StartNode(name):
                machine = self.machines[name]
                machine.running, machine.started_on, machine.template = True, machine.volume, self.template
            case StopNode(name):
                self.machines[name].running = False
            case RestartNode(name):
                if self.machines[name].template != self.template:
                    self.machines[name].running = False
            case GiveUpVolume(name):
                self._give_up(name)
            case RemoveNode(name):
                self._remove(name)
            case GrowVolume(name):
                self.machines[name].small = False
            case NameFounders(founders):
                assert self.founders in ((), founders), "founders are named once"
                self.founders = founders
            case FormCatalog():
                self._form(action)
            case MarkBootstrapped():
                self.bootstrapped = True
            case MarkLeft(node, only_if_empty):
                self._apply(commands.NodeLeft(node, self._office(), only_if_empty))
            case CreateTable(table, indexes):
                seed = f"{table.name}{self.lsn}".encode()
                self._apply(commands.CreateTable(table, seed, 1.0, self._office(), indexes=list(indexes)))
            case ChangeIndexes(name, manager, new, old, units):
                change = TableChange(index_units=list(units))
                office = self._office()
                self._apply(commands.ChangeTable(name, change, 1.0, new, old, manager=manager, fence=office))
            case UpdateTable(table, manager):
                self._apply(commands.UpdateTable(table, manager, self._office()))
            case DeleteTable(name, manager, table_id):
                self._apply(commands.DeleteTable(name, manager, table_id, self._office()))
            case ForgetTable(resource):
                kept = tuple(table for table in self.desired.tables if table.resource != resource)
                self.desired = msgspec.structs.replace(self.desired, tables=kept)
            case UpdateSettings(settings):
                self._apply(commands.UpdateSettings(settings, self._office()))
            case SetTarget(partition, target):
                self._apply(commands.SetTarget(partition, list(target), self._office()))
            case PlanSplit(partition, at, reason):
                self._apply(commands.PlanSplit(partition, at, reason, self._office()))

    def settle(self, rounds_max: int = 30) -> int:
        """Plans and executes until a plan is empty; the number of rounds that took."""
        for number in range(rounds_max):
            made = plan(self.desired, self.observe())
            if not made.actions:
                return number
            for action in made.actions:
                self.execute(action)
        raise AssertionError(f"no empty plan after {rounds_max} rounds: {plan(self.desired, self.observe()).actions}")

    def fingerprint(self) -> object:
        """Everything but the counters that rise with each command."""
        cluster_map = self.catalog.map()
        return deepcopy(
            (
                self.machines,
                self.founders,
                self.bootstrapped,
                self.desired,
                cluster_map.nodes,
                cluster_map.tables,
                cluster_map.partitions,
                cluster_map.settings,
            )
        )

    # ---- inside

    def _give_up(self, name: str) -> None:
        """The place gets a new volume on another machine; done twice, the second finds nothing to give up."""
        machine = self.machines[name]
        if machine.stranded:
            left = self.catalog.map().nodes.get(machine.node_id)
            assert left is None or left.state == "left", f"the volume of {name} is given up while its node may serve"
            self.lose_volume(name)
            machine.running = machine.stranded = False

    def _remove(self, name: str) -> None:
        machine = self.machines.get(name)
        if machine is not None:
            known = self.catalog.map().nodes.get(machine.node_id)
            assert known is None or known.state == "left", f"{name} is taken away while its node may serve"
            self.volumes_used[name] = machine.volume + 1
            del self.machines[name]

    def _observed(self, machine: Machine) -> ObservedNode:
        lost = machine.running and machine.started_on != machine.volume
        answers = machine.running and not lost and not machine.stranded
        return ObservedNode(
            name=machine.name,
            zone=machine.zone,
            running=machine.running,
            reachable=answers,
            id=machine.node_id if answers else NodeId(""),
            formed=answers and machine.formed,
            volume_empty=answers and not machine.holds_data,
            volume_lost=lost,
            volume_small=machine.small,
            stranded_seconds=LONG_SECONDS if machine.stranded and machine.running else 0.0,
            outdated=machine.running and machine.template != self.template,
            peer_address=machine.name,
        )

    def _unlevel(self) -> str:
        """In this world a replica is level as soon as its node answers."""
        answering = self._answering()
        for entry in self.catalog.map().partitions.values():
            if entry.members != entry.target or any(place.node not in answering for place in entry.members):
                return f"partition {entry.id}"
        return ""

    def _answering(self) -> set[NodeId]:
        return {node.id for machine in self.machines.values() if (node := self._observed(machine)).reachable}

    def _down(self, node: NodeId) -> float:
        return 0.0 if node in self._answering() else self.seconds_down.get(node, 1.0)

    def _office(self) -> int:
        if not self.fence:
            self.fence = self._apply(commands.Fence("operator", 0))
        return self.fence

    def _apply(self, command: commands.Command) -> int:
        self.lsn += 1
        return self.catalog.apply(command, self.lsn).reply.fence

    def _form(self, action: FormCatalog) -> None:
        machine = self.machines[action.name]
        assert machine.node_id == action.node, "a founder is told only while it is who it was"
        machine.formed = machine.holds_data = True
        formed = [one for one in self.machines.values() if one.formed]
        if 2 * len(formed) > len(action.founders):
            members = [ReplicaTarget(one.replica_id, one.node_id, one.zone, "voter") for one in action.founders]
            self._apply(commands.InitCluster(CLUSTER_ID, members, action.settings))

    def _catalog_serves(self) -> bool:
        catalog = self.catalog.map().catalog()
        return catalog is not None and self._has_quorum(catalog)

    def _has_quorum(self, entry: PartitionEntry) -> bool:
        answering = self._answering()
        return 2 * sum(member.node in answering for member in entry.members) > len(entry.members)

    def _data_plane(self) -> None:
        """Nodes register; masters bring memberships to their targets and report."""
        if not self._catalog_serves():
            return
        for machine in self.machines.values():
            if machine.node_id in self._answering() and machine.node_id not in self.catalog.map().nodes:
                self._apply(commands.RegisterNode(CLUSTER_ID, _entry(machine)))
        cluster_map = self.catalog.map()
        reports = [
            commands.GroupReport(
                entry.id, entry.epoch + 1, entry.membership_version + 1, entry.target, entry.target[0].node
            )
            for entry in cluster_map.partitions.values()
            if self._has_quorum(entry) and (entry.members != entry.target or not entry.master)
        ]
        if reports:
            self._apply(commands.ReportGroups(reports))
        for table in cluster_map.tables.values():
            for index in table.indexes:
                for partition in index.filling:
                    self._apply(commands.ReportFilled(partition, [index.id]))
        for entry in self.catalog.map().partitions.values():
            self._split(entry)

    def _split(self, entry: PartitionEntry) -> None:
        """Its master carries a split out, one step at each look."""
        if entry.left and self._has_quorum(entry):
            self._apply(commands.SettleSplit(entry.id))
        if entry.split is None or entry.split.done or entry.members != entry.target or not self._has_quorum(entry):
            return
        at, members = entry.split.at, tuple(entry.split.members)
        split = Split(entry.split.right, entry.low, at, entry.high, members, 0, entry.durable_zones, 1_000_000)
        self._apply(commands.ReportSplit(entry.id, encode_split(split), entry.epoch))


def _entry(machine: Machine) -> NodeEntry:
    return NodeEntry(
        id=machine.node_id,
        name=machine.name,
        zone=machine.zone,
        host=machine.name,
        disk=machine.name,
        api_address="",
        peer_address="",
        admin_address="",
        boot=1,
        state="active",
    )


def map_of(world: World) -> ClusterMap:
    return world.catalog.map()


def settled_world(cluster: ClusterSpec, table: DeclaredTable = ORDERS) -> World:
    """The cluster with the table, when nothing is left to do."""
    world = World(Desired(cluster, (table,)))
    world.settle()
    return world
