"""A group that is given up while its old volumes come back: the real cores and the real catalog, and a hostile world.

Messages are late, lost and doubled, nodes crash and start again, the lost ones too, mostly cut off from the catalog.
The world checks what decision 12 promises: once another partition has the range, nobody takes a write in the old group;
and the log that is gone on from has all that was acknowledged after the loss, and before it as far as anybody has it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from keystead_core.catalog.commands import GoneNode, Recover, RegisterNode, ReportRetired
from keystead_core.cluster_map import PartitionEntry, Survivor
from keystead_core.hosting import founding_of
from keystead_core.ids import MILLISECOND, SECOND, Micros, NodeId
from keystead_core.log.record import Kind
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.node import Node
from keystead_core.replication.settings import Settings
from tests.catalog.cluster import CLUSTER, make_catalog, make_node
from tests.explore.disk import Disk

LOSS_AT = 3 * SECOND
END = 22 * SECOND
CUT_OFF = 12 * SECOND
"""For how long a lost volume that comes back mostly does not reach the catalog."""


class Violation(AssertionError):
    """Decision 12 does not hold."""


class Machine:
    """A volume, and the process over it, if one runs. `cut_until`: when the catalog can be reached again."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.id = make_node(number).id
        self.disk = Disk()
        self.core: Node | None = None
        self.starts = 0
        self.cut_until: Micros = 0
        self.woken_at: Micros = -1

    def start(self) -> None:
        world = self.world
        self.starts += 1
        boot = self.starts << 16
        found = [self.disk.recovered(world.old.id)] if self.disk.state is not None else []
        self.core = Node(Settings(lock="none"), self.id, boot, found, world.now, world.random.getrandbits(30))
        self.carry_out(self.core, self.core.start(world.now))
        self.later(world.random.randrange(200) * MILLISECOND, self.register)
        self.later(0, self.follow)

    def stop(self) -> None:
        self.core = None
        self.disk.crash(self.world.random.randint(0, len(self.disk.waiting)))

    def later(self, delay: Micros, call: Callable[..., None], *arguments: Any) -> None:
        """In this process, if it still runs."""
        core = self.core
        self.world.after(delay, lambda: call(*arguments) if self.core is core else None)

    def step(self, event: ev.Event) -> None:
        core = self.core
        if core is not None:
            self.carry_out(core, core.step(event, self.world.now))

    def carry_out(self, core: Node, effects: list[ef.Effect]) -> None:
        for effect in effects:
            match effect:
                case ef.Send():
                    self.world.send(self, effect.to, effect.message)
                case ef.Persist():
                    self.disk.write(effect.sequence, effect.entries)
                    self.later(self.world.random.randrange(1, 4) * MILLISECOND, self.sync)
                case ef.Apply():
                    self.world.on_apply(self, core, effect)
                    self.later(0, self.step, ev.Applied(effect.partition, effect.records[-1].lsn))
                case ef.Retired():
                    self.world.on_retired(self, core, effect)
                case _:
                    pass
        self.wake()

    def sync(self) -> None:
        self.step(ev.Synced(self.disk.sync_first()))

    def wake(self) -> None:
        at = self.core.deadline() if self.core is not None else None
        if at is not None and (self.woken_at < self.world.now or at < self.woken_at):
            self.woken_at = max(at, self.world.now)
            self.later(self.woken_at - self.world.now, self.tick)

    def tick(self) -> None:
        self.woken_at = -1
        self.step(ev.Tick())

    # -- what a node does with the catalog --------------------------------------------------------------------------

    def register(self) -> None:
        if self.world.now < self.cut_until:
            self.later(300 * MILLISECOND, self.register)
            return
        reply = self.world.catalog.apply(RegisterNode(CLUSTER, make_node(self.number, boot=self.starts)))
        if reply.error:
            self.core = None  # It renounces its identity.
        else:
            self.later(self.world.latency(), self.step, ev.Registered())

    def follow(self) -> None:
        """The map as it is now, seen a little later; then again."""
        if self.world.now >= self.cut_until:
            self.later(self.world.random.randrange(1, 400) * MILLISECOND, self.react, self.world.entry)
        self.later(250 * MILLISECOND, self.follow)

    def react(self, entry: PartitionEntry) -> None:
        recovery, core = entry.recovery, self.core
        assert core is not None
        named = next((place.replica for place in self.world.old.members if place.node == self.id), None)
        if recovery is None:
            if named is not None and entry.id not in core.replicas:
                self.step(ev.HostReplica(entry.id, named, founding_of(entry)))
        elif not recovery.old and self.id not in recovery.heard:
            self.step(ev.Retire(entry.id, named or 0))  # type: ignore[arg-type]


class World:
    """A group of 3 or 5 of six nodes. `old`: its partition as it was founded; `acked_before` and `acked`: what was
    acknowledged before and after the loss, by LSN; `logs`: what nodes had when they said that they were out."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now: Micros = 0
        self.catalog = make_catalog(6)
        (self.old,) = self.catalog.make_table(partitions=1, replicas=self.random.choice((3, 5)))
        self.acked: dict[int, int] = {}
        self.acked_before: dict[int, int] = {}
        self.logs: dict[NodeId, dict[int, int]] = {}
        self._heap: list[tuple[Micros, int, Callable[[], None]]] = []
        self._numbers = 0
        self.machines = {machine.id: machine for machine in (Machine(self, number) for number in range(1, 7))}
        voters = [place.node for place in self.old.members]
        self.random.shuffle(voters)
        majority = len(voters) // 2 + 1
        self.lost, self.left = voters[:majority], [node for node in self.machines if node not in voters[:majority]]

    @property
    def entry(self) -> PartitionEntry:
        """What has the range by now."""
        return self.catalog.partitions("orders")[0]

    @property
    def is_chosen(self) -> bool:
        return self.entry.id != self.old.id

    def run(self) -> None:
        """Raises Violation."""
        for machine in self.machines.values():
            machine.start()
        self.after(SECOND, self.write)
        self.after(LOSS_AT - self.random.randrange(SECOND), self.crash_somebody)
        self.after(LOSS_AT, self.lose)
        while self._heap and self.now < END:
            self.now, _, call = heapq.heappop(self._heap)
            call()
        if not self.is_chosen:
            raise Violation("nothing was gone on with")
        source = self.entry.recovery.source if self.entry.recovery is not None else None
        assert source is not None
        log = self.logs[source.node]
        kept = {pair for node, found in self.logs.items() if node in self.left for pair in found.items()}
        for lsn, hash_ in [*self.acked.items(), *(pair for pair in self.acked_before.items() if pair in kept)]:
            if log.get(lsn) != hash_:
                raise Violation(f"record {lsn} was acknowledged beside the log that is gone on from")

    def after(self, delay: Micros, call: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._heap, (self.now + delay, self._numbers, call))

    def latency(self) -> Micros:
        late = self.random.random() < 0.05
        return self.random.randrange(100, 400_000 if late else 4_000)

    def send(self, machine: Machine, to: NodeId, message: Any) -> None:
        target, core = self.machines.get(to), machine.core
        if target is None or core is None or self.random.random() < 0.04:
            return
        for _ in range(2 if self.random.random() < 0.05 else 1):
            self.after(self.latency(), lambda: target.step(ev.Received(machine.id, core.boot, message)))

    def write(self) -> None:
        """A client of whoever leads, in the old group only."""
        for machine in self.machines.values():
            if machine.core is not None and machine.core.mastered_epoch(self.old.id):
                machine.step(ev.Propose(self.old.id, [(self._numbers, Kind.DATA, b"%d" % self._numbers)]))
        self.after(self.random.randrange(5, 60) * MILLISECOND, self.write)

    # -- faults -----------------------------------------------------------------------------------------------------

    def crash_somebody(self) -> None:
        """So that some are behind, or not registered yet, when the others are lost."""
        machine = self.machines[self.random.choice(list(self.machines))]
        machine.stop()
        if machine.id in self.left:
            self.after(self.random.randrange(1, 3000) * MILLISECOND, machine.start)

    def lose(self) -> None:
        """The majority is gone, a person says so, and then it comes back."""
        boots = {node: self.catalog.state.map().nodes[node].boot for node in self.lost}
        for node in self.lost:
            self.machines[node].stop()
        gone = [GoneNode(node, boots[node]) for node in self.lost]
        self.catalog.accept(Recover(self.old.id, gone, 1.0))
        for node in self.lost:
            machine = self.machines[node]
            if self.random.random() < 0.8:
                machine.cut_until = self.now + self.random.randrange(CUT_OFF)
            self.after(self.random.randrange(1, 3000) * MILLISECOND, machine.start)
        for _ in range(self.random.randrange(3)):
            self.after(self.random.randrange(8 * SECOND), self.crash_a_survivor)

    def crash_a_survivor(self) -> None:
        machine = self.machines[self.random.choice(self.left)]
        machine.stop()
        if self.random.random() < 0.3:
            machine.cut_until = self.now + self.random.randrange(3 * SECOND)
        self.after(self.random.randrange(1, 500) * MILLISECOND, machine.start)

    # -- what must hold ---------------------------------------------------------------------------------------------

    def on_apply(self, machine: Machine, core: Node, effect: ef.Apply) -> None:
        """A master that applies its records has acknowledged them; what it inherits, others had acknowledged."""
        replica = core.replicas[effect.partition]
        if replica.mastership is None:
            return
        if self.is_chosen:
            raise Violation(f"{machine.id} takes writes in the old group, beside partition {self.entry.id}")
        acked = self.acked if self.now >= LOSS_AT else self.acked_before
        acked.update((record.lsn, record.hash) for record in effect.records)

    def on_retired(self, machine: Machine, core: Node, effect: ef.Retired) -> None:
        replica = core.replicas.get(effect.partition)
        if replica is not None:
            self.logs[machine.id] = {r.lsn: r.hash for r in replica.log.range(1, replica.log.last_lsn)}
        said = Survivor(machine.id, effect.last.epoch, effect.last.lsn, effect.has_rows)
        machine.later(self.latency(), self.report, machine, said)

    def report(self, machine: Machine, said: Survivor) -> None:
        if self.now >= machine.cut_until:
            self.catalog.apply(ReportRetired(self.old.id, said))
