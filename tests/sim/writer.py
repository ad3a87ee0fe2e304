"""The simulated log writer: the real group commit and hot log over the simulated disk, one sync under way at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead_core.ids import MILLISECOND
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_node.group_commit import Batch, GroupCommit
from keystead_node.storage.hot_log import HotLog, HotLogFull

if TYPE_CHECKING:
    from tests.sim.machine import Process

FULL_PAUSE = 20 * MILLISECOND


class Writer:
    def __init__(self, process: Process, hot_log: HotLog) -> None:
        self.hot_log = hot_log
        self._process = process
        self._group = GroupCommit(hot_log)
        self._busy = False

    def persist(self, effect: ef.Persist) -> None:
        self._group.add(effect.sequence, effect.entries)
        self._process.volume.pending.extend(effect.entries)
        if not self._busy:
            self._busy = True
            self._begin()

    def _begin(self) -> None:
        try:
            batch = self._group.next_batch()
        except HotLogFull:
            self._make_room()
            return
        if batch is None:
            self._busy = False
        else:
            self._write(batch)

    def _make_room(self) -> None:
        """As the node does: ask for sealing, and write batches that only move what is alive."""
        process = self._process
        process.cluster.coverage["hot log full"] += 1
        for partition, _ in self.hot_log.space().pins:
            process.later(0, process.step, ev.SealWanted(partition))
        batch = self._group.moving_batch()
        if batch is not None:
            self._write(batch)
        else:
            process.later(FULL_PAUSE, self._begin)

    def _write(self, batch: Batch) -> None:
        process, machine = self._process, self._process.machine
        cluster = process.cluster
        if process.volume.disk.write_all(batch.writes):
            cluster.count("M")
        cluster.trace.update(b"%d %d %d;" % (batch.number, len(batch.writes), batch.writes[0][0]))
        if machine.trap == "persist":
            cluster.spring_trap(machine)
            return
        delay = machine.sync_micros // 2 + process.random.randrange(machine.sync_micros)
        delay += max(0, machine.stalled_until - cluster.timeline.now)
        cluster.timeline.after(delay, self._on_disk, batch)

    def _on_disk(self, batch: Batch) -> None:
        """The sync is done; whether the process hears of it is another question."""
        process = self._process
        if not process.alive:
            return
        process.volume.disk.sync()
        process.volume.settle(batch.entries)
        if process.machine.trap == "synced":
            process.cluster.spring_trap(process.machine)
            return
        process.post(self._synced, batch)

    def _synced(self, batch: Batch) -> None:
        self.hot_log.synced(batch.number)
        self._busy = self._group.waits
        if self._busy:
            self._begin()
        if batch.sequence >= 0 and self._process.alive:
            self._process.step(ev.Synced(batch.sequence))
