"""What is explored: a cluster to begin with, and how often each kind of event may happen.

Deliveries and syncs are not counted: they happen in every order. A lost message needs no event of its own, since what
is never delivered is lost; nor does a doubled one, since what was delivered may be delivered again (search.py).
"""

from __future__ import annotations

from typing import NamedTuple

from keystead_core.ids import NodeId, ReplicaId
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.effects import Persist
from keystead_core.replication.membership import Member, Membership
from keystead_core.replication.node import Node
from keystead_core.replication.replica import MASTER
from tests.explore.disk import Disk
from tests.explore.invariants import WRITE_QUORUM, ZONES, Ledger
from tests.explore.steps import BOOT_SHIFT, NODES, PARTITION, SETTINGS, Broken, Event, NoJitter, Steps, settle

LATE_WRITE = 101


class Budget(NamedTuple):
    """How many more of each: candidacies, other timers, client writes, crashes with a restart."""

    elections: int = 0
    timers: int = 0
    writes: int = 0
    crashes: int = 0


class Scenario(NamedTuple):
    """`start`: where the exploration begins.

    founded    three founders, no master yet
    led        replica 1 serves as master, its epoch record known to be committed everywhere
    overtaken  replica 1 has appended two writes that reached nobody, and replica 2 leads the next epoch with the
               support of replica 3, its epoch record on its own volume only; what they sent is still on the way

    `candidates`: who stands, as indices of nodes, where not everybody does. Followers of one master differ in nothing
    but their names, so the first candidate against it need not be tried under both.
    """

    name: str
    budget: Budget
    start: str = "led"
    candidates: tuple[int, ...] = (0, 1, 2)
    durable_zones: int = 1


SCENARIOS = (
    Scenario("two writes", Budget(timers=1, writes=2)),
    Scenario("two writes, a crash", Budget(writes=2, crashes=1), durable_zones=2),
    Scenario("founding, one election, a crash", Budget(elections=1, timers=1, crashes=1), "founded"),
    Scenario("founding, two rivals, a write", Budget(elections=2, writes=1), "founded"),
    Scenario("overtaken, an election", Budget(elections=1), "overtaken"),
    Scenario("overtaken, an election, a write, a crash", Budget(elections=1, writes=1, crashes=1), "overtaken"),
    Scenario("a succession, a write, a crash", Budget(elections=1, writes=1, crashes=1), candidates=(0, 1)),
    Scenario("two successions, two writes, a crash", Budget(2, 1, 2, 1), candidates=(0, 1), durable_zones=2),
)


def membership_of(scenario: Scenario) -> Membership:
    members = tuple(Member(ReplicaId(i + 1), node, ZONES[i]) for i, node in enumerate(NODES))
    return Membership(1, 1, members, WRITE_QUORUM, scenario.durable_zones, SETTINGS.lease)


def founded(scenario: Scenario, steps: Steps) -> list[int]:
    """The local states of three founders whose founding record is durable and whose peers have all been heard of."""
    locals_ = []
    for index, name in enumerate(NODES):
        node, disk = Node(SETTINGS, name, 1 << BOOT_SHIFT, [], 0, 0), Disk()
        node._prng = NoJitter(0)
        host = ev.HostReplica(PARTITION, ReplicaId(index + 1), membership_of(scenario))
        for effect in node.step(host, 0):
            if isinstance(effect, Persist):
                disk.write(effect.sequence, effect.entries)
        node.step(ev.Applied(PARTITION, 1), 0)
        node.step(ev.Synced(disk.sync_first()), 0)
        node.now = node.silent_until
        node.boots = {NodeId(peer): 1 << BOOT_SHIFT for peer in NODES if peer != name}
        settle(node)
        locals_.append(steps.number_of(node, disk))
    return locals_


class Played:
    """Events played in a fixed order, to come to where an exploration begins."""

    def __init__(self, steps: Steps, locals_: list[int]) -> None:
        self.steps = steps
        self.locals = locals_
        self.inboxes: list[list[int]] = [[] for _ in locals_]

    def play(self, index: int, event: Event) -> None:
        outcome = self.steps.outcome(self.locals[index], event)
        if outcome.broken:
            raise Broken(outcome.broken)
        self.locals[index] = outcome.local
        for to, letter in outcome.sends:
            if letter not in self.inboxes[to]:
                self.inboxes[to].append(letter)

    def stand(self, index: int, asked: int) -> None:
        answered, answer = self.steps.answer_to_dry_round(self.locals[index], self.locals[asked])
        self.locals[asked] = answered.local
        self.play(index, Event("stand", answer))

    def sync(self, index: int) -> None:
        while self.steps.disk(self.locals[index]).waiting:
            self.play(index, Event("sync"))

    def deliver(self, index: int, kind: type) -> None:
        """Delivers, and takes from the network, the messages of one kind to a node."""
        for letter in [n for n in self.inboxes[index] if isinstance(self.steps.letters[n].message, kind)]:
            self.inboxes[index].remove(letter)
            self.play(index, Event("deliver", letter))

    def settle(self) -> None:
        """Delivers and syncs until nothing is under way."""
        while any(self.inboxes) or any(self.steps.disk(local).waiting for local in self.locals):
            for index in range(len(self.locals)):
                self.deliver(index, object)
                self.sync(index)


def lead(played: Played) -> None:
    played.stand(0, 1)
    played.settle()
    played.play(0, Event("timer"))  # The commit notice.
    played.settle()


def overtake(played: Played) -> None:
    for write in (LATE_WRITE, LATE_WRITE + 1):
        played.play(0, Event("propose", write))
    played.sync(0)
    played.stand(1, 2)
    played.sync(1)
    played.deliver(2, msg.SupportRequest)
    played.sync(2)
    played.deliver(1, msg.Support)
    played.sync(1)


def begin(scenario: Scenario, steps: Steps) -> tuple[list[int], list[list[int]], Ledger]:
    """The local states to begin with, the messages on the way to each, and what is committed.

    Raises Broken where the core already fails on the way there.
    """
    played = Played(steps, founded(scenario, steps))
    masters: tuple[tuple[int, int, int], ...] = ()
    if scenario.start != "founded":
        lead(played)
        first = steps.facts[played.locals[0]]
        masters = ((first.epoch, 0, first.boot),)
        if first.role != MASTER:
            raise Broken("nobody was elected in a cluster without any fault")
    facts = [steps.facts[local] for local in played.locals]
    committed = facts[0].log
    for index, held in enumerate(facts):
        if not (held.log == held.durable == committed and held.commit_lsn == len(committed)):
            raise Broken(f"n{index + 1} is not level when nothing is under way: {held}")
    if scenario.start == "overtaken":
        overtake(played)
    return played.locals, played.inboxes, Ledger(committed, committed[-1][0], masters)
