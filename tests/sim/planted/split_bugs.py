"""Planted bugs of splits: rules of the core, and of what carries a split out on a node (here tests/sim/splits.py)."""

from __future__ import annotations

from typing import Any

from keystead_core.ids import PartitionId
from keystead_core.log.entries import LogPoint
from keystead_core.log.record import Kind
from keystead_core.replication import election, splitting
from keystead_core.replication.events import HostReplica
from keystead_core.replication.node import Node
from keystead_core.replication.replica import Replica
from keystead_core.split.record import Split
from tests.sim.machine import Answer, Process
from tests.sim.planted.registry import plant
from tests.sim.rows import Key, Value
from tests.sim.splits import Splits
from tests.sim.stores import Stores


def _always(*_arguments: Any) -> bool:
    return True


_splits_in_rows = Stores.splits


def _splits_in_log(self: Stores, partition: PartitionId) -> list[tuple[LogPoint, Split]]:
    found = _splits_in_rows(self, partition)
    r = self._process.core.replicas.get(partition)
    for lsn, split in r.log.splits if r is not None else []:
        record = r.log.record_at(lsn) if r is not None else None
        if record is not None and record.kind == Kind.SPLIT and split.right not in [known.right for _, known in found]:
            found.append((LogPoint(record.epoch, record.lsn, record.hash), split))
    return found


plant(
    "right-group-before-the-commit",
    "a right replica begins where the split is committed and applied (schedule 15)",
    (Stores, "splits", _splits_in_log),
)


def _let_go_at_once(self: Stores, partition: PartitionId) -> None:
    _on_split(self, partition)
    for _, split in self.splits(partition):
        self.rows_of(partition).let_go(split)


_on_split = Stores.on_split
plant(
    "right-rows-let-go-early",
    "the left group keeps the right rows until every right member has them (schedule 15)",
    (Stores, "on_split", _let_go_at_once),
)
plant(
    "stale-map-trusted",
    "every replica checks each key against its own range",
    (splitting, "is_written_here", _always),
    (splitting, "is_read_here", _always),
    (Stores, "is_in_range", _always),
)


def _written_until_the_commit(r: Replica, key: bytes) -> bool:
    return all(key < split.at for lsn, split in r.log.splits if lsn <= r.commit_lsn)


plant(
    "right-write-behind-the-split",
    "no write of the right range is taken once the split is in the log",
    (splitting, "is_written_here", _written_until_the_commit),
)
plant(
    "right-read-behind-the-commit",
    "no read of the right range is served once the split is committed (schedule 15)",
    (splitting, "is_read_here", _always),
    (Stores, "is_in_range", _always),
)


def _begin_at_zero(node: Node, event: HostReplica) -> None:
    _begin_right(node, event)
    r = node.replicas[event.partition]
    r.promised = r.epoch_seen = 0
    r.base_sequence = r.persist_state()


def _epoch_above_promises(r: Replica) -> int:
    behind_base = r.log.last_epoch if r.log.last_lsn > r.log.base.lsn else 0
    return max(r.epoch_seen, r.promised, behind_base, r.lock_counter) + 1


_begin_right = splitting.begin_right
plant(
    "right-epochs-begin-anew",
    "the right group's epochs are above the split record's",
    (splitting, "begin_right", _begin_at_zero),
    (election, "next_epoch", _epoch_above_promises),
)


def _own_splits_only(r: Replica, key: bytes) -> bool:
    ship = r.mastership
    return all(key < split.at for lsn, split in r.log.splits if ship is not None and lsn >= ship.epoch_lsn)


def _put_unchecked(self: Process, partition: PartitionId, key: Key, value: Value, answer: Answer) -> None:
    """What the rows say of their range is not looked at: it would hide what the log allows."""
    self.stores.is_in_range = _always  # type: ignore[method-assign]
    _put(self, partition, key, value, answer)
    del self.stores.is_in_range


_put = Process.put
plant(
    "inherited-split-ignored",
    "a new master takes no write that a split in its log forbids, whoever appended it",
    (splitting, "is_written_here", _own_splits_only),
    (Process, "put", _put_unchecked),
)


def _nothing_against_it(*_arguments: Any) -> str:
    return ""


def _no_source(*_arguments: Any) -> bool:
    return False


plant(
    "source-of-a-split-removed",
    "who is to make a right replica stays in the left group until it has",
    (splitting, "refusal_to_remove", _nothing_against_it),
    (Splits, "is_source", _no_source),
)


def _as_targeted(_self: Splits, _left: Any, _split: Split) -> list[Any]:
    return []


plant(
    "copies-not-given-back",
    "a node from whose rows the right half is made has a replica of the left group until it is settled",
    (Splits, "_copies", _as_targeted),
)
