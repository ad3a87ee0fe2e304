"""Rows, cold logs and physical copies of a simulated process: the real PartitionStore over files in memory.

Takes the part of PartitionStores, whose threads and directories it replaces by events on the timeline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keystead_core.ids import Lsn, PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.record import Record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import encode_membership
from keystead_core.split.record import Split
from keystead_node.errors import NotMaster
from keystead_node.partition_store import PartitionStore
from keystead_node.storage.cold_log import ColdError
from keystead_node.storage.row_layout import RowRange
from keystead_node.storage.row_store import RowStore
from tests.sim import database
from tests.sim.database import Files
from tests.sim.segments import SegmentFiles

if TYPE_CHECKING:
    from tests.sim.machine import Machine, Process

_NOWHERE = Path("/simulated")


class Copy:
    """A checkpoint on its way: rows, the point that they stand for, and the membership as of it."""

    __slots__ = ("base", "content", "membership")

    def __init__(self, content: dict[bytes, bytes], base: LogPoint, membership: bytes) -> None:
        self.content = content
        self.base = base
        self.membership = membership


class Stores:
    """`drops` counts how often a partition was dropped: work begun before that ends without a trace."""

    def __init__(self, process: Process) -> None:
        self.eager = True
        self.cold_bytes_max = process.cluster.scenario.cold_bytes_max
        self.drops: dict[PartitionId, int] = {}
        self.ranges: dict[PartitionId, RowRange] = {}
        self._process = process
        self._volume = process.volume
        self._stores: dict[PartitionId, PartitionStore] = {}
        self._apply_at: dict[PartitionId, int] = {}
        self._applying: dict[PartitionId, list[Record]] = {}
        self._staged: dict[int, Copy] = {}

    # -- what PartitionStore asks of its owner ------------------------------------------------------------------------

    def segments(self, partition: PartitionId) -> SegmentFiles:
        return self._volume.segments_of(partition)

    def note_floor(self, partition: PartitionId, lsn: Lsn) -> None:
        self._volume.floors[partition] = lsn
        self._process.cluster.coverage["cold log trimmed"] += 1

    def open_soon(self, store: PartitionStore) -> None:
        self._process.later(200 + self._process.random.randrange(4000), self._open, store)

    def lose(self, partition: PartitionId, reason: str) -> None:
        """The rows cannot be brought up to the log."""
        process = self._process
        process.cluster.coverage["rows lost"] += 1
        process.tell(f"ROWS LOST of partition {partition}: {reason}")
        self._drop(partition)
        self._process.step(ev.RowsLost(partition))

    def on_applied(self, partition: PartitionId, lsn: Lsn) -> None:
        process = self._process
        rows = self._stores[partition].rows
        assert rows is not None
        process.cluster.checker.on_applied(process, partition, rows)
        process.answer_puts(partition, lsn)
        process.step(ev.Applied(partition, lsn))

    def on_indexes(self, partition: PartitionId) -> None:
        """No simulated table has an index."""

    def on_split(self, partition: PartitionId) -> None:
        process = self._process
        for point, split in self.splits(partition):
            process.cluster.catalog.splits.make_soon(process, partition, point, split)

    def is_in_range(self, partition: PartitionId, row_key: bytes) -> bool:
        """As PartitionStores.is_in_range."""
        found = self.ranges.get(partition)
        return found is None or (found[0] <= row_key and (found[1] is None or row_key < found[1]))

    # -- rows ---------------------------------------------------------------------------------------------------------

    def get(self, partition: PartitionId) -> PartitionStore:
        store = self._stores.get(partition)
        if store is None:
            store = self._stores[partition] = PartitionStore(self, partition, _NOWHERE)  # type: ignore[arg-type]
        return store

    def rows_of(self, partition: PartitionId) -> RowStore:
        """The rows, opened if they were not. Raises NotMaster where they cannot reach what they lack."""
        store = self.get(partition)
        self._open(store)
        if store.is_lost:
            raise NotMaster("the rows are lost")
        assert store.rows is not None
        return store.rows

    def _open(self, store: PartitionStore) -> None:
        partition = store._partition
        if store.rows is not None or self._stores.get(partition) is not store:
            return
        store.begin(RowStore(_NOWHERE, self._volume.database_of(partition), database))
        store.apply_waiting()

    def keep_house(self) -> None:
        """Flushes rows, as the node does now and then."""
        for store in self._stores.values():
            if store.rows is not None and store.rows.durable_applied < store.rows.applied_lsn:
                store.rows.flush()

    def apply(self, effect: ef.Apply) -> None:
        process = self._process
        now = process.cluster.timeline.now
        delay = 0 if process.random.random() < 0.5 else process.random.randrange(3000)
        at = max(self._apply_at.get(effect.partition, 0), now + delay)
        self._apply_at[effect.partition] = at
        drops = self.drops.get(effect.partition, 0)
        process.cluster.timeline.at(at, process.post, self._for_replica, drops, self._apply, effect)

    def _for_replica(self, drops: int, call: Any, effect: Any) -> None:
        """Carries on with work for a replica, unless its rows were dropped meanwhile."""
        if self.drops.get(effect.partition, 0) == drops:
            call(effect)

    def _later(self, delay: int, call: Any, effect: Any) -> None:
        self._process.later(delay, self._for_replica, self.drops.get(effect.partition, 0), call, effect)

    def _apply(self, effect: ef.Apply) -> None:
        self.get(effect.partition).apply(effect.records, None)

    def drop_rows(self, effect: ef.DropRows) -> None:
        self._process.cluster.coverage["replica dropped"] += 1
        self._drop(effect.partition)

    def _drop(self, partition: PartitionId) -> None:
        self.drops[partition] = self.drops.get(partition, 0) + 1
        self._stores.pop(partition, None)
        self.ranges.pop(partition, None)
        self._volume.drop(partition)

    # -- splits -------------------------------------------------------------------------------------------------------

    def splits(self, partition: PartitionId) -> list[tuple[LogPoint, Split]]:
        """The splits in a partition's rows, where these are open."""
        store = self._stores.get(partition)
        return store.rows.splits() if store is not None and store.rows is not None else []

    def make_right(self, partition: PartitionId, event: ev.HostReplica, split: Split) -> None:
        """As Splitter._make: a checkpoint, narrowed; in the place of the right rows; then the replica."""
        process, right = self._process, split.right
        if right in process.core.replicas or partition not in process.core.replicas:
            return
        rows = self.rows_of(partition)
        rows.flush()
        if all(known.right != right for _, known in self.splits(partition)):
            return  # They were replaced meanwhile, by those of others that had let the right half go.
        files = Files(self._volume.random, dict(self._volume.database_of(partition).flushed))
        RowStore(_NOWHERE, files, database).become_right(event.base, split)
        if process.machine.trap == "persist":
            process.cluster.spring_trap(process.machine)
            return
        self._stores.pop(right, None)
        self._volume.drop(right)
        self._volume.databases[right] = files
        self._volume.floors[right] = event.base.lsn
        if process.machine.trap == "synced":
            process.cluster.spring_trap(process.machine)
            return
        process.cluster.coverage["right replica made"] += 1
        process.cluster.checker.on_applied(process, right, self.rows_of(right))
        process.step(event)

    # -- cold log -----------------------------------------------------------------------------------------------------

    def seal(self, effect: ef.Seal) -> None:
        self._later(200 + self._process.random.randrange(4000), self._seal, effect)

    def _seal(self, effect: ef.Seal) -> None:
        process = self._process
        end = EMPTY_LOG
        if not process.machine.is_full:
            try:
                end = self.get(effect.partition).seal(effect.records, effect.keep_lsn)
                process.cluster.coverage["seal"] += 1
            except ColdError:
                process.cluster.coverage["seal failed"] += 1
        if process.machine.trap == "synced":
            process.cluster.spring_trap(process.machine)
            return
        process.step(ev.Sealed(effect.partition, end))

    def read_cold(self, effect: ef.ReadCold) -> None:
        self._later(100 + self._process.random.randrange(2000), self._read_cold, effect)

    def _read_cold(self, effect: ef.ReadCold) -> None:
        prev, records = EMPTY_LOG, b""
        try:
            prev, records = self.get(effect.partition).read_cold(effect.after_lsn, effect.bytes_max)
            self._process.cluster.coverage["cold read"] += bool(records)
        except ColdError:
            self._process.cluster.coverage["cold read failed"] += 1
        self._process.step(ev.ColdRead(effect.partition, effect.peer, prev, records))

    # -- physical copies ----------------------------------------------------------------------------------------------

    def send_copy(self, effect: ef.SendCopy) -> None:
        copy = self._checkpoint(effect.partition)
        receiver = self._process.cluster.by_node.get(effect.to)
        if receiver is None or copy is None:
            self._process.later(1000, self._process.step, ev.CopyFinished(effect.partition, effect.peer, False))
        else:
            self._send_chunk(effect, copy, receiver, 1 + self._process.random.randrange(5))

    def _checkpoint(self, partition: PartitionId) -> Copy | None:
        try:
            rows = self.rows_of(partition)
        except NotMaster:
            return None
        rows.flush()
        r = self._process.core.replicas.get(partition)
        point = r.log.point_at(rows.applied_lsn) if r is not None else None
        membership = r.log.membership_at(rows.applied_lsn) if r is not None else None
        if point is None or membership is None:
            return None
        content = dict(self._volume.database_of(partition).flushed)
        return Copy(content, point, encode_membership(membership))

    def _send_chunk(self, effect: ef.SendCopy, copy: Copy, receiver: Machine, left: int) -> None:
        """Each chunk of the copy crosses the network; one that is lost ends the copy."""
        mine = self._process
        network = mine.cluster.network
        process = receiver.process
        reachable = process is not None and process.node_id == effect.to and not process.paused
        if not reachable or not network.passes(mine.machine.index, receiver.index):
            mine.later(50_000, mine.step, ev.CopyFinished(effect.partition, effect.peer, False))
        elif left:
            mine.later(network.latency() * 4, self._send_chunk, effect, copy, receiver, left - 1)
        else:
            assert process is not None
            mine.cluster.coverage["copy"] += 1
            process.later(network.latency(), process.stores.copy_arrives, effect, copy)
            mine.later(network.latency(), mine.step, ev.CopyFinished(effect.partition, effect.peer, True))

    def copy_arrives(self, effect: ef.SendCopy, copy: Copy) -> None:
        replica = self._process.core.replicas.get(effect.partition)
        if replica is None or replica.id != effect.peer or replica.staged:
            return
        token = self._process.random.getrandbits(40) + 1
        self._staged[token] = copy
        self._process.step(ev.CopyArrived(effect.partition, token, effect.epoch, copy.base, copy.membership))

    def install_copy(self, effect: ef.InstallCopy) -> None:
        self._later(500 + self._process.random.randrange(3000), self._install, effect)

    def _install(self, effect: ef.InstallCopy) -> None:
        """As PartitionStores.replace_rows: the old directory goes, the copy takes its place, the floor is noted."""
        process, partition = self._process, effect.partition
        copy = self._staged.pop(effect.token)
        self._stores.pop(partition, None)
        self.ranges.pop(partition, None)
        self._volume.drop(partition)
        if process.machine.trap == "persist":
            process.cluster.spring_trap(process.machine)
            return
        self._volume.databases[partition] = Files(self._volume.random, copy.content)
        self._volume.floors[partition] = copy.base.lsn
        process.cluster.checker.on_applied(process, partition, self.rows_of(partition))
        process.step(ev.CopyInstalled(partition, effect.token))

    def discard_copy(self, effect: ef.DiscardCopy) -> None:
        self._staged.pop(effect.token, None)
