"""Splits in a group's log: when one may be appended, and what its master takes and serves from then on.

    appended    no write of the right range is taken (a new master that finds the record in its log takes none either)
    committed   no read of it is served, before anyone is told of the commit
    applied     the rows know their own range; a replica of the right group begins where it is to have one

The right group's first replicas are made by `begin_right`, each on its own, where the split is known to be committed
and applied, and nowhere else (docs/protocol.md, Split).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead_core.indexes.feed import keys_of_feed
from keystead_core.log.entries import LogPoint
from keystead_core.log.ops import keys_of
from keystead_core.log.record import Kind
from keystead_core.replication import master, reconfiguration, suspicion
from keystead_core.replication.effects import ProposalRefused
from keystead_core.replication.events import HostReplica, Propose, ProposeSplit
from keystead_core.replication.membership import Membership
from keystead_core.replication.replica import Replica
from keystead_core.replication.replica_log import ReplicaLog
from keystead_core.split.record import Split, decode_split

if TYPE_CHECKING:
    from keystead_core.replication.node import Node

OUT_OF_RANGE = "not a key of this partition any more"
"""The refusal of a write or read that the right group of a split has taken over: whoever asks looks at the map anew."""


def propose(r: Replica, event: ProposeSplit) -> None:
    """Appends the split, or notes in `why` what it waits for."""
    split = decode_split(event.body)
    refusal = refusal_of(r, split)
    if refusal:
        r.why = f"split waits: {refusal}"
        return
    master.append(r, Kind.SPLIT, [event.body], event.clock)
    master.replicate(r)


def refusal_of(r: Replica, split: Split) -> str:
    """Why the split may not be appended now, or ''."""
    refusal = reconfiguration.refusal_to_change(r)
    if refusal:
        return refusal
    if any(known.right == split.right for _, known in r.log.splits):
        return "it is in the log already"
    if any(lsn > r.commit_lsn for lsn, _ in r.log.splits):
        return "another split is uncommitted"
    if any(split.high is None or split.high > known.at for _, known in r.log.splits):
        return "part of its range has gone to another partition already"
    level = reconfiguration.level_members(r)
    live = reconfiguration.live_members(r)
    membership = r.membership
    assert membership is not None
    by_node = {m.node: m for m in membership.members}
    for wanted in split.members:
        member = by_node.get(wanted.node)
        if member is None or member.log_only:
            return f"node {wanted.node} has no copy of the rows"
        if member.replica not in live or (not member.voter and member.replica not in level):
            return f"the copy on node {wanted.node} is not level yet"
    return ""


def refusal_to_remove(r: Replica, membership: Membership, new: Membership) -> str:
    """Who is to make a right replica of its rows stays until it knows of the commit, if it can be heard of.

    Else, with all of them removed just behind the split, nobody would be left to begin the right group.
    """
    ship = r.mastership
    assert ship is not None
    leaves = {m.node: m.replica for m in membership.members if m.replica != r.id and new.member(m.replica) is None}
    live = reconfiguration.live_members(r)
    for lsn, split in r.log.splits:
        for node in [member.node for member in split.members if leaves.get(member.node) in live]:
            progress = ship.progress.get(leaves[node])
            if progress is None or progress.known_commit_lsn < lsn:
                return f"node {node} has not heard yet that the split is committed"
    return ""


def take_out_of_range(r: Replica, event: Propose) -> Propose:
    """Refuses the row changes that a split in the log forbids; returns the event with what is left."""
    refused: list[int] = []
    kept = []
    for proposal in event.proposals:
        token, kind, body = proposal
        keys = keys_of(body) if kind == Kind.DATA else keys_of_feed(body) if kind == Kind.INDEX_FEED else []
        if not all(is_written_here(r, key) for key in keys):
            refused.append(token)
        else:
            kept.append(proposal)
    if not refused:
        return event
    r.node.emit(ProposalRefused(r.partition, refused, OUT_OF_RANGE, r.node.node_of_master(r)))
    return Propose(event.partition, kept, event.clock)


def is_written_here(r: Replica, key: bytes) -> bool:
    """From the moment that a split is in the log nothing of its right range is written here."""
    return all(key < split.at for _, split in r.log.splits)


def is_read_here(r: Replica, key: bytes) -> bool:
    """From the commit of a split nothing of its right range is read here."""
    return all(key < split.at for lsn, split in r.log.splits if lsn <= r.commit_lsn)


def reads_to(r: Replica, high: bytes | None) -> bool:
    """The same of a scan that ends below `high` (None: the end of all keys)."""
    committed = [split.at for lsn, split in r.log.splits if lsn <= r.commit_lsn]
    return not committed or (high is not None and high <= min(committed))


def begin_right(node: Node, event: HostReplica) -> None:
    """A first replica of a right group: its log begins at the split record, its first epoch above the left group's.

    Nobody has granted anything in this group yet, so its first member, on the left master's node, may stand at once.
    """
    assert event.founding is not None
    base: LogPoint = event.base
    r = Replica(node, event.partition, event.replica, ReplicaLog(base, event.founding))
    node.replicas[event.partition] = r
    r.promised = r.epoch_seen = base.epoch
    r.commit_lsn = r.applied_lsn = r.apply_sent_lsn = base.lsn
    r.base_sequence = r.persist_state()
    suspicion.suspect(r, max(0, node.silent_until - node.now) + suspicion.rank(r) * node.settings.lease // 2)
