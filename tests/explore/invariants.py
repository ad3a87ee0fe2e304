"""The checks of the whole cluster, after every event (docs/protocol.md, Invariants).

`Ledger` is the history that no node holds: which records were ever committed, and which master committed in which
epoch. It is part of each explored state. The quorum and zone rules stand here a second time, in their plainest form,
so that a fault in the core's own cannot hide itself.

`no failover quorum could forget` is the one that finds faults early: were all nodes to crash now, would each quorum
still hold a newest log with all that was committed? It is what makes `every acked record is in each later master's
log` true, so it is asked in every state and not only once a master without the record has come.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

from keystead_core.ids import Epoch, Lsn
from keystead_core.replication.replica import MASTER
from tests.explore.steps import Facts

WRITE_QUORUM = 2
FAILOVER_QUORUM = 2
ZONES = ("a", "b", "c")

Log = tuple[tuple[int, int], ...]


class Ledger(NamedTuple):
    """`log`: (epoch, hash) of each committed record; `epoch`: of the master that committed the last of them.

    `masters`: (epoch, index, boot) of each master that has committed anything."""

    log: Log
    epoch: Epoch
    masters: tuple[tuple[Epoch, int, int], ...]


def commit(ledger: Ledger, index: int, facts: list[Facts], lsn: Lsn, durable_zones: int) -> tuple[Ledger, str]:
    """The ledger after node `index` has committed up to `lsn` as master, and what is wrong with that, or ''."""
    own = facts[index]
    taker = (own.epoch, index, own.boot)
    for epoch, other, boot in ledger.masters:
        if epoch == own.epoch and (other, boot) != taker[1:]:
            return ledger, f"two masters commit in epoch {epoch}: n{other + 1} and n{index + 1}"
    shared = min(lsn, len(ledger.log))
    if own.log[:shared] != ledger.log[:shared]:
        return ledger, f"n{index + 1} commits up to LSN {lsn} other records than were committed before"
    holders = [i for i, held in enumerate(facts) if held.durable[:lsn] == own.log[:lsn]]
    if len(holders) < WRITE_QUORUM or len({ZONES[i] for i in holders}) < durable_zones:
        names = ", ".join(f"n{i + 1}" for i in holders) or "nobody"
        return ledger, f"n{index + 1} commits LSN {lsn}, which is durable at {names} only"
    masters = ledger.masters if taker in ledger.masters else tuple(sorted((*ledger.masters, taker)))
    if lsn <= len(ledger.log):
        return Ledger(ledger.log, ledger.epoch, masters), ""
    return Ledger(own.log[:lsn], own.epoch, masters), ""


def violation(ledger: Ledger, facts: list[Facts]) -> str:
    """What is wrong in this state, or ''."""
    return (
        _two_masters(facts)
        or _two_records_of_one_name(facts)
        or _not_a_prefix(ledger, facts)
        or _master_without(ledger, facts)
        or _quorum_that_forgets(ledger, facts)
    )


def snip_violation(ledger: Ledger, index: int, before: Facts, first_lsn: Lsn) -> str:
    """Does the node remove a record that is committed?"""
    for lsn in range(first_lsn, min(len(before.log), len(ledger.log)) + 1):
        if before.log[lsn - 1] == ledger.log[lsn - 1]:
            return f"n{index + 1} snips from LSN {first_lsn} on, and LSN {lsn} is committed"
    return ""


def _two_masters(facts: list[Facts]) -> str:
    epochs = [held.epoch for held in facts if held.role == MASTER]
    return f"two masters of one epoch among {epochs}" if len(set(epochs)) < len(epochs) else ""


def _two_records_of_one_name(facts: list[Facts]) -> str:
    names: dict[tuple[Epoch, Lsn], int] = {}
    for held in facts:
        for log in (held.log, held.durable):
            for lsn, (epoch, record_hash) in enumerate(log, 1):
                if names.setdefault((epoch, lsn), record_hash) != record_hash:
                    return f"epoch {epoch}, LSN {lsn} names two records"
    return ""


def _not_a_prefix(ledger: Ledger, facts: list[Facts]) -> str:
    for index, held in enumerate(facts):
        known = max(held.commit_lsn, held.applied_lsn)
        if held.log[:known] != ledger.log[:known] or len(ledger.log) < known:
            return f"n{index + 1} holds for committed, or has applied, up to LSN {known} what is not committed"
    return ""


def _master_without(ledger: Ledger, facts: list[Facts]) -> str:
    for index, held in enumerate(facts):
        if held.role == MASTER and held.epoch > ledger.epoch and held.log[: len(ledger.log)] != ledger.log:
            return f"n{index + 1} masters epoch {held.epoch} without all that is committed"
    return ""


def _quorum_that_forgets(ledger: Ledger, facts: list[Facts]) -> str:
    for quorum in combinations(range(len(facts)), FAILOVER_QUORUM):
        newest = max((facts[i].durable for i in quorum), key=lambda log: (log[-1][0] if log else 0, len(log)))
        if newest[: len(ledger.log)] != ledger.log:
            names = " and ".join(f"n{i + 1}" for i in quorum)
            return f"{names} could elect a master that lacks committed records"
    return ""
