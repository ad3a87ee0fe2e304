"""A whole run: machines, network, locks, catalog, clients and faults on one timeline, from one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from keystead_core.hosting import Hosted
from keystead_core.ids import NO_REPLICA, Lsn, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.replication import events as ev
from keystead_core.replication.membership import Membership, founding_membership
from keystead_core.replication.membership_steps import next_steps
from keystead_core.replication.replica import Replica
from keystead_node.errors import NotMaster
from tests.histories.operations import Operation
from tests.histories.register import check_registers
from tests.sim.catalog import Catalog, Group
from tests.sim.checker import Checker
from tests.sim.clients import Client
from tests.sim.disk import SimDisk
from tests.sim.locks import LockService
from tests.sim.machine import Machine, Process
from tests.sim.nemesis import Nemesis
from tests.sim.network import Network
from tests.sim.quorums import is_durable, is_failover_quorum
from tests.sim.scenario import VOLUME_FAULTS, Scenario
from tests.sim.steered import SteeredCatalog
from tests.sim.timeline import Timeline
from tests.sim.trace import Trace
from tests.sim.violation import Violation, demand
from tests.sim.volume import Volume

WALL_CLOCK_START = 1_700_000_000_000_000


class Result(msgspec.Struct):
    """What a run did. `failure`: '' or the violated check; `story`: what happened, for a person."""

    seed: int
    failure: str
    story: str
    events: int
    trace_hash: str
    faults: dict[str, int]
    coverage: dict[str, int]
    outcomes: dict[str, int]
    elections: int
    committed: int
    virtual_micros: Micros


class Cluster:
    def __init__(self, scenario: Scenario, trace: Trace | None = None) -> None:
        self.scenario = scenario
        self.trace = trace or Trace(verbose=False)
        self.timeline = Timeline()
        self._streams = 0
        self._values = 0
        self._tokens = 0
        self._nodes = 0
        self.faults: Counter[str] = Counter()
        self.coverage: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.history: list[Operation] = []
        self.clients_stopped = False
        self.is_healed = False
        self.lost_nodes: set[NodeId] = set()
        self.clones: list[Process] = []
        self.count = self._count
        self.checker = Checker(self)
        self.network = Network(self, self.random_for("network"))
        self.locks = LockService()
        self.random = self.random_for("cluster")
        self.machines = [
            Machine(index, f"z{index % scenario.zones}", self.new_volume(None))
            for index in range(scenario.nodes + scenario.spares)
        ]
        self.by_node: dict[NodeId, Machine] = {m.volume.node_id: m for m in self.machines}
        kind = SteeredCatalog if scenario.is_steered else Catalog
        self.catalog = kind(self, self.random_for("catalog"))
        self.nemesis = Nemesis(self)

    # -- what the seed gives --------------------------------------------------------------------------------------

    def random_for(self, purpose: str) -> Random:
        """A stream of its own for each user, all from the seed."""
        self._streams += 1
        return Random(f"{self.scenario.seed}/{purpose}/{self._streams}")

    def identity_of_new(self, _old: Volume | None) -> NodeId:
        self._nodes += 1
        return NodeId(f"{self._nodes:016x}")

    def new_volume(self, old: Volume | None) -> Volume:
        """An empty volume always gets a new node id. On the disk of an `old` one its blocks may still stand."""
        disk = SimDisk(self.scenario.geometry.total_blocks)
        if old is not None and self.random.random() < 0.5:
            disk.blocks = list(old.disk.blocks)
        return Volume(self.identity_of_new(old), self.random_for("volume"), self.scenario.geometry, disk)

    def next_value(self) -> int:
        self._values += 1
        return self._values

    def next_token(self) -> int:
        self._tokens += 1
        return self._tokens

    def _count(self, fault: str) -> None:
        self.faults[fault] += 1
        if fault in (*VOLUME_FAULTS, "B", "M") and self.catalog.splits.in_flight():
            self.coverage[f"{fault} while splitting"] += 1

    def wall_clock(self, machine: Machine) -> Micros:
        return WALL_CLOCK_START + self.timeline.now + machine.wall_jump

    # -- processes and volumes ------------------------------------------------------------------------------------

    def start(self, machine: Machine) -> None:
        if machine.process is not None or machine.is_absent or machine.is_stopped:
            return
        for clone in list(self.clones):
            self._end_clone(clone)
        machine.trap = ""
        machine.old_copy = machine.volume.copy()
        machine.offset, machine.since = self.random.randrange(1, 1 << 40), self.timeline.now
        machine.process = Process(self, machine)
        machine.process.start()
        if machine.process is not None and machine.volume.node_id in self.lost_nodes:
            self.timeline.after(self.scenario.settings.lease // 3, self._refuse_by_catalog, machine, machine.process)

    def crash(self, machine: Machine, power: bool, down_for: Micros) -> None:
        process = machine.process
        if process is None:
            return
        if self.scenario.live and (self.catalog.is_short() or not all(self.is_sound(m) for m in self.machines)):
            power = False  # A torn batch beside a lost or damaged volume may leave no quorum that can decide.
        self.count("C")
        if self.trace.verbose:
            self.trace.line(self.timeline.now, self.timeline.current, 0, process.name, f"CRASH power={power}")
        if process.stop(power):
            self.count("T")
        machine.trap = ""
        if not power or self.random.random() < 0.3:
            for other in self.machines:
                if other is not machine:
                    self.reset_connection(machine.index, other.index)
        self.timeline.after(down_for, self.start, machine)

    def spring_trap(self, machine: Machine) -> None:
        """The machine dies at the very moment that the trap waited for."""
        self.crash(machine, power=True, down_for=self.scenario.settings.lease // 3)

    def reset_connection(self, a: int, b: int) -> None:
        for here, there in ((a, b), (b, a)):
            process = self.machines[here].process
            if process is not None and self.machines[there].volume.node_id in self.by_node:
                lost = ev.PeerLost(self.machines[there].volume.node_id)
                self.timeline.after(self.network.latency(), process.deliver, lost)

    def renounce(self, machine: Machine) -> None:
        """The process was told that its volume is old: it comes back as a new node."""
        process = machine.process
        assert process is not None
        self.coverage["renounced"] += 1
        process.stop(power=False)
        if process.is_clone:
            self.clones.remove(process)
            return
        self._forget(machine)
        self.timeline.after(self.scenario.settings.lease // 4, self.start, machine)

    def lose_volume(self, machine: Machine, down_for: Micros) -> None:
        if machine.process is not None:
            machine.process.stop(power=True)
        self._forget(machine)
        self.timeline.after(down_for, self.start, machine)

    def take_away(self, machine: Machine) -> None:
        """The place is gone, with its process and its volume."""
        if machine.process is not None:
            machine.process.stop(power=False)
        self._forget(machine)
        machine.place, machine.is_absent, machine.is_stopped = "", True, False

    def _forget(self, machine: Machine) -> None:
        """An empty volume always gets a new node id."""
        old = machine.volume.node_id
        self.by_node.pop(old, None)
        self.lost_nodes.add(old)
        machine.volume = self.new_volume(machine.volume)
        machine.old_copy = None
        self.by_node[machine.volume.node_id] = machine

    def roll_back(self, machine: Machine, down_for: Micros) -> None:
        """The catalog, or any peer that saw the later start, refuses the node."""
        assert machine.process is not None and machine.old_copy is not None
        machine.process.stop(power=True)
        self.lost_nodes.add(machine.volume.node_id)
        machine.volume = machine.old_copy
        self.timeline.after(down_for, self.start, machine)

    def _refuse_by_catalog(self, machine: Machine, process: Process) -> None:
        """The catalog has seen the later start and says so within a lease, to whatever process runs on the volume."""
        if machine.volume is not process.volume:
            return
        if machine.process is not None:
            self.renounce(machine)
        else:
            self._forget(machine)

    def attach_twice(self, machine: Machine, lasts: Micros) -> None:
        """A process on an old copy, under the same node id, reaches the others; they refuse it."""
        assert machine.old_copy is not None
        twin = Machine(machine.index, machine.zone, machine.old_copy.copy())
        twin.offset, twin.since = self.random.randrange(1, 1 << 40), self.timeline.now
        clone = Process(self, twin)
        clone.is_clone = True
        twin.process = clone
        self.clones.append(clone)
        clone.start()
        self.timeline.after(min(lasts, self.scenario.settings.lease // 2), self._end_clone, clone)

    def _end_clone(self, clone: Process) -> None:
        if clone.alive:
            clone.stop(power=True)
            self.clones.remove(clone)

    def may_strike(self, machine: Machine) -> bool:
        """Corruption leaves one good copy of everything: one machine at a time, and none that the rest needs.

        Where progress is demanded, a machine is to spare: what is damaged past repair is replaced on another.
        """
        to_spare = all(len(group.target) < len(self.machines) for group in self.catalog.groups.values())
        if self.scenario.live and not to_spare:
            return False
        others = [m for m in self.machines if m is not machine]
        return (
            all(self.is_sound(m) and not (self.scenario.live and self.is_torn(m)) for m in others)
            and (not machine.volume.struck or self.is_sound(machine))
            and self.catalog.bears_loss_of(machine.volume.node_id)
        )

    def is_sound(self, machine: Machine) -> bool:
        """Nothing on the volume is bad any more, and its replicas have recovered from what was."""
        volume, process = machine.volume, machine.process
        if not volume.struck:
            return True
        if process is None or not volume.is_sound:
            return False
        index = process.writer.hot_log.index
        return (
            not any(r.damage is not None or r.unfit for r in process.core.replicas.values())
            and not index.unknown
            and not any(tracked.damaged for tracked in index.partitions.values())
        )

    @staticmethod
    def is_torn(machine: Machine) -> bool:
        """Does a replica here ask others for what a power loss may have left half written?"""
        process = machine.process
        return process is None or any(r.damage is not None for r in process.core.replicas.values())

    # -- what the checks ask --------------------------------------------------------------------------------------

    def holders(self, partition: PartitionId, membership: Membership, lsn: Lsn, record_hash: int) -> list[ReplicaId]:
        """The eligible voters on whose volumes the record is durable, with all before it."""
        found = []
        for member in membership.voters:
            machine = self.by_node.get(member.node)
            log = machine.volume.durable.get(partition) if machine else None
            if log is None or log.state is None or log.state.replica != member.replica or log.state.ineligible:
                continue
            below_base = log.base.lsn >= lsn
            if below_base or (log.end >= lsn and log.hash_at(lsn) == record_hash):
                found.append(member.replica)
        return found

    # -- the run --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        for number in range(self.scenario.partitions):
            self.catalog.found(PartitionId(number + 1))
        for machine in self.machines:
            machine.rate_ppm = self.random.choice((0, self.scenario.settings.drift_ppm))
            self.start(machine)
        self.catalog.begin()
        self.nemesis.begin()
        for number in range(self.scenario.clients):
            Client(self, f"c{number}", self.random_for("client")).begin()

    def run(self, until: Micros | None = None) -> None:
        """Raises Violation, or what the core raises."""
        self.begin()
        end = self.scenario.faults_end
        self.timeline.run(min(end, until or end))
        if until is not None and until <= end:
            return
        self.heal()
        if self.scenario.live:
            self.demand_progress()
        else:
            self.timeline.run(end + 2 * self.scenario.settings.lease)
        self.check_history()

    def heal(self) -> None:
        """All faults end: everything runs and is connected, but for a machine at times that nobody needs."""
        self.network.heal()
        self.is_healed = True
        self.locks.away = False
        if self.scenario.live and self.random.random() < 0.5:
            self._leave_one_down()
        for machine in self.machines:
            if machine.is_absent:
                continue
            machine.trap = ""
            machine.sync_micros, machine.stalled_until, machine.is_full = 500, 0, False
            if machine.process is None:
                self.start(machine)
            elif machine.process.paused:
                machine.process.resume()
            if machine.process is not None:
                machine.process.deliver(ev.Resume())

    def _leave_one_down(self) -> None:
        if self.catalog.splits.in_flight() or self.scenario.is_steered:
            return
        machine = self.random.choice(self.machines)
        if not all(self._does_without(machine, partition) for partition in self.catalog.groups):
            return
        self.coverage["left down"] += 1
        if machine.process is not None:
            machine.process.stop(power=False)
        machine.is_absent = True

    def _does_without(self, absent: Machine, partition: PartitionId) -> bool:
        """Under every membership that may count, the others can lead, commit and judge what was committed."""
        group = self.catalog.groups[partition]
        memberships = [
            group.reported,
            founding_membership(group.target, group.write_quorum_min, group.durable_zones, 0),
        ]
        able = []
        for machine in self.machines:
            replica = machine.process.core.replicas.get(partition) if machine.process else None
            if replica is None or machine is absent or machine.volume.node_id in self.lost_nodes:
                continue
            memberships += [membership for _, membership in replica.log.memberships]
            if not replica.unfit and self.is_sound(machine):
                able.append(replica.id)
        memberships = [step for membership in memberships for step in self._steps_unaware(group, membership)]
        return all(is_durable(m, able) and is_failover_quorum(m, able) for m in memberships)

    def _steps_unaware(self, group: Group, membership: Membership) -> list[Membership]:
        """What a master may make of it that has not noticed yet who is gone: of a group of one, one of two; or who has
        not heard yet that its target is another one again."""
        machines = [machine.process.core for machine in self.machines if machine.process is not None]
        heard = [core.replicas[group.partition].target for core in machines if group.partition in core.replicas]
        found = [membership]
        for current in found:
            members = [m.replica for m in current.members]
            for target in [group.target, *filter(None, heard)]:
                for step in next_steps(current, target, current.epoch, members, members, NO_REPLICA):
                    if not current.refusal_of(step) and step.members not in [m.members for m in found]:
                        found.append(step)
        return found

    def demand_progress(self) -> None:
        """Within a bounded time each group serves, has reached its target, and all its logs are equal."""
        lease = self.scenario.settings.lease
        limit = self.timeline.now + 40 * lease
        waits = self.unfinished()
        while waits and self.timeline.now < limit:
            self.timeline.run(self.timeline.now + lease // 2)
            waits = self.unfinished()
            for machine in self.machines:
                if machine.process is not None and machine.process.core.maintaining:
                    machine.process.deliver(ev.Resume())
        demand(not waits, "no progress after healing", "; ".join(waits))
        self.clients_stopped = True
        self.timeline.run(self.timeline.now + 4 * lease)
        limit = self.timeline.now + 4 * lease
        while (apart := self.apart()) and self.timeline.now < limit:
            self.timeline.run(self.timeline.now + lease // 4)  # A mastership may just have been handed back.
        demand(not apart, "logs differ after healing", "; ".join(apart))

    def unfinished(self) -> list[str]:
        """What each group still lacks, in words."""
        waits = self.catalog.splits.waits()
        if isinstance(self.catalog, SteeredCatalog):
            waits += self.catalog.operator.waits()
        for partition, group in self.catalog.groups.items():
            serving = [
                (machine.process, r)
                for machine in self.machines
                if machine.process is not None
                for r in machine.process.core.replicas.values()
                if r.partition == partition and r.mastership is not None and r.mastership.serving
            ]
            if not serving:
                whys = [
                    f"{m.process.name}: {r.why or r.unfit or r.role}"
                    for m in self.machines
                    if m.process and (r := m.process.core.replicas.get(partition))
                ]
                waits.append(f"p{partition} has no master ({' | '.join(whys)})")
                continue
            process, master = max(serving, key=lambda found: found[1].epoch)
            refusal = process.core.read_refusal(partition, process.now)
            if refusal and self.scenario.settings.reads == "lease":
                waits.append(f"p{partition} serves no reads: {refusal}")
            membership = master.membership
            assert membership is not None
            nodes = {m.node for m in membership.members} | {t.node for t in group.target}
            if any(machine.is_absent and machine.volume.node_id in nodes for machine in self.machines):
                continue  # What it takes part in waits for it.
            if any(target.node in self.lost_nodes for target in group.target):
                continue  # There is no machine to replace it on.
            reached = {(m.replica, m.role) for m in membership.members}
            wanted = {(t.replica, t.role) for t in group.target}
            if reached != wanted and group.was_changed:
                waits.append(f"p{partition} is {sorted(reached)}, wanted {sorted(wanted)}, why: {master.why}")
        return waits

    def apart(self) -> list[str]:
        """Members whose log is not the master's, or whose rows are behind, when all is quiet."""
        found = []
        for partition in self.catalog.groups:
            ledger = self.checker.ledger(partition)
            for machine in self.machines:
                replica = machine.process.core.replicas.get(partition) if machine.process else None
                if replica is None or machine.process is None or self._was_never_taken_in(partition, replica):
                    continue
                if replica.log.last_lsn != ledger.last_lsn or replica.commit_lsn != ledger.last_lsn:
                    found.append(f"{machine.process.name} {replica!r}, committed {ledger.last_lsn}")
                elif not replica.is_log_only and replica.applied_lsn != ledger.last_lsn:
                    found.append(f"{machine.process.name} {replica!r} applied {replica.applied_lsn}")
                elif not replica.is_log_only and self._rows_end(machine.process, partition) != ledger.last_lsn:
                    found.append(f"{machine.process.name} {replica!r} has rows of another LSN")
                elif replica.unfit:
                    found.append(f"{machine.process.name} {replica!r} {replica.unfit}")
        return found

    def _was_never_taken_in(self, partition: PartitionId, replica: Replica) -> bool:
        """Left over from a change of members that did not come to be: it goes with the group's next one."""
        for machine in self.machines:
            master = machine.process.core.replicas.get(partition) if machine.process else None
            if master is not None and master.mastership is not None and master.mastership.serving:
                current = master.membership
                if current is not None and current.member(replica.id) is None:
                    return not Hosted.of(replica).is_out(current.version, current.epoch)
        return False

    @staticmethod
    def _rows_end(process: Process, partition: PartitionId) -> Lsn:
        """What is in the rows themselves, whatever the core believes of them."""
        try:
            return process.stores.rows_of(partition).applied_lsn
        except NotMaster:
            return 0

    def check_history(self) -> None:
        verdict = check_registers(self.history)
        demand(verdict.ok, "not linearizable", verdict.explanation)


def simulate(
    scenario: Scenario, until: Micros | None = None, echo: Callable[[str], None] | None = None, verbose: bool = False
) -> Result:
    """One run. Failures of any kind become a Result: a crash of the core is a failed seed."""
    trace = Trace(verbose or echo is not None, echo)
    cluster = Cluster(scenario, trace)
    failure, story = "", ""
    try:
        cluster.run(until)
    except Violation as violation:
        failure, story = violation.check, violation.story
    except AssertionError as error:
        failure, story = "assertion in the core", _where(error)
    except Exception as error:  # The outermost loop of a run: whatever the core raises is a finding.
        failure, story = f"crash: {type(error).__name__}", _where(error)
    checker = cluster.checker
    return Result(
        seed=scenario.seed,
        failure=failure,
        story=story,
        events=cluster.timeline.executed,
        trace_hash=trace.hash,
        faults=dict(sorted(cluster.faults.items())),
        coverage=dict(sorted(cluster.coverage.items())),
        outcomes=dict(sorted(cluster.outcomes.items())),
        elections=checker.elections,
        committed=sum(ledger.last_lsn for ledger in checker.ledgers.values()),
        virtual_micros=cluster.timeline.now,
    )


def _where(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-4:]
    trail = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames))
    return f"{error!r} in {trail}"
