"""The simulated network between nodes. Every message is encoded and decoded by the real codec.

Links are pairs of machines. A cut link loses everything in its direction; others delay, reorder, lose and double as
the faults in force say. Counters name what really happened to a message.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec

from keystead_core.ids import Boot, NodeId
from keystead_core.replication.events import Received
from keystead_core.replication.messages import Message, MessageError, decode_message, encode_message

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster
    from tests.sim.machine import Machine

UNKNOWN_MESSAGE = msgspec.msgpack.encode([900, 1, 2, "a message of a later version"])


class Network:
    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.cut: set[tuple[int, int]] = set()
        self.one_way: set[tuple[int, int]] = set()
        self.loss = 0.0
        self.double = 0.0
        self.delay_max = 0
        self.newer: set[int] = set()

    def latency(self) -> int:
        """Mostly a fraction of a millisecond; at times, where the fault is on, up to `delay_max`."""
        micros = 100 + int(400 * self.random.random())
        if self.delay_max and self.random.random() < 0.3:
            self.cluster.count("D")
            micros += int(self.delay_max * self.random.random())
        return micros

    def passes(self, sender: int, receiver: int) -> bool:
        if (sender, receiver) in self.cut:
            self.cluster.count("N")
            return False
        if (sender, receiver) in self.one_way:
            self.cluster.count("A")
            return False
        if self.loss and self.random.random() < self.loss:
            self.cluster.count("L")
            return False
        return True

    def send(self, sender: Machine, node: NodeId, boot: Boot, to: NodeId, message: Message) -> None:
        data = encode_message(message)
        cluster = self.cluster
        cluster.trace.update(data)
        receiver = cluster.by_node.get(to)
        if receiver is None or not self.passes(sender.index, receiver.index):
            return
        if sender.index in self.newer:
            data = self._as_newer(receiver, node, boot, to, data)
        cluster.timeline.after(self.latency(), self._arrive, receiver, to, node, boot, data)
        if self.double and self.random.random() < self.double:
            cluster.count("U")
            cluster.timeline.after(self.latency() * 3, self._arrive, receiver, to, node, boot, data)

    def _as_newer(self, receiver: Machine, node: NodeId, boot: Boot, to: NodeId, data: bytes) -> bytes:
        """A sender of a later version: its messages have a field more, and some are of a kind not known here."""
        self.cluster.count("V")
        if self.random.random() < 0.05:
            self.cluster.timeline.after(self.latency(), self._arrive, receiver, to, node, boot, UNKNOWN_MESSAGE)
        return msgspec.msgpack.encode([*msgspec.msgpack.decode(data), "a later field"])

    def _arrive(self, receiver: Machine, to: NodeId, node: NodeId, boot: Boot, data: bytes) -> None:
        process = receiver.process
        for clone in self.cluster.clones:
            if clone.node_id == to and self.random.random() < 0.5:
                process = clone
        if process is None or process.node_id != to:
            return
        try:
            message = decode_message(data)
        except MessageError:
            assert data == UNKNOWN_MESSAGE, "a message of this version could not be decoded"
            return
        process.deliver(Received(node, boot, message))

    def is_open(self, sender: int, receiver: int) -> bool:
        return (sender, receiver) not in self.cut and (sender, receiver) not in self.one_way

    def heal(self) -> None:
        self.cut.clear()
        self.one_way.clear()
        self.newer.clear()
        self.loss = self.double = 0.0
        self.delay_max = 0
