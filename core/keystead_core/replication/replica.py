"""The state of one replica. It is changed only by the functions of this package, inside `Node.step`.

role      follower -> candidate -> master; any -> follower on a higher promise. Mastership ends with the process.
promised  the epoch below which this replica takes nothing any more, and to which candidate it was promised
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import NO_REPLICA, Boot, Epoch, Lsn, Micros, NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint, ReplicaState, SnipEntry, StateEntry
from keystead_core.replication.effects import Apply, Deposed
from keystead_core.replication.membership import Member, Membership, encode_membership
from keystead_core.replication.messages import GroupMessage, Release, RepairRequest
from keystead_core.replication.replica_log import ReplicaLog

if TYPE_CHECKING:
    from keystead_core.replication.node import Node

NEVER: Micros = 1 << 62

FOLLOWER = "follower"
CANDIDATE = "candidate"
MASTER = "master"

PLANNED = "planned"
DAMAGED = "damaged"
COPIED = "copied"
"""Its log was replaced, or lost with its rows: what it had acked may be missing."""
COPYING = "copying"
"""A copy that covers all it ever acked takes the place of its log: it counts again once that is installed."""
RETIRED = "retired"
"""For ever: its group was given up, and another takes its range (docs/decisions/0012)."""


class Progress:
    """What a master knows of one other member. `next_lsn`: the first LSN not yet sent.

    `told_lsn`: the commit LSN last told to it, again at `retell_at` unless `known_commit_lsn` has risen there.
    `copy_lsn`: the base of the last copy sent is not below it, until the member is in step (0: it is, or gets none).
    `standing`: the latest heard of from its `boot`. `excused_until`: it may be about to become ineligible.
    """

    __slots__ = (
        "boot", "copy_lsn", "copying", "eligible", "excused_until", "heard_at", "known_commit_lsn", "level",
        "log_start", "match_lsn", "next_lsn", "paused", "resend_at", "retell_at", "standing", "told_lsn",
    )  # fmt: skip

    def __init__(self, next_lsn: Lsn) -> None:
        self.next_lsn = next_lsn
        self.match_lsn: Lsn = 0
        self.level = False
        self.eligible = True
        self.copying = False
        self.copy_lsn: Lsn = 0
        self.paused = True
        self.boot: Boot = 0
        self.standing = 0
        self.excused_until: Micros = -1
        self.heard_at: Micros = -1
        self.resend_at: Micros = NEVER
        self.log_start: Lsn = 0
        self.told_lsn: Lsn = 0
        self.retell_at: Micros = NEVER
        self.known_commit_lsn: Lsn = 0


class Mastership:
    """What a master holds beside its log; gone when its epoch ends."""

    __slots__ = (
        "changing_lsn", "cold_reads", "epoch_lsn", "failing_at", "handing_to", "handover_until", "lease_cache",
        "notice_at", "progress", "reached", "read_barrier", "reads", "reads_next", "serving",
        "serving_since",
    )  # fmt: skip

    def __init__(self, epoch_lsn: Lsn) -> None:
        self.epoch_lsn = epoch_lsn
        self.serving = False
        self.progress: dict[ReplicaId, Progress] = {}
        self.changing_lsn: Lsn = 0
        self.handing_to = NO_REPLICA
        self.handover_until: Micros = NEVER
        self.failing_at: Micros = NEVER
        self.notice_at: Micros = NEVER
        self.lease_cache: tuple[int, Micros] = (-1, -1)
        self.cold_reads: set[ReplicaId] = set()
        self.reads: list[int] = []
        self.reads_next: list[int] = []
        self.read_barrier: dict[NodeId, int] = {}
        self.serving_since: Micros = NEVER
        self.reached: tuple[Membership, list[ReplicaTarget]] | None = None


class Candidacy:
    """An election that this replica stands for. phase: probe -> lock -> promise -> gather (-> fetch -> gather)."""

    __slots__ = (
        "closes_at", "deferred", "epoch", "fetching", "fetching_after", "lapsed", "phase", "phase_ends", "refusals",
        "release", "resend_at", "supporters",
    )  # fmt: skip

    def __init__(self) -> None:
        self.phase = "probe"
        self.epoch: Epoch = 0
        self.lapsed: set[ReplicaId] = set()
        self.refusals: dict[ReplicaId, str] = {}
        self.supporters: dict[ReplicaId, tuple[Epoch, Lsn]] = {}
        self.release: Release | None = None
        self.fetching = NO_REPLICA
        self.fetching_after: Lsn = 0
        self.phase_ends: Micros = NEVER
        self.closes_at: Micros = NEVER
        self.resend_at: Micros = NEVER
        self.deferred = False


class Damage:
    """Records that this volume once had and no longer can read, and who is known not to have them either.

    `doubtful`: all of them are from batches of which nobody knows whether they ever were synced. `candidates`: nodes
    that asked for support meanwhile.
    """

    __slots__ = ("ask_at", "candidates", "doubtful", "lacking", "missing", "since_epoch", "unknown")

    def __init__(self, missing: dict[Lsn, int], unknown: bool, since_epoch: Epoch, doubtful: bool = False) -> None:
        self.missing = missing
        self.doubtful = doubtful
        self.unknown = unknown
        self.since_epoch = since_epoch
        self.lacking: set[ReplicaId] = set()
        self.candidates: dict[NodeId, None] = {}
        self.ask_at: Micros = 0


class Replica:
    """One replica of one group on this node."""

    __slots__ = (
        "_peers", "_rules", "applied_lsn", "apply_sent_lsn", "base_sequence", "candidacy", "commit_lsn", "counts_from",
        "damage", "election_at", "epoch", "epoch_seen", "grant_floor", "id", "ineligible", "leaving_acks", "leaving_at",
        "lock_asked_at", "lock_counter", "log", "master", "master_boot", "master_node", "mastership", "matched_lsn",
        "node", "partition", "promised", "promised_boot", "promised_to", "repairs", "resigned_epoch",
        "role",
        "sealed", "sealed_membership", "sealing", "staged", "standing", "started_log_only", "state_sequence", "target",
        "target_rules", "told_counts", "wake_at", "why",
    )  # fmt: skip

    def __init__(self, node: Node, partition: PartitionId, replica: ReplicaId, log: ReplicaLog) -> None:
        self.node = node
        self.partition = partition
        self.id = replica
        self.log = log
        self.role = FOLLOWER
        self.epoch: Epoch = 0
        self.promised: Epoch = 0
        self.promised_to = NO_REPLICA
        self.promised_boot: Boot = 0
        self.epoch_seen: Epoch = 0
        self.resigned_epoch: Epoch = 0
        self.ineligible = ""
        self.counts_from = 0  # Persist sequences: of the return from ineligibility, the last state, a new base.
        self.state_sequence = 0
        self.base_sequence = 0
        self.commit_lsn: Lsn = 0
        self.applied_lsn: Lsn = 0
        self.apply_sent_lsn: Lsn = 0
        self.matched_lsn: Lsn = 0
        self.master = NO_REPLICA
        self.master_boot: Boot = 0
        self.master_node = NodeId("")
        self.candidacy: Candidacy | None = None
        self.mastership: Mastership | None = None
        self.damage: Damage | None = None
        self.repairs: dict[ReplicaId, tuple[RepairRequest, NodeId]] = {}  # Whom the cold log is read for.
        self.election_at: Micros = NEVER
        self.wake_at: Micros = NEVER
        self.grant_floor: Micros = -1
        self.lock_counter = 0
        self.lock_asked_at: Micros = -1
        self.leaving_at: Micros = NEVER
        self.leaving_acks: set[ReplicaId] = set()
        self.sealing = False
        self.sealed = log.base
        self.sealed_membership = log.memberships[0][1] if log.memberships else None
        self.staged = 0
        self.started_log_only = False
        self.standing = 0  # See messages.Appended; `told_counts` is what was last said with it.
        self.told_counts = True
        self.target: list[ReplicaTarget] = []
        self.target_rules: tuple[int, int] | None = None
        self.why = ""
        self._rules: tuple[Membership | None, Membership | None, list[Membership]] = (None, None, [])
        self._peers: tuple[list[Membership] | None, list[Member]] = (None, [])

    # -- who is who -----------------------------------------------------------------------------------------------

    @property
    def membership(self) -> Membership | None:
        return self.log.membership

    @property
    def own_member(self) -> Member | None:
        membership = self.log.membership
        return membership.member(self.id) if membership else None

    @property
    def own_last_member(self) -> Member | None:
        """What the last membership that names this replica says: also after its removal, committed or not."""
        membership = self.own_last_membership
        return membership.member(self.id) if membership else None

    @property
    def own_last_membership(self) -> Membership | None:
        """The last membership in the log that names this replica."""
        return next((m for _, m in reversed(self.log.memberships) if m.member(self.id) is not None), None)

    @property
    def is_log_only(self) -> bool:
        member = self.own_last_member
        return member is not None and member.log_only

    def peers(self) -> list[Member]:
        """The other members, by the latest membership and any uncommitted predecessor."""
        rules = self.rules()
        if self._peers[0] is not rules:
            found: dict[ReplicaId, Member] = {}
            for membership in rules:
                for member in membership.members:
                    if member.replica != self.id:
                        found.setdefault(member.replica, member)
            self._peers = (rules, list(found.values()))
        return self._peers[1]

    def rules(self) -> list[Membership]:
        """The memberships whose quorums must all be met: the latest, and the one before while it is uncommitted."""
        memberships = self.log.memberships
        if not memberships:
            return []
        lsn, latest = memberships[-1]
        open_change = len(memberships) > 1 and lsn > self.commit_lsn
        before = memberships[-2][1] if open_change else None
        known_latest, known_before, rules = self._rules
        if known_latest is not latest or known_before is not before:
            rules = [latest] if before is None else [latest, before]
            self._rules = (latest, before, rules)
        return rules

    def member_at(self, node: NodeId) -> Member | None:
        return next((m for m in self.peers() if m.node == node), None)

    def send(self, to: ReplicaId, message: GroupMessage) -> None:
        for member in self.peers():
            if member.replica == to:
                self.node.send(member.node, message)
                return

    @property
    def unfit(self) -> str:
        """Why this replica may not ack, grant, support or stand; '' where it may."""
        if self.ineligible:
            return self.ineligible
        if self.counts_from > self.node.synced:
            return "its return is not durable yet"
        return DAMAGED if self.damage else ""

    # -- what survives --------------------------------------------------------------------------------------------

    def state(self, dropped: bool = False) -> ReplicaState:
        base, base_membership = self.sealed, self.sealed_membership
        if self.log.base.lsn >= base.lsn:
            base = self.log.base
            base_membership = self.log.membership_at(base.lsn)
        return ReplicaState(
            self.id,
            self.promised,
            self.promised_to,
            self.promised_boot,
            self.ineligible,
            base,
            encode_membership(base_membership) if base_membership else b"",
            dropped,
            self.started_log_only,
        )

    def persist_state(self) -> int:
        """Returns the sequence number after which the state is durable."""
        self.state_sequence = self.node.persist(StateEntry(self.partition, self.state()))
        return self.state_sequence

    @property
    def state_is_durable(self) -> bool:
        return self.state_sequence <= self.node.synced

    @property
    def base_is_durable(self) -> bool:
        """False while the log has just been replaced by a base that a crash would still forget."""
        return self.base_sequence <= self.node.synced

    def say_counts(self, counts: bool) -> int:
        """Notes what is about to be told, whether this replica counts; returns the standing to tell with it."""
        if counts != self.told_counts:
            self.told_counts = counts
            self.standing += 1
        return self.standing

    def count_again(self) -> None:
        """No longer ineligible; it acks, grants and supports only once that is durable."""
        self.ineligible = ""
        self.counts_from = self.persist_state()

    def promise(self, epoch: Epoch, to: ReplicaId, boot: Boot) -> int:
        """Promises `epoch` to a candidate and persists it; returns the sequence after which it is durable."""
        assert epoch >= self.promised, (epoch, self.promised)
        if epoch > self.promised:
            self.step_down(f"promised epoch {epoch} to replica {to}")
        self.promised, self.promised_to, self.promised_boot = epoch, to, boot
        self.epoch_seen = max(self.epoch_seen, epoch)
        self.matched_lsn = 0
        self.master = NO_REPLICA
        self.node.leases.recheck(self)
        return self.persist_state()

    def snip(self, first_lsn: Lsn) -> None:
        """Kills the tail from `first_lsn` on, durably with or before whatever replaces it."""
        assert first_lsn > self.commit_lsn, ("a snip never passes the commit LSN", self, first_lsn)
        self.log.snip(first_lsn)
        self.matched_lsn = min(self.matched_lsn, first_lsn - 1)
        self.node.persist(SnipEntry(self.partition, first_lsn, self.promised))

    # -- commit and apply -----------------------------------------------------------------------------------------

    def advance_commit(self, lsn: Lsn) -> None:
        """Everything up to `lsn` is committed: hand it to the rows, in order."""
        if lsn <= self.commit_lsn:
            return
        assert lsn <= self.log.last_lsn, (self, lsn)
        self.commit_lsn = lsn
        self.apply_committed()
        self.node.consider_sealing(self)

    def note_sealed(self, end: LogPoint) -> None:
        self.sealed, self.sealed_membership = end, self.log.membership_at(end.lsn)

    def apply_committed(self) -> None:
        """Where no membership in the log names this replica (yet, or any more) it is not known whether it has rows."""
        if self.staged:
            return
        first = max(self.apply_sent_lsn, self.log.base.lsn) + 1
        last = self.applicable_lsn()
        member = self.own_last_member
        if first > last or member is None:
            return
        self.apply_sent_lsn = last
        if member.log_only:
            self.applied_lsn = last
            return
        self.node.emit(Apply(self.partition, self.log.range(first, last)))

    def applicable_lsn(self) -> Lsn:
        """Nobody applies, seals or archives above the commit LSN that it knows."""
        return self.commit_lsn

    # -- roles ----------------------------------------------------------------------------------------------------

    def step_down(self, why: str) -> None:
        """Become a follower. A mastership that ends leaves the outcome of its uncommitted writes unknown."""
        if self.role == FOLLOWER:
            return
        if self.mastership is not None:
            self.node.leases.leave_mastership(self)
            self.node.emit(Deposed(self.partition, self.epoch))
            self.resigned_epoch = self.epoch
        self.role = FOLLOWER
        self.epoch = 0
        self.mastership = None
        self.candidacy = None
        self.why = why

    def wake(self, at: Micros) -> None:
        if at < self.wake_at:
            self.wake_at = at
            self.node.wake(at, self.partition)

    def __repr__(self) -> str:
        return (
            f"<{self.node.id}/p{self.partition} r{self.id} {self.role} e{self.epoch or self.promised} "
            f"commit {self.commit_lsn} last {self.log.last_lsn} base {self.log.base.lsn}>"
        )
