"""Carries out a fault schedule. Each fault counts when it really does something.

Adding a fault: a letter in scenario.WEIGHTS, a function here, a row in docs/simulation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from keystead_core.ids import NO_REPLICA, Micros
from keystead_core.replication import events as ev
from tests.sim.scenario import Fault

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster
    from tests.sim.machine import Machine, Process


class Nemesis:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def begin(self) -> None:
        for fault in (*self.cluster.scenario.faults, *self.cluster.scenario.splits):
            self.cluster.timeline.at(fault.at, self._strike, fault)

    def _strike(self, fault: Fault) -> None:
        if self.cluster.timeline.now >= self.cluster.scenario.faults_end:
            return
        cluster = self.cluster
        if cluster.trace.verbose:
            cluster.trace.line(cluster.timeline.now, cluster.timeline.current, 0, "FAULT", str(fault))
        cluster.trace.update(fault.kind.encode())
        STRIKES[fault.kind](self, fault)

    # -- who -----------------------------------------------------------------------------------------------------

    def _victim(self, a: float) -> Machine:
        """Any machine; half of the time one that masters a group."""
        machines = self.cluster.machines
        if a >= 0.5:
            masters = [m for m in machines if m.process and any(r.mastership for r in m.process.core.replicas.values())]
            machines = masters or machines
        return machines[int(a * 7919) % len(machines)]

    def _later(self, fault: Fault, call: Callable[..., None], *args: object) -> None:
        self.cluster.timeline.after(fault.lasts, call, *args)

    # -- processes ------------------------------------------------------------------------------------------------

    def crash(self, fault: Fault) -> None:
        """Kill -9 or power loss; now, or at the next moment that hurts."""
        machine = self._victim(fault.a)
        if machine.process is None:
            return
        if fault.c < 0.4:
            machine.trap = "persist" if fault.c < 0.2 else "synced"
            self.cluster.timeline.after(fault.lasts, self._disarm, machine)
            return
        self.cluster.crash(machine, power=fault.b < 0.5, down_for=fault.lasts)

    def tear(self, fault: Fault) -> None:
        """Power loss in the middle of a write: what was not synced is lost or torn."""
        machine = self._victim(fault.a)
        if machine.process is None:
            return
        if fault.b < 0.3 and machine.volume.pending:
            self.cluster.crash(machine, power=True, down_for=fault.lasts)
            return
        machine.trap = "persist"
        self.cluster.timeline.after(fault.lasts + self.cluster.scenario.settings.lease, self._disarm, machine)

    def _disarm(self, machine: Machine) -> None:
        machine.trap = ""

    def pause(self, fault: Fault) -> None:
        machine = self._victim(fault.a)
        process = machine.process
        if process is None or process.paused:
            return
        self.cluster.count("P")
        process.paused = True
        if self.cluster.scenario.settings.reads == "quorum" and fault.b < 0.5:
            self._later(fault, self._thaw, machine, process, machine.clock(self.cluster.timeline.now))
        else:
            self._later(fault, process.resume)

    def _thaw(self, machine: Machine, process: Process, clock: Micros) -> None:
        """The machine was frozen whole, as a snapshot is: its clock stood still. Leases do not bear it, quorums do."""
        if machine.process is process and process.paused:
            machine.offset, machine.since = clock, self.cluster.timeline.now
        process.resume()

    # -- network --------------------------------------------------------------------------------------------------

    def partition(self, fault: Fault) -> None:
        """Cuts one machine, or two random halves, from each other."""
        machines = self.cluster.machines
        if fault.b < 0.5:
            side = {self._victim(fault.a).index}
        else:
            side = {m.index for m in machines if int(fault.c * (1 << 30)) >> m.index & 1}
        pairs = {(a.index, b.index) for a in machines for b in machines if (a.index in side) != (b.index in side)}
        self._cut(fault, self.cluster.network.cut, pairs)

    def one_way(self, fault: Fault) -> None:
        machines = self.cluster.machines
        victim = self._victim(fault.a).index
        others = [m.index for m in machines if m.index != victim]
        if fault.c < 0.4:
            others = others[: 1 + int(fault.c * 10) % len(others)]
        pairs = {(victim, other) if fault.b < 0.5 else (other, victim) for other in others}
        self._cut(fault, self.cluster.network.one_way, pairs)

    def _cut(self, fault: Fault, cuts: set[tuple[int, int]], pairs: set[tuple[int, int]]) -> None:
        new = pairs - cuts
        cuts |= new
        if fault.b * 100 % 1 < 0.5:
            for a, b in sorted(new):
                self.cluster.reset_connection(a, b)
        self._later(fault, cuts.difference_update, new)

    def delay(self, fault: Fault) -> None:
        self.cluster.network.delay_max = int(self.cluster.scenario.settings.lease * fault.a)
        self._later(fault, self._undelay)

    def _undelay(self) -> None:
        self.cluster.network.delay_max = 0

    def double(self, fault: Fault) -> None:
        self.cluster.network.double = fault.a * 0.5
        self._later(fault, self._undouble)

    def _undouble(self) -> None:
        self.cluster.network.double = 0.0

    def lose(self, fault: Fault) -> None:
        self.cluster.network.loss = fault.a * 0.4
        self._later(fault, self._unlose)

    def _unlose(self) -> None:
        self.cluster.network.loss = 0.0

    def mix_versions(self, fault: Fault) -> None:
        """One machine speaks a later version of the protocol: fields more, kinds more."""
        machine = self._victim(fault.a)
        self.cluster.network.newer.add(machine.index)
        self._later(fault, self.cluster.network.newer.discard, machine.index)

    # -- clocks ---------------------------------------------------------------------------------------------------

    def clock(self, fault: Fault) -> None:
        """The rate changes within the drift bound; or the wall clock jumps, which must not matter."""
        machine = self._victim(fault.a)
        bound = self.cluster.scenario.settings.drift_ppm
        self.cluster.count("K")
        if fault.c < 0.3:
            machine.wall_jump = int((fault.b - 0.5) * 20_000_000)
            return
        rate = 0 if fault.b < 0.35 else bound if fault.b > 0.65 else int(bound * fault.c)
        machine.set_rate(self.cluster.timeline.now, rate)

    # -- disks and volumes ----------------------------------------------------------------------------------------

    def slow_disk(self, fault: Fault) -> None:
        machine = self._victim(fault.a)
        self.cluster.count("S")
        if fault.b < 0.5:
            machine.stalled_until = self.cluster.timeline.now + fault.lasts
        else:
            machine.sync_micros = 30_000
            self._later(fault, self._unslow, machine)

    def _unslow(self, machine: Machine) -> None:
        machine.sync_micros = 500

    def fill_disk(self, fault: Fault) -> None:
        machine = self._victim(fault.a)
        self.cluster.count("E")
        machine.is_full = True
        if machine.process is not None:
            machine.process.measure_room()
        self._later(fault, self._unfill, machine)

    def _unfill(self, machine: Machine) -> None:
        machine.is_full = False
        if machine.process is not None:
            machine.process.measure_room()

    def flip_bits(self, fault: Fault) -> None:
        """A bit of a block of the hot log, or of a sealed segment, is another from now on."""
        machine = self._victim(fault.a)
        volume = machine.volume
        if not self.cluster.may_strike(machine):
            return
        segments = [(files, name) for _, files in sorted(volume.segments.items()) for name in files.names()]
        if segments and fault.b < (0.6 if self.cluster.scenario.theme == "storage" else 0.3):
            files, name = segments[int(fault.c * len(segments))]
            files.rot(name, fault.a * 97 % 1)
        else:
            used = [place for place, content in enumerate(volume.disk.blocks) if content[0]]
            if not used or not volume.disk.rot(used[int(fault.c * len(used))], int(fault.b * 4096 * 8)):
                return
        volume.struck = True
        self.cluster.count("B")

    def misdirect(self, fault: Fault) -> None:
        """A block of the next batch lands elsewhere."""
        machine = self._victim(fault.a)
        if machine.process is not None and self.cluster.may_strike(machine):
            machine.volume.struck = True
            machine.volume.disk.lead_astray(fault.b, fault.c)

    def _bears_loss_of(self, machine: Machine) -> bool:
        """Does one good copy of everything stay, whatever may be damaged elsewhere?"""
        others_sound = all(self.cluster.is_sound(m) for m in self.cluster.machines if m is not machine)
        return others_sound and self.cluster.catalog.bears_loss_of(machine.volume.node_id)

    def lose_volume(self, fault: Fault) -> None:
        machine = self._victim(fault.a)
        if self._bears_loss_of(machine):
            self.cluster.count("volume lost")
            self.cluster.lose_volume(machine, fault.lasts)

    def roll_back(self, fault: Fault) -> None:
        """The volume is what it was when this process, or the one before it, started."""
        machine = self._victim(fault.a)
        bears = self._bears_loss_of(machine)
        if machine.old_copy is not None and machine.process is not None and bears and not self.cluster.locks.away:
            self.cluster.count("volume rolled back")
            self.cluster.roll_back(machine, fault.lasts)

    def attach_twice(self, fault: Fault) -> None:
        """An old copy of the volume runs beside the process that holds it; all who run have seen the later start.

        Where somebody has not, only the catalog's word keeps the copy out: that is not simulated.
        """
        machine = self._victim(fault.a)
        process = machine.process
        if process is None or machine.old_copy is None or process.is_clone:
            return
        others = [m.process for m in self.cluster.machines if m is not machine]
        if all(o is not None and o.core.boots.get(process.node_id) == process.boot for o in others):
            self.cluster.count("volume attached twice")
            self.cluster.attach_twice(machine, fault.lasts)

    # -- the rest -------------------------------------------------------------------------------------------------

    def change_members(self, fault: Fault) -> None:
        """A new target, a hand-over, or a node in maintenance for a while."""
        if fault.c < 0.55 and self.cluster.scenario.theme != "leases":
            if self.cluster.catalog.change_at_random(fault.a, fault.b):
                self.cluster.count("R")
        elif fault.c < 0.8:
            self._hand_over(fault)
        else:
            machine = self._victim(fault.a)
            if machine.process is not None:
                self.cluster.count("R")
                machine.process.deliver(ev.Maintain())
                self._later(fault, self._resume, machine)

    def _hand_over(self, fault: Fault) -> None:
        for machine in self.cluster.machines:
            if machine.process is None:
                continue
            for partition, replica in machine.process.core.replicas.items():
                if replica.mastership is not None:
                    self.cluster.count("R")
                    machine.process.deliver(ev.HandOver(partition, NO_REPLICA))
                    return

    def _resume(self, machine: Machine) -> None:
        if machine.process is not None:
            machine.process.deliver(ev.Resume())

    def split(self, fault: Fault) -> None:
        """The catalog plans to divide a partition at one of its keys."""
        self.cluster.catalog.splits.plan_at_random(fault.a, fault.b)

    def hide_locks(self, fault: Fault) -> None:
        self.cluster.locks.away = True
        self._later(fault, self._show_locks)

    def _show_locks(self) -> None:
        self.cluster.locks.away = False


STRIKES: dict[str, Callable[[Nemesis, Fault], None]] = {
    "C": Nemesis.crash,
    "P": Nemesis.pause,
    "N": Nemesis.partition,
    "A": Nemesis.one_way,
    "K": Nemesis.clock,
    "D": Nemesis.delay,
    "U": Nemesis.double,
    "L": Nemesis.lose,
    "B": Nemesis.flip_bits,
    "T": Nemesis.tear,
    "M": Nemesis.misdirect,
    "E": Nemesis.fill_disk,
    "S": Nemesis.slow_disk,
    "R": Nemesis.change_members,
    "V": Nemesis.mix_versions,
    "X": Nemesis.hide_locks,
    "split": Nemesis.split,
    "volume lost": Nemesis.lose_volume,
    "volume rolled back": Nemesis.roll_back,
    "volume attached twice": Nemesis.attach_twice,
}
