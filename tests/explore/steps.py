"""One node's part of the exploration: its distinct local states, and what each event does to each of them, once.

A local state is a node's core with its volume. The core is deterministic and sees nothing but its own state and the
event, so `Steps.outcome` runs the very core once for each pair of local state and event and remembers the result.
Here too stand the checks of a single step: what a node tells others must be durable on its own volume first.

What is fixed here, and why nothing is lost by it:

- Every node has a clock of its own, which moves only when one of its timers fires. So any drift and any delay between
  nodes is explored. Only leases rest on clocks that agree, and they are left to the simulation.
- Heartbeats are lost, all of them. Grants only ever forbid an election; without them every election is possible at
  any time. The silence after a restart serves the grants alone, so it is over at once.
- The lock (`lock: none`) authorises nothing. Jitter is 0: which timer fires first is a choice of the exploration.
- Probe and its reply, and AppendRefused, bring hints: they change nothing but which epoch is tried next. A candidate's
  dry round is answered by one peer, which is a choice; it always suffices, and more would only tell a higher epoch.
- A candidate closes with the first quorum (`gather_wait` 0): what a larger one would know is never needed for safety.
- Rows are applied at once: that the rows lag behind the log is the business of storage.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from keystead_core.ids import Boot, Epoch, Lsn, Micros, NodeId, PartitionId
from keystead_core.log.entries import SnipEntry
from keystead_core.log.record import Kind
from keystead_core.prng import Prng
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.effects import Apply, Effect, Persist, Send
from keystead_core.replication.node import Node
from keystead_core.replication.replica import CANDIDATE, FOLLOWER, MASTER, NEVER, Replica
from keystead_core.replication.settings import Settings
from tests.explore.canonical import canonical, copy_of
from tests.explore.disk import Disk

PARTITION = PartitionId(1)
NODES: tuple[NodeId, ...] = (NodeId("n1"), NodeId("n2"), NodeId("n3"))
INDEX = {node: index for index, node in enumerate(NODES)}
BOOT_SHIFT = 16
WAKES_MAX = 8
SETTINGS = Settings(lock="none", gather_wait=0, heartbeat=1 << 40)
HINTS = (msg.Heartbeat, msg.HeartbeatReply, msg.AppendRefused, msg.BootRefused, msg.Probe, msg.ProbeReply)


class Broken(Exception):
    """A node has done what none may do, or its core has failed an assertion."""


class NoJitter(Prng):
    def below(self, bound: int) -> int:
        return 0


class Event(NamedTuple):
    """What happens to one node. `what` is one of:

    deliver  the message of number `arg` arrives
    sync     the oldest waiting Persist is durable
    timer    the next timer of a candidate or master fires
    stand    a follower's election timer fires; message `arg` is the answer to its dry round
    propose  client write number `arg`
    crash    power fails and comes back; `arg` of the waiting Persists are on the disk
    """

    what: str
    arg: int = 0


class Facts(NamedTuple):
    """What the checks of the whole cluster look at. `log`, `durable`: (epoch, hash) of each record from LSN 1 on."""

    role: str
    epoch: Epoch
    boot: Boot
    commit_lsn: Lsn
    applied_lsn: Lsn
    log: tuple[tuple[int, int], ...]
    durable: tuple[tuple[int, int], ...]


class Outcome(NamedTuple):
    """`sends`: (index of the receiver, number of the message). `commit_lsn`: up to where it committed as master, or 0.

    `snipped`: the lowest LSN that this step removed from the log, or 0. `broken`: what went wrong, or ''.
    """

    local: int
    sends: tuple[tuple[int, int], ...]
    commit_lsn: Lsn
    snipped: Lsn
    broken: str


class Letter(NamedTuple):
    """A message on its way: sets of these numbers are what the network holds."""

    sender: NodeId
    boot: Boot
    to: int
    message: msg.Message


class Steps:
    """All local states and messages met so far, by number."""

    def __init__(self) -> None:
        self._nodes: list[tuple[Node, Disk]] = []
        self._numbers: dict[object, int] = {}
        self.facts: list[Facts] = []
        self.facts_number: list[int] = []
        self._facts_numbers: dict[Facts, int] = {}
        self.letters: list[Letter] = []
        self._letter_numbers: dict[tuple[NodeId, Boot, int, bytes], int] = {}
        self._outcomes: dict[tuple[int, Event], Outcome] = {}

    @property
    def local_states(self) -> int:
        return len(self._nodes)

    def core(self, local: int) -> Replica:
        """The replica in a local state, to look at."""
        return self._nodes[local][0].replicas[PARTITION]

    def disk(self, local: int) -> Disk:
        return self._nodes[local][1]

    def number_of(self, node: Node, disk: Disk) -> int:
        key = canonical(node, disk)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._nodes)
            self._nodes.append((node, disk))
            facts = facts_of(node.replicas[PARTITION], disk)
            self.facts.append(facts)
            self.facts_number.append(self._facts_numbers.setdefault(facts, len(self._facts_numbers)))
        return number

    def letter(self, sender: Node, to: NodeId, message: msg.Message) -> int:
        key = (sender.id, sender.boot, INDEX[to], msg.encode_message(message))
        number = self._letter_numbers.get(key)
        if number is None:
            number = self._letter_numbers[key] = len(self.letters)
            self.letters.append(Letter(sender.id, sender.boot, INDEX[to], message))
        return number

    def outcome(self, local: int, event: Event) -> Outcome:
        key = (local, event)
        found = self._outcomes.get(key)
        if found is None:
            found = self._outcomes[key] = self._run(local, event)
        return found

    def answer_to_dry_round(self, asker: int, peer: int) -> tuple[Outcome, int]:
        """What happens at `peer` when `asker` asks it whom it could support, and the number of its answer."""
        node = self._nodes[asker][0]
        r = node.replicas[PARTITION]
        peer_node, disk = self._nodes[peer]
        number = self.letter(node, peer_node.id, msg.Probe(PARTITION, r.id, node.boot))
        key = (peer, Event("probe", number))
        outcome = self._outcomes.get(key)
        if outcome is None:
            step = _Step(self, copy_of(peer_node), disk.copy())
            step.event(_received(self.letters[number]))
            replies = [
                self.letter(step.node, to, message) for to, message in step.hints if isinstance(message, msg.ProbeReply)
            ]
            local = self.number_of(step.node, step.disk)
            outcome = self._outcomes[key] = Outcome(
                local, tuple((INDEX[node.id], reply) for reply in replies), 0, 0, ""
            )
        return outcome, outcome.sends[0][1]

    def _run(self, local: int, event: Event) -> Outcome:
        node, disk = self._nodes[local]
        step = _Step(self, copy_of(node), disk.copy())
        try:
            step.run(event)
        except AssertionError as error:
            return Outcome(local, (), 0, 0, f"assertion in the core: {error}")
        except Broken as broken:
            return Outcome(local, (), 0, 0, str(broken))
        after = self.number_of(step.node, step.disk)
        return Outcome(after, tuple(sorted(step.sends)), step.committed_lsn, step.snipped, "")


class _Step:
    """One event at one node, with all that follows from it at once."""

    def __init__(self, steps: Steps, node: Node, disk: Disk) -> None:
        self.steps, self.node, self.disk = steps, node, disk
        self.r = node.replicas[PARTITION]
        self.sends: set[tuple[int, int]] = set()
        self.hints: list[tuple[NodeId, msg.Message]] = []
        self.committed_lsn: Lsn = 0
        self.snipped: Lsn = 0

    def run(self, event: Event) -> None:
        match event.what:
            case "deliver":
                self.event(_received(self.steps.letters[event.arg]))
            case "sync":
                self.event(ev.Synced(self.disk.sync_first()))
            case "timer":
                self.next_timer()
            case "stand":
                self.stand(_received(self.steps.letters[event.arg]))
            case "propose":
                self.event(ev.Propose(PARTITION, [(event.arg, Kind.DATA, b"write %d" % event.arg)]))
            case "crash":
                self.crash(event.arg)
            case _:
                raise ValueError(event)

    def event(self, event: ev.Event) -> None:
        promised, commit_lsn, mastership = self.r.promised, self.r.commit_lsn, self.r.mastership
        effects = self.node.step(event, self.node.now)
        if self.r.promised < promised:
            raise Broken(f"the promised epoch fell from {promised} to {self.r.promised}")
        if self.r.commit_lsn < commit_lsn:
            raise Broken(f"the commit LSN fell from {commit_lsn} to {self.r.commit_lsn}")
        if mastership is not None and self.r.commit_lsn > commit_lsn:
            self.committed_lsn = self.r.commit_lsn
        self.carry_out(effects)

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist():
                    self.disk.write(effect.sequence, effect.entries)
                    snips = [entry.first_lsn for entry in effect.entries if isinstance(entry, SnipEntry)]
                    self.snipped = min(snips, default=self.snipped)
                case Send():
                    self.send(effect.to, effect.message)
                case Apply():
                    self.event(ev.Applied(PARTITION, effect.records[-1].lsn))
                case _:
                    pass  # What the shell would tell clients or the catalog.
        settle(self.node)

    def send(self, to: NodeId, message: msg.Message) -> None:
        if isinstance(message, HINTS):
            self.hints.append((to, message))
            return
        require_durable(self.disk, message)
        self.sends.add((INDEX[to], self.steps.letter(self.node, to, message)))

    def timer(self, at: Micros) -> None:
        self.node.now = max(self.node.now, at)
        self.event(ev.Tick())

    def next_timer(self) -> None:
        """Time passes until a timer fires that has a consequence: a wake that finds nothing due is none."""
        role, waiting = self.r.role, self.disk.waiting
        for _ in range(WAKES_MAX):
            if self.r.wake_at == NEVER:
                return
            self.timer(self.r.wake_at)
            if self.sends or self.r.role != role or self.disk.waiting != waiting:
                return

    def stand(self, answer: ev.Received) -> None:
        self.timer(self.r.election_at)
        self.event(answer)
        while self.r.role == CANDIDATE and self.r.candidacy is not None and self.r.candidacy.phase == "probe":
            self.timer(self.r.wake_at)

    def crash(self, survivors: int) -> None:
        self.disk.crash(survivors)
        boot = ((self.node.boot >> BOOT_SHIFT) + 1) << BOOT_SHIFT
        self.node = Node(SETTINGS, self.node.id, boot, [self.disk.recovered(PARTITION)], 0, 0)
        self.r = self.node.replicas[PARTITION]
        self.node._prng = NoJitter(0)
        self.carry_out(self.node.start(0))
        self.node.now = self.node.silent_until


def settle(node: Node) -> None:
    """Takes out of a node what no later event can see.

    No heartbeat is ever answered, so nothing is ever granted, and no account is kept of what was sent. What waits twice
    for one sync happens once: the replica looks at its log once, and a message that is sent twice is one message.
    """
    node.leases.grants_from.clear()
    node.leases.heartbeat_at = NEVER
    r = node.replicas[PARTITION]
    node._wakes = [(r.wake_at, PARTITION)] if r.wake_at < NEVER else []
    waiting: dict[int, list[Effect]] = {}
    for sequence, _, effects in node._after:
        held = waiting.setdefault(sequence, [])
        held.extend(effect for effect in effects if effect not in held)
    node._after = deque((sequence, [PARTITION], effects) for sequence, effects in waiting.items())


def _received(letter: Letter) -> ev.Received:
    return ev.Received(letter.sender, letter.boot, letter.message)


def facts_of(r: Replica, disk: Disk) -> Facts:
    log = tuple([(record.epoch, record.hash) for record in r.log.records])
    return Facts(r.role, r.epoch, r.node.boot, r.commit_lsn, r.applied_lsn, log, disk.contiguous())


def require_durable(disk: Disk, message: msg.Message) -> None:
    """Raises Broken where a node tells what a crash could still undo."""
    promised = disk.state.promised if disk.state else 0
    held = disk.contiguous()
    match message:
        case msg.Support():
            if promised < message.epoch:
                raise Broken(f"reported before its promise of epoch {message.epoch} was durable: {message}")
            if not _covers(held, message.last_epoch, message.last_lsn):
                raise Broken(f"reported a log that is not durable: {message}")
        case msg.SupportRequest():
            if promised < message.epoch:
                raise Broken(f"asked for support before its own promise was durable: {message}")
        case msg.Appended():
            if promised < message.epoch:
                raise Broken(f"acked in epoch {message.epoch}, which it has not durably promised: {message}")
            if len(held) < message.durable_lsn:
                raise Broken(f"acked LSN {message.durable_lsn}; durable is {len(held)}: {message}")
        case _:
            pass


def _covers(held: tuple[tuple[int, int], ...], epoch: Epoch, lsn: Lsn) -> bool:
    return lsn == 0 or (len(held) >= lsn and held[lsn - 1][0] == epoch)


def can_stand(r: Replica) -> bool:
    return r.role == FOLLOWER and r.election_at < NEVER


def is_serving(r: Replica) -> bool:
    return r.role == MASTER and r.mastership is not None and r.mastership.serving


def text_of(message: msg.Message) -> str:
    fields = msgspec.structs.asdict(message)
    shown = [f"{name}={value!r}" for name, value in fields.items() if name not in ("partition", "records", "boot")]
    if fields.get("records"):
        shown.append(f"records={len(fields['records'])} bytes")
    return f"{type(message).__name__}({', '.join(shown)})"
