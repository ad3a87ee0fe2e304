"""The operator of a simulated cluster: it looks, plans with the operator's own planners, and carries the plan out.

A wish (scenario.wishes, fault R) changes what is declared: units of a table, nodes more, nodes fewer, or all as it was.
Between a look and the last action of its plan anything may happen: actions come one by one, the operator may end
between two of them, and what is left of its plan may be carried out all the same, out of office, beside the next one's.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import msgspec

from keystead_core.catalog import commands
from keystead_core.cluster_map import KeyAttribute, PartitionEntry, ReplicaTarget
from keystead_core.comeback import can_go_on
from keystead_core.ids import CATALOG_PARTITION, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.ledger import PlacementRule, ledger_of, sites_of
from keystead_core.quotas import level_enough, quotas_of
from keystead_core.split.dial_up import PartitionLimits, partitions_for
from keystead_operator.plan.actions import (
    Action,
    AddNode,
    MarkLeft,
    Note,
    PlanSplit,
    RemoveNode,
    SetTarget,
    StartNode,
    StopNode,
)
from keystead_operator.plan.masters import plan_masters
from keystead_operator.plan.nodes import plan_processes
from keystead_operator.plan.repairs import plan_repairs
from keystead_operator.plan.rescale import plan_places, shape
from keystead_operator.plan.splits import plan_splits
from keystead_operator.plan.state import Desired, Observed, ObservedNode
from keystead_operator.spec.resources import ClusterSpec
from tests.sim.violation import demand

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.steered import SteeredCatalog

SECONDS_PER_LEASE = 5
"""The operator's graces in terms of a run: 10 s until a log-only voter comes are two leases."""

PARTITIONS_MAX = 5
"""Of a table, by dial-up."""


class Operator:
    """`requested`: splits beside dial-ups, by table; `most`: the most partitions that units ever asked for."""

    def __init__(self, catalog: SteeredCatalog) -> None:
        self.catalog = catalog
        self.cluster = cluster = catalog.cluster
        self.random = Random(f"{cluster.scenario.seed}/operator")
        scenario = cluster.scenario
        self.declared = ClusterSpec(
            name="simulated",
            nodes=scenario.nodes,
            zones=tuple(f"z{number}" for number in range(scenario.zones)),
            replicas=scenario.replicas,
            durable_zones=scenario.durable_zones,
            node_loss_grace_seconds=self.random.choice((20.0, 300.0)),
        )
        self.requested: Counter[PartitionId] = Counter()
        self.most: dict[PartitionId, int] = {}
        self.removed: set[NodeId] = set()
        self._seen: dict[NodeId, Micros] = {}
        self._fence = 0
        self._life = 0

    def place_first(self, machines: list[Machine]) -> None:
        for machine in machines:
            machine.place = f"node-{machine.index}"
        for machine in self.cluster.machines:
            machine.is_absent = not machine.place

    def begin(self) -> None:
        self._take_office()
        for wish in self.cluster.scenario.wishes:
            self.cluster.timeline.at(wish.at, self._on_wish, wish.a, wish.b)
        self._rest()

    # -- what is declared -----------------------------------------------------------------------------------------

    def _on_wish(self, a: float, b: float) -> None:
        if self.cluster.timeline.now < self.cluster.scenario.faults_end:
            self.wish(a, b)

    def wish(self, a: float, b: float) -> bool:
        """Somebody applies another manifest. Returns whether it differs."""
        before = self.declared
        if a < 0.4:
            return self._dial(a / 0.4, b)
        nodes, gone = before.nodes, before.remove_nodes
        places = [machine.place for machine in self.cluster.machines if machine.place]
        if a < 0.6:
            nodes = min(nodes + 1 + int(b * 2), len(self.cluster.machines))
        elif a < 0.75:
            nodes = max(nodes - 1 - int(b * 2), 1)
        elif a < 0.9:
            gone = (places[int(b * len(places))],)
            nodes = max(nodes - 1, 1) if b < 0.5 else nodes
        else:
            nodes, gone = self.cluster.scenario.nodes, ()
        self.declare(nodes, gone)
        return self.declared != before

    def declare(self, nodes: int, gone: tuple[str, ...]) -> None:
        self.declared = msgspec.structs.replace(self.declared, nodes=nodes, remove_nodes=gone)
        self.cluster.coverage["nodes wished"] += 1

    def _dial(self, a: float, b: float) -> bool:
        """Units for so many partitions; or fewer than before, which takes back what is left to do."""
        if self.cluster.locks.away:
            return False
        table = PartitionId(1 + int(a * self.cluster.scenario.partitions))
        wanted = 1 + int(b * PARTITIONS_MAX)
        limits = PartitionLimits()
        reads, writes = limits.read_units * wanted // 2, limits.write_units * wanted // 2
        assert partitions_for(reads, writes, limits) == wanted
        scenario = self.cluster.scenario
        spec = commands.TableSpec(
            name=f"t{table}",
            hash_key=KeyAttribute("id", "S"),
            replicas=scenario.replicas,
            write_quorum=scenario.write_quorum_min,
            durable_zones=scenario.durable_zones,
            billing_mode="PROVISIONED",
            read_units=reads,
            write_units=writes,
        )
        reply = self.catalog.execute(commands.UpdateTable(spec))
        if not reply.error:
            self.most[table] = max(self.most.get(table, 1), wanted)
            self.cluster.coverage["dial-up wished"] += 1
        return not reply.error

    # -- looking and planning ---------------------------------------------------------------------------------------

    def observe(self) -> Observed:
        cluster, now = self.cluster, self.cluster.timeline.now
        nodes = []
        for machine in cluster.machines:
            process = machine.process
            answers = process is not None and not process.paused
            if machine.place:
                nodes.append(
                    ObservedNode(
                        name=machine.place,
                        zone=machine.zone,
                        running=process is not None,
                        start_in_seconds=0.0 if machine.is_stopped else 1.0,
                        reachable=answers,
                        id=machine.volume.node_id if answers else NodeId(""),
                        volume_empty=process is not None and not process.core.replicas,
                    )
                )
            if answers and machine.place:
                self._seen[machine.volume.node_id] = now
        seconds = SECONDS_PER_LEASE / cluster.scenario.settings.lease
        down = {node: (now - self._seen.setdefault(node, now)) * seconds for node in self.catalog.map.nodes}
        return Observed(nodes=tuple(nodes), bootstrapped=True, map=self.catalog.map, seconds_down=down)

    def plan(self) -> tuple[list[Action], list[Note]]:
        """What the operator's planners say of what is there now."""
        desired, observed = Desired(self.declared), self.observe()
        steps = [
            *plan_places(desired, observed),
            *plan_processes(desired, observed),
            *plan_repairs(desired, observed),
            *plan_splits(desired, observed),
        ]
        if not any(isinstance(step, SetTarget | MarkLeft) for step in steps):
            steps += plan_masters(observed)
        kinds = AddNode | StartNode | StopNode | RemoveNode | SetTarget | MarkLeft | PlanSplit
        actions: list[Action] = [step for step in steps if isinstance(step, kinds)]
        return actions, [step for step in steps if isinstance(step, Note)]

    # -- carrying out -----------------------------------------------------------------------------------------------

    def _take_office(self) -> None:
        self._life += 1
        reply = self.catalog.execute(commands.Fence(f"operator-{self._life}", self._life))
        self._fence = reply.fence

    def _rest(self) -> None:
        lease = self.cluster.scenario.settings.lease
        self.cluster.timeline.after(lease // 6 + self.random.randrange(lease // 4), self._round)

    def _round(self) -> None:
        self.demand_nobody_counts_on_removed()
        if self.cluster.locks.away:
            self._rest()
            return
        actions, _ = self.plan()
        self._carry_out(actions, self._life, self._fence)

    def _carry_out(self, actions: list[Action], life: int, fence: int) -> None:
        if actions and not self.cluster.locks.away:
            self._do(actions[0], fence)
        actions = actions[1:]
        in_office = life == self._life
        if in_office and actions and not self.cluster.is_healed and self.random.random() < 0.1:
            self.cluster.coverage["operator killed"] += 1
            if not self.cluster.locks.away:
                self._take_office()
            self._rest()
            if self.random.random() < 0.5:
                return
            in_office = False
        if actions:
            slow = self.cluster.scenario.settings.lease // 2
            pause = 200 + self.random.randrange(self.random.choice((500, 500, 20_000)) if in_office else slow)
            self.cluster.timeline.after(pause, self._carry_out, actions, life, fence)
        elif in_office:
            self._rest()

    def _do(self, action: Action, fence: int) -> None:
        catalog = self.catalog
        match action:
            case AddNode(name=name, zone=zone):
                self._add(name, zone)
            case StopNode(name=name):
                self._stop(name)
            case StartNode(name=name):
                self._start(name)
            case RemoveNode(name=name):
                self._remove(name)
            case MarkLeft(node=node, only_if_empty=only_if_empty):
                catalog.execute(commands.NodeLeft(node, fence, only_if_empty))
            case SetTarget(partition=partition, target=target) if self._would_die_of_it(partition, list(target)):
                self.cluster.coverage["move towards a loss put off"] += 1
            case SetTarget(partition=partition, target=target):
                self.cluster.coverage["log-only wished"] += any(spec.role == "log-only" for spec in target)
                catalog.execute(commands.SetTarget(partition, list(target), fence))
            case PlanSplit(partition=partition, at=at, reason=reason):
                catalog.execute(commands.PlanSplit(partition, at, reason, fence))
                self._demand_no_more_than_asked_for(partition)
            case _:
                raise AssertionError(action)

    def _would_die_of_it(self, partition: PartitionId, target: list[commands.ReplicaSpec]) -> bool:
        """Would the group, changed so, miss a volume that is lost already, though nobody has noticed?

        Its master, who has not either, would append a change that never commits (docs/simulation.md, What is open).
        """
        entry = self.catalog.map.partitions.get(partition)
        if entry is None or self.cluster.lost_nodes.isdisjoint(spec.node for spec in target):
            return False
        zones = {node.id: node.zone for node in self.catalog.map.nodes.values()}
        places = [ReplicaTarget(ReplicaId(n), one.node, zones[one.node], one.role) for n, one in enumerate(target, 1)]
        return not can_go_on(msgspec.structs.replace(entry, members=places), self.cluster.lost_nodes)

    def _add(self, name: str, zone: str) -> None:
        if any(machine.place == name for machine in self.cluster.machines):
            return
        machine = next((m for m in self.cluster.machines if not m.place), None)
        if machine is not None:
            self.cluster.coverage["node added"] += 1
            machine.place, machine.zone, machine.is_absent = name, zone, False
            self.cluster.start(machine)

    def _stop(self, name: str) -> None:
        machine = next((m for m in self.cluster.machines if m.place == name), None)
        if machine is not None:
            machine.is_stopped = True
            if machine.process is not None:
                machine.process.stop(power=False)

    def _start(self, name: str) -> None:
        machine = next((m for m in self.cluster.machines if m.place == name and m.is_stopped), None)
        if machine is not None:
            self.cluster.coverage["node stopped and wanted again"] += 1
            machine.is_stopped = False
            self.cluster.start(machine)

    def _remove(self, name: str) -> None:
        machine = next((m for m in self.cluster.machines if m.place == name), None)
        if machine is None:
            return
        entry = self.catalog.map.nodes.get(machine.volume.node_id)
        if machine.process is not None and (entry is None or entry.state != "left"):
            # What an operator planned who is not in office any more: the volume of a process that runs stays.
            self.cluster.coverage["removal refused"] += 1
        else:
            self.cluster.coverage["node removed"] += 1
            self.removed.add(machine.volume.node_id)
            self.demand_nobody_counts_on_removed()
            self.cluster.take_away(machine)

    # -- what must hold ---------------------------------------------------------------------------------------------

    def demand_nobody_counts_on_removed(self) -> None:
        """A node that was taken away is a member of nothing, nor will be of what a split is about to make."""
        for partition, ledger in self.cluster.checker.ledgers.items():
            membership = ledger.membership_at(ledger.last_lsn)
            held = [m for m in membership.members if m.node in self.removed] if membership else []
            demand(not held, "a node was taken away that a group counts on", (partition, membership))
        for left, split, _ in self.catalog.splits.unborn():
            held_by_split = [m for m in split.members if m.node in self.removed]
            demand(not held_by_split, "a node was taken away that a split counts on", (left, split))

    def _entries(self, table: PartitionId) -> list[PartitionEntry]:
        return [e for e in self.catalog.map.partitions.values() if e.id != CATALOG_PARTITION and e.table == f"t{table}"]

    def _demand_no_more_than_asked_for(self, partition: PartitionId) -> None:
        table = self.catalog.groups[partition].table
        entries = self._entries(table)
        count = len(entries) + sum(entry.split is not None and not entry.split.done for entry in entries)
        most = self.most.get(table, 1) + self.requested[table]
        demand(count <= most, "more partitions than were asked for", (table, count, most))

    def waits(self) -> list[str]:
        """What is left to do when all faults have ended, in words."""
        actions, notes = self.plan()
        found = [f"still to do: {action}" for action in actions]
        for number in range(self.cluster.scenario.partitions):
            table = PartitionId(number + 1)
            definition = self.catalog.map.tables[f"t{table}"]
            wanted = partitions_for(definition.read_units, definition.write_units, PartitionLimits())
            if len(self._entries(table)) < wanted:
                found.append(f"t{table} has {len(self._entries(table))} partitions of {wanted}")
        gone = shape(Desired(self.declared), self.observe())
        if gone.go and not gone.refusal:
            found.append(f"{[node.name for node in gone.go]} are not away yet")
        found += self._out_of_level()
        return [f"{one} ({'; '.join(note.message for note in notes)})" for one in found]

    def _out_of_level(self) -> list[str]:
        """Nodes that hold more or less than the quota table gives them, by more than the one replica of the catalog's
        group, which is not moved for the level."""
        cluster_map = self.catalog.map
        sites = sites_of(list(cluster_map.nodes.values()), PlacementRule())
        entries = list(cluster_map.partitions.values())
        ledger = ledger_of(entries)
        shapes = Counter(len(entry.target) for entry in entries)
        quotas = quotas_of(shapes, sites, ledger.replicas, ledger.masters)
        held = {site.node: ledger.replicas.get(site.node, 0) for site in sites}
        return [
            f"{node} holds {held[node]} replicas, its quota is {quota.replicas}"
            for node, quota in quotas.nodes.items()
            if held[node] > level_enough(quota.replicas) + 1 or quota.replicas > level_enough(held[node]) + 1
        ]
