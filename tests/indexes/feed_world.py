"""A table and its global index in memory, whose partitions are divided while changes are on their way between them.

Real: what feeds and what takes (IndexFeeder, IndexFeeds), the rows and what is beside them (PartitionStore, RowStore),
the core's refusal of keys that a split has given away. Simulated: logs (what is appended is committed), who is master,
the network, the maps that nodes have, and when each of these goes on: drawn from a seed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from keystead_core.cluster_map import PartitionEntry, RangeIndex, ReplicaTarget, index_table
from keystead_core.ids import Lsn, NodeId, PartitionId, ReplicaId
from keystead_core.indexes.entries import IndexRule, encode_indexes
from keystead_core.indexes.feed import decode_feed
from keystead_core.items import decode_row
from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.ops import encode_change
from keystead_core.log.record import Kind, Record, make_record
from keystead_core.replication import splitting
from keystead_core.replication.events import Propose
from keystead_core.split.record import Split, encode_split
from keystead_node.api import errors as api_errors
from keystead_node.errors import NotMaster, StaleRange, WriteOutcomeUnknown
from keystead_node.heat import Heat
from keystead_node.index_feeder import IndexFeeder
from keystead_node.index_feeds import IndexFeeds
from keystead_node.partition_store import PartitionStore
from keystead_node.storage.row_store import RowStore
from keystead_node.transport import requests as rq
from tests.indexes.rows import BY_CITY, HASH, RANGE, indexes, row
from tests.sim import database
from tests.sim.database import Files
from tests.sim.segments import SegmentFiles

TABLE = "t"
INDEX = index_table(TABLE, BY_CITY.name)
RULE = IndexRule(BY_CITY, HASH, RANGE)
REPLICAS = 2
PARTITIONS_MAX = 5
SLOW = 0.15
NAMES = [f"{pk}{sk}" for pk in "abcdef" for sk in "12"]
CITIES = ["Bonn", "Kiel", "Lima", "Oslo", "Rome"]


class Stores:
    """In the place of PartitionStores: one replica of one partition, of which a master or nobody is woken."""

    def __init__(self, world: World, partition: PartitionId, rows: RowStore) -> None:
        self.ranges: dict[PartitionId, Any] = {}
        self.feeder: IndexFeeder | None = None
        self.eager = True
        self._partition = partition
        self.store = PartitionStore(self, partition, Path("/none"))  # type: ignore[arg-type]
        self.store.begin(rows)

    def segments(self, partition: PartitionId) -> SegmentFiles:
        return SegmentFiles()

    def get(self, partition: PartitionId) -> PartitionStore:
        assert partition == self._partition
        return self.store

    def opened(self, partition: PartitionId) -> PartitionStore | None:
        return self.get(partition)

    def on_applied(self, partition: PartitionId, lsn: Lsn) -> None:
        """Who waits is told by the master."""

    def on_split(self, partition: PartitionId) -> None:
        """The world looks by itself."""

    def on_indexes(self, partition: PartitionId) -> None:
        if self.feeder is not None:
            self.feeder.wake(partition)

    on_changes = on_indexes


class Master:
    """In the place of a node's Shell, keeper, router and catalog: a replica that masters its partition, or did once and
    does not know better (`deposed`)."""

    def __init__(self, world: World, group: Group, stores: Stores) -> None:
        self.world, self.group, self.stores = world, group, stores
        self.deposed = False
        self.closed = False
        oldest = max(0, len(world.maps) - 3) if world.maps_are_late else len(world.maps) - 1
        self.version = world.random.randrange(oldest, len(world.maps))
        mastership = SimpleNamespace(mastership=SimpleNamespace(serving=True))
        self.core = SimpleNamespace(id=NodeId("n"), replicas={group.id: mastership})
        self.heat = Heat()
        self.waiting: deque[tuple[Lsn, asyncio.Future[None]]] = deque()
        self.feeds = IndexFeeds(self)  # type: ignore[arg-type]
        self.feeder = IndexFeeder(self, self, self, self)  # type: ignore[arg-type]
        stores.feeder = self.feeder
        self.feeder.wake(group.id)

    # as Shell

    async def await_read(self, partition: PartitionId) -> str:
        return "another one is master" if self.deposed else ""

    def master_of(self, partition: PartitionId) -> NodeId:
        return NodeId("")

    def propose(self, partition: PartitionId, kind: Kind, body: bytes) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A record is appended in a later turn of the loop than it is proposed in, as by Shell.
        asyncio.get_running_loop().call_soon(self._append, kind, body, future)
        return future

    def _append(self, kind: Kind, body: bytes, future: asyncio.Future[None]) -> None:
        if future.done():
            return
        if self.deposed:
            future.set_exception(NotMaster("another one is master"))
        elif not self.group.takes(kind, body):
            future.set_exception(StaleRange("given away"))
        else:
            self.waiting.append((self.group.append(kind, body), future))

    def apply(self, count: int) -> None:
        """So many more records of the log, and who waits for them is told."""
        self.group.apply(self.stores, count)
        while self.waiting and self.waiting[0][0] <= self.stores.store.applied_lsn:
            future = self.waiting.popleft()[1]
            if not future.done():
                future.set_result(None)

    def depose(self) -> None:
        self.deposed = True
        for _, future in self.waiting:
            if not future.done():
                future.set_exception(WriteOutcomeUnknown("deposed"))
        self.waiting.clear()

    def close(self) -> None:
        self.closed = True
        self.stores.feeder = None
        self.feeder.close()

    # as MapKeeper

    @property
    def map(self) -> Any:
        return self.world.maps[self.version]

    @property
    def routes(self) -> Any:
        partitions = self.map.partitions.values()
        return SimpleNamespace(table=lambda name: RangeIndex([entry for entry in partitions if entry.table == name]))

    # as Router and CatalogClient

    async def feed_index(self, entry: PartitionEntry, request: rq.FeedIndex) -> rq.Answer:
        future: asyncio.Future[rq.Answer] = asyncio.get_running_loop().create_future()
        self.world.network.append((request, future))
        return await future

    async def run(self, command: object, seconds: float = 0.0) -> None:
        """No simulated index waits for the word that it is filled."""


class Group:
    """A partition: its log, its replicas by number, and the one that masters it, once there is one. `high`, as the
    latest map has it; `known`: to the map; `fed`: up to where the log has the changes of each source."""

    def __init__(self, world: World, partition: PartitionId, table: str, span: tuple[bytes, bytes | None]) -> None:
        self.world, self.id, self.table = world, partition, table
        self.low, self.high = span
        self.known = False
        self.fed: dict[PartitionId, Lsn] = {}
        self.base = EMPTY_LOG
        self.records: list[Record] = []
        self.splits: list[tuple[Lsn, Split]] = []
        self.replicas: dict[int, Stores] = {}
        self.master: Master | None = None

    def add_replica(self, number: int, content: dict[bytes, bytes]) -> None:
        files = Files(self.world.random, content)
        self.replicas[number] = Stores(self.world, self.id, RowStore(Path("/none"), files, database))  # type: ignore[arg-type]

    def takes(self, kind: int, body: bytes) -> bool:
        """The core's rule, on the log as it is."""
        refused: list[object] = []
        node = SimpleNamespace(emit=refused.append, node_of_master=lambda r: NodeId(""))
        replica: Any = SimpleNamespace(log=SimpleNamespace(splits=self.splits), node=node, partition=self.id)
        splitting.take_out_of_range(replica, Propose(self.id, [(1, kind, body)]))
        return not refused

    def append(self, kind: int, body: bytes) -> Lsn:
        before: Record | LogPoint = self.records[-1] if self.records else self.base
        if kind == Kind.INDEX_FEED:
            source, upto, _ = decode_feed(body)
            if upto < self.fed.get(source, 0):
                self.world.problems.append(f"partition {self.id} takes what {source} sent twice")
            self.fed[source] = upto
        made = make_record(self.id, 1, before.lsn + 1, kind, 1, before.hash, 1000, body)  # type: ignore[arg-type]
        self.records.append(made)
        return made.lsn

    def apply(self, stores: Stores, count: int) -> None:
        first = stores.store.applied_lsn - self.base.lsn
        found = self.records[first : first + count]
        if found:
            stores.store.apply(found, None)

    def lead(self, number: int) -> None:
        """Another master, which begins by applying all that was committed, and with a record of its own."""
        if self.master is not None:
            self.master.depose()
            self.world.deposed.append(self.master)
        stores = self.replicas[number]
        for old in [one for one in self.world.deposed if one.stores is stores]:
            old.close()
        self.world.deposed = [one for one in self.world.deposed if not one.closed]
        self.append(Kind.EPOCH, b"")
        self.apply(stores, len(self.records))
        self.master = Master(self.world, self, stores)

    def keys(self) -> list[bytes]:
        """Row keys at which it could be divided, of the rows that its master has applied."""
        assert self.master is not None and self.master.stores.store.rows is not None
        rows = self.master.stores.store.rows.scan_all()
        return [key for key, _ in rows if self.low < key and (self.high is None or key < self.high)]


class World:
    """`truth`: the table's rows as written. `maps`: all that there were, the latest last."""

    def __init__(self, seed: int, steps: int = 220) -> None:
        self.random = Random(seed)
        self.steps = steps
        self.truth: dict[bytes, bytes] = {}
        self.maps: list[Any] = []
        self.network: list[tuple[rq.FeedIndex, asyncio.Future[rq.Answer]]] = []
        self.maps_are_late = self.random.random() < 0.5
        self.slow_share = self.random.choice((0.0, SLOW))
        self.slow: list[rq.FeedIndex] = []
        self.problems: list[str] = []
        self.deposed: list[Master] = []
        self.groups: dict[PartitionId, Group] = {}
        self.done: dict[str, int] = {}
        self._next = 1
        self._serving: set[asyncio.Task[None]] = set()

    # -- the beginning ------------------------------------------------------------------------------------------------

    def begin(self, filled: bool) -> None:
        """A table and an index of one partition each; if not `filled`, the index comes when there are rows already."""
        for table in (TABLE, INDEX):
            group = self._group(table, (b"", None))
            group.known = True
            for number in range(REPLICAS):
                group.add_replica(number, {})
        self._publish()
        source = self.groups[PartitionId(1)]
        if not filled:
            for _ in range(8):
                self._write_to(source)
        source.append(Kind.TABLE_DEFINITION, encode_indexes(indexes([BY_CITY], filled=None if filled else [])))
        for group in self.groups.values():
            group.lead(0)

    def _group(self, table: str, span: tuple[bytes, bytes | None]) -> Group:
        group = Group(self, PartitionId(self._next), table, span)
        self._next += 1
        self.groups[group.id] = group
        return group

    def _publish(self) -> None:
        """The map as it is now becomes the latest one."""
        entries = {
            group.id: PartitionEntry(
                id=group.id, table=group.table, low=group.low, high=group.high, generation=1, founders=[], target=[],
                members=[], write_quorum=1, durable_zones=1,
            )
            for group in self.groups.values()
            if group.known
        }  # fmt: skip
        table = SimpleNamespace(name=TABLE, index_version=1, indexes=[BY_CITY])
        self.maps.append(SimpleNamespace(partitions=entries, tables={TABLE: table}))

    # -- one step -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Steps at random, then until all is quiet. Raises AssertionError where the index is not what the rows make."""
        self.begin(self.random.random() < 0.5)
        choices = [
            *[self.write] * 6, *[self.deliver] * 8, *[self.apply] * 8, self.drop, self.lead, self.hear, self.hear,
            self.divide, self.make, self.make, self.report, self.close_one, self.deliver_late,
        ]  # fmt: skip
        for _ in range(self.steps):
            what = self.random.choice(choices)
            if what():
                self.done[what.__name__] = self.done.get(what.__name__, 0) + 1
            assert not self.problems, self.problems[0]
            for _ in range(self.random.randrange(6)):
                await asyncio.sleep(0)
        await self._settle()
        self.check()

    def _mastered(self) -> list[Group]:
        return [group for group in self.groups.values() if group.master is not None]

    def write(self) -> bool:
        sources = [group for group in self._mastered() if group.table == TABLE]
        return self._write_to(self.random.choice(sources))

    def _write_to(self, group: Group) -> bool:
        """One row of it changes, at its master, if it is still its own."""
        name = self.random.choice(NAMES)
        more = {"city": self.random.choice(CITIES), "when": self.random.randrange(3)}
        key, value = row(name[0], name[1], **(more if self.random.random() < 0.85 else {}))
        return self.write_row(group, key, value if self.random.random() < 0.8 else None)

    def write_row(self, group: Group, key: bytes, new: bytes | None) -> bool:
        body = encode_change(key, new)
        if key < group.low or (group.high is not None and key >= group.high) or not group.takes(Kind.DATA, body):
            return False
        group.append(Kind.DATA, body)
        self.truth.pop(key, None)
        if new is not None:
            self.truth[key] = new
        return True

    def apply(self) -> bool:
        """A replica goes on with the log."""
        group = self.random.choice(self._mastered())
        stores = self.random.choice(list(group.replicas.values()))
        assert group.master is not None
        count = self.random.randrange(1, 6)
        if stores is group.master.stores:
            group.master.apply(count)
        elif not any(stores is old.stores for old in self.deposed):
            group.apply(stores, count)
        return True

    def deliver(self) -> bool:
        """A request comes to the master of the partition, late or not, whether or not anybody waits for it still."""
        if not self.network:
            return False
        number = self.random.randrange(len(self.network))
        if self.random.random() < self.slow_share and not self.network[number][1].done():
            self.network[number][1].set_exception(api_errors.OutcomeUnknown())
            self.slow.append(self.network.pop(number)[0])
            return True
        request, future = self.network.pop(number)
        self._deliver(request, future)
        return True

    def deliver_late(self) -> bool:
        """A request comes that was given up long ago."""
        if not self.slow:
            return False
        request = self.slow.pop(self.random.randrange(len(self.slow)))
        self._deliver(request, asyncio.get_running_loop().create_future())
        return True

    def _deliver(self, request: rq.FeedIndex, future: asyncio.Future[rq.Answer]) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(request, future, self.random.random() < 0.1))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, request: rq.FeedIndex, future: asyncio.Future[rq.Answer], lost: bool) -> None:
        group = self.groups[request.partition]
        outcome: rq.Answer | Exception
        try:
            assert group.master is not None
            outcome = rq.Answer(rq.OK, applied_lsn=await group.master.feeds.take(request))
        except StaleRange as stale:
            outcome = stale
        except (NotMaster, WriteOutcomeUnknown):
            outcome = api_errors.Unavailable("no master")
        if lost:
            outcome = api_errors.OutcomeUnknown()
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def drop(self) -> bool:
        """A request is given up by who sent it, and yet comes later."""
        waiting = [future for _, future in self.network if not future.done()]
        if not waiting:
            return False
        self.random.choice(waiting).set_exception(api_errors.OutcomeUnknown())
        return True

    def lead(self) -> bool:
        group = self.random.choice(self._mastered())
        group.lead(self.random.choice(list(group.replicas)))
        return True

    def close_one(self) -> bool:
        """A deposed master learns of it, or is gone."""
        if not self.deposed:
            return False
        self.deposed.pop(self.random.randrange(len(self.deposed))).close()
        return True

    def hear(self) -> bool:
        """A node gets a newer map."""
        masters = [group.master for group in self._mastered() if group.master is not None] + self.deposed
        master = self.random.choice(masters)
        master.version = self.random.randrange(master.version, len(self.maps))
        return True

    # -- splits -------------------------------------------------------------------------------------------------------

    def divide(self) -> bool:
        """A split is appended to a log."""
        group = self.random.choice(self._mastered())
        busy = any(self._is_open(group, split) for _, split in group.splits)
        keys = group.keys()
        count = sum(other.table == group.table for other in self.groups.values())
        if busy or not keys or count >= PARTITIONS_MAX or not group.known:
            return False
        self.divide_one(group, self.random.choice(keys))
        return True

    def divide_one(self, group: Group, at: bytes) -> None:
        high = group.high
        right = self._group(group.table, (at, high))
        members = tuple(
            ReplicaTarget(ReplicaId(100 * right.id + number), NodeId(str(number)), "z", "voter")
            for number in range(REPLICAS)
        )
        split = Split(right.id, group.low, at, high, members, 0, 1, 1_000_000)
        lsn = group.append(Kind.SPLIT, encode_split(split))
        group.splits.append((lsn, split))
        record = group.records[-1]
        right.base = LogPoint(record.epoch, record.lsn, record.hash)
        right.fed = dict(group.fed)

    def _is_open(self, group: Group, split: Split) -> bool:
        """Whether a right replica is still to be made, or the map does not know of the split."""
        right = self.groups[split.right]
        return len(right.replicas) < REPLICAS or not right.known

    def make(self) -> bool:
        """A replica makes its right half of what it has by now; the first that does may lead."""
        due = [
            (group, number, point, split)
            for group in self._mastered()
            for number, stores in group.replicas.items()
            if stores.store.rows is not None
            for point, split in stores.store.rows.splits()
            if number not in self.groups[split.right].replicas
        ]
        if not due:
            return False
        group, number, point, split = self.random.choice(due)
        right = self.groups[split.right]
        rows = group.replicas[number].store.rows
        assert rows is not None
        content = dict(rows._db._files.live)
        RowStore(Path("/none"), files := Files(self.random, content), database).become_right(point, split)  # type: ignore[arg-type]
        right.add_replica(number, files.live)
        if right.master is None:
            right.lead(number)
        return True

    def report(self) -> bool:
        """The map learns of a split that some replica of the left half has applied."""
        for group in self._mastered():
            for _, split in group.splits:
                right = self.groups[split.right]
                if group.known and not right.known and right.replicas:
                    group.high, right.known = split.at, True
                    self._publish()
                    return True
        return False

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """No more faults: every split is made and known, every message comes, every deposed master is gone."""
        for old in self.deposed:
            old.close()
        self.deposed.clear()
        for _ in range(200):
            while self.make() or self.report() or self.deliver_late():
                pass
            for group in self._mastered():
                assert group.master is not None
                group.master.version = len(self.maps) - 1
                group.master.apply(len(group.records))
                group.master.feeder.wake(group.id)
            await self.serve_all()
            assert not self.problems, self.problems[0]
            if all(self.is_quiet(group) for group in self._mastered()):
                return
        raise AssertionError("the index never gets what it lacks")

    async def serve_all(self) -> None:
        """Every message comes, and what it asks for is done."""
        while self.network:
            request, future = self.network.pop(0)
            await self._serve_whole(request, future)
        await asyncio.sleep(0)

    async def _serve_whole(self, request: rq.FeedIndex, future: asyncio.Future[rq.Answer]) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(request, future, False))
        while not task.done():
            master = self.groups[request.partition].master
            assert master is not None
            master.apply(1000)
            await asyncio.sleep(0)

    def is_quiet(self, group: Group) -> bool:
        """Whether a partition of the table has nothing left to bring; one of the index never has."""
        assert group.master is not None
        store = group.master.stores.store
        assert store.rows is not None
        has_all = store.indexer is not None and not store.indexer.unfilled
        is_empty = not store.rows.changes(0, store.applied_lsn, 1, 1)
        return group.table == INDEX or (has_all and is_empty and not self.network)

    def check(self) -> None:
        """The entries of all partitions of the index, each within its range, are those of the rows."""
        wanted = [RULE.entry(key, decode_row(value), value) for key, value in self.truth.items()]
        found: dict[bytes, bytes] = {}
        rows: dict[bytes, bytes] = {}
        for group in self.groups.values():
            assert group.master is not None and group.master.stores.store.rows is not None
            for key, value in group.master.stores.store.rows.scan_all():
                if key >= group.low and (group.high is None or key < group.high):
                    (found if group.table == INDEX else rows)[key] = value
        assert rows == self.truth, "the rows themselves"
        assert found == dict(entry for entry in wanted if entry is not None)

    def close(self) -> None:
        for group in self._mastered():
            if group.master is not None:
                group.master.close()
        for old in self.deposed:
            old.close()


async def simulate(seed: int, steps: int = 220) -> World:
    """Raises AssertionError."""
    world = World(seed, steps)
    try:
        await world.run()
    finally:
        world.close()
        for task in world._serving:
            task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return world
