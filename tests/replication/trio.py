"""Three whole cores that talk to each other: every message takes 200 us, every sync 500 us, every lock is granted.

Unlike the simulator nothing here is random and nothing fails; what is counted and looked at is what three nodes do.
"""

import heapq
from collections.abc import Callable

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import Micros, NodeId, PartitionId, ReplicaId
from keystead_core.log.record import Kind
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import founding_membership
from keystead_core.replication.messages import Message
from keystead_core.replication.node import Node
from keystead_core.replication.settings import Settings

LATENCY: Micros = 200
SYNC: Micros = 500


class Trio:
    """`groups` partitions with a replica on each of three nodes, the masterships spread over them by turns."""

    def __init__(self, groups: int = 1, settings: Settings | None = None, sync: Micros = SYNC) -> None:
        self.sync = sync
        settings = settings or Settings(lock="none")
        self.now: Micros = 0
        self.sent: list[tuple[NodeId, NodeId, Message]] = []
        self.effects: list[tuple[NodeId, ef.Effect]] = []
        self._heap: list[tuple[Micros, int, Callable[[], None]]] = []
        self._numbers = 0
        self.nodes = {
            node: Node(settings, node, (1 << 16) + index, [], 0, index)
            for index, node in enumerate(NodeId(f"n{n}") for n in range(3))
        }
        names = list(self.nodes)
        for name in names:
            self.step(name, ev.Registered())
        for group in range(1, groups + 1):
            order = names[group % 3 :] + names[: group % 3]
            targets = [ReplicaTarget(ReplicaId(n + 1), node, f"z{n}", "voter") for n, node in enumerate(order)]
            founding = founding_membership(targets, 0, 1, settings.lease)
            for target in targets:
                self.step(target.node, ev.HostReplica(PartitionId(group), target.replica, founding))

    def master(self, group: int = 1) -> NodeId:
        """The node that serves the group."""
        for name, node in self.nodes.items():
            ship = node.replicas[PartitionId(group)].mastership
            if ship is not None and ship.serving:
                return name
        raise AssertionError(f"nobody serves group {group}")

    def put(self, node: NodeId, group: int = 1) -> None:
        self.step(node, ev.Propose(PartitionId(group), [(1, Kind.DATA, b"x")]))

    def step(self, name: NodeId, event: ev.Event) -> None:
        node = self.nodes[name]
        for effect in node.step(event, self.now):
            self.effects.append((name, effect))
            match effect:
                case ef.Send():
                    self.sent.append((name, effect.to, effect.message))
                    self._later(LATENCY, effect.to, ev.Received(name, node.boot, effect.message))
                case ef.Persist():
                    self._later(self.sync, name, ev.Synced(effect.sequence))
                case ef.Apply():
                    self._later(0, name, ev.Applied(effect.partition, effect.records[-1].lsn))
                case _:
                    pass

    def _later(self, delay: Micros, name: NodeId, event: ev.Event) -> None:
        self._numbers += 1
        heapq.heappush(self._heap, (self.now + delay, self._numbers, lambda: self.step(name, event)))

    def run(self, micros: Micros) -> None:
        """Lets so much time pass."""
        end = self.now + micros
        while True:
            due = {name: at for name, node in self.nodes.items() if (at := node.deadline()) is not None}
            name = min(due, key=lambda n: due[n], default=None)
            tick_at = max(self.now, due[name]) if name is not None else end + 1
            event_at = self._heap[0][0] if self._heap else end + 1
            if min(tick_at, event_at) > end:
                break
            if event_at <= tick_at:
                self.now = event_at
                heapq.heappop(self._heap)[2]()
            elif name is not None:
                self.now = tick_at
                self.step(name, ev.Tick())
        self.now = end
