"""Copies of a node's core, and the canonical form by which two of them are known to be the same.

Both walk over all fields, so that a field added to the core is copied and compared without being named here. The
canonical form leaves out only what the core never decides by, and replaces what has no meaning of its own:

- times become distances from the node's present; what has passed is 0 (the core compares times with the present only)
- Persist sequence numbers become distances from the last synced one; what is synced is 0
- records become their hashes, each of which names its whole history
- left out: texts for people (`why`), caches, and what belongs to leases, which are not explored (see steps.py)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

import msgspec

from keystead_core.log.entries import AppendEntry, LogEntry
from keystead_core.log.record import Record
from keystead_core.replication.effects import Send
from keystead_core.replication.messages import encode_message
from keystead_core.replication.node import Node
from keystead_core.replication.pair_leases import PairLeases
from keystead_core.replication.peers import Peers
from keystead_core.replication.replica import NEVER, Candidacy, Mastership, Progress, Replica
from keystead_core.replication.replica_log import ReplicaLog
from tests.explore.disk import Disk

TIMES = frozenset({
    "closes_at", "election_at", "excused_until", "failing_at", "grant_floor", "handover_until", "leaving_at",
    "lock_asked_at", "notice_at", "phase_ends", "resend_at", "retell_at", "silent_until", "wake_at",
})  # fmt: skip
SEQUENCES = frozenset({"_sequence", "base_sequence", "counts_from", "state_sequence", "synced"})
LEFT_OUT = frozenset({
    "_effects", "_entries", "_heard_at", "_peers", "_prng", "_rules", "_touched", "_waiting", "_wakes", "bytes",
    "heard_at", "id", "last_clock", "lease_cache", "leases", "memberships", "node", "now", "sealed_membership",
    "sender", "serving_since", "settings", "why",
})  # fmt: skip
MUTABLE = (Replica, ReplicaLog, Progress, Mastership, Candidacy, Peers)


# -- copies -------------------------------------------------------------------------------------------------------


def copy_of(node: Node) -> Node:
    """A node that shares nothing changeable with `node`."""
    other = Node.__new__(Node)
    for name, value in node.__dict__.items():
        other.__dict__[name] = _copied(value)
    other.leases = PairLeases(other)  # No heartbeat is ever answered: a node holds and gives no grant.
    other.leases.generation = node.leases.generation
    for r in other.replicas.values():
        r.node = other
    return other


def _copied(value: Any) -> Any:
    copier = _COPIERS.get(type(value))
    return copier(value) if copier else value


def _copied_slots(value: Any) -> Any:
    kind = type(value)
    other = kind.__new__(kind)
    for name in kind.__slots__:
        if name != "node":
            setattr(other, name, _copied(getattr(value, name)))
    return other


_COPIERS: dict[type, Callable[[Any], Any]] = {
    list: list,
    set: set,
    deque: deque,
    dict: lambda value: {key: _copied(held) for key, held in value.items()},
    **dict.fromkeys(MUTABLE, _copied_slots),
}


# -- the canonical form -------------------------------------------------------------------------------------------


def canonical(node: Node, disk: Disk) -> Hashable:
    """Equal for two pairs of node and volume just if no later event can tell them apart."""
    assert not node._effects and not node._entries and not node._touched and not node._waiting
    return (_fields(node, node.__dict__, node), _disk(disk))


def _fields(value: Any, names: Any, node: Node) -> Hashable:
    return tuple([_field(name, getattr(value, name), node) for name in names if name not in LEFT_OUT])


def _field(name: str, value: Any, node: Node) -> Hashable:
    if name in TIMES:
        return -1 if value == NEVER else max(0, value - node.now)
    if name in SEQUENCES:
        return max(0, value - node.synced)
    if name == "_unsynced":
        return tuple([(sequence - node.synced, lsn) for sequence, lsn in value])
    if name == "ahead":
        kept = sorted(value.items())
        return tuple([(lsn, record.hash, max(0, seq - node.synced), *more) for lsn, (record, seq, *more) in kept])
    if name == "_after":
        return tuple([(seq - node.synced, tuple(touched), _value(waiting, node)) for seq, touched, waiting in value])
    if name == "records":
        return value[-1].hash if value else 0
    return _value(value, node)


def _value(value: Any, node: Node) -> Hashable:
    match value:
        case int() | str() | bytes() | None:
            return value
        case Send():
            return (value.to, encode_message(value.message))
        case dict():
            return tuple(sorted([(key, _value(held, node)) for key, held in value.items()]))
        case set():
            return tuple(sorted(value))
        case list() | tuple() | deque():
            return tuple([_value(held, node) for held in value])
        case Record():
            return value.hash
        case msgspec.Struct():
            return repr(value)
        case _ if isinstance(value, MUTABLE):
            return _fields(value, type(value).__slots__, node)
        case _:
            raise TypeError(f"no canonical form of {value!r}")


def _disk(disk: Disk) -> Hashable:
    durable = tuple([(lsn, disk.records[lsn].hash) for lsn in sorted(disk.records)])
    waiting = tuple([tuple([_entry(entry) for entry in entries]) for _, entries in disk.waiting])
    return (repr(disk.state), durable, disk.commit_lsn, waiting)


def _entry(entry: LogEntry) -> Hashable:
    if isinstance(entry, AppendEntry):
        return (entry.commit_lsn, tuple([record.hash for record in entry.records]))
    return repr(entry)
