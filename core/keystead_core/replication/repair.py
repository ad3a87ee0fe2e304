"""Fetching damaged records back from any peer whose copy has the hash that this volume's index names.

Needs no master and no quorum. A record that so few can still hold that it never was durable counts as torn: it is
dropped, with what stood above it. Until all is back the replica abstains (storage.md, Failure of the disk).
"""

from __future__ import annotations

from keystead_core.ids import MILLISECOND, Micros, NodeId
from keystead_core.log.entries import AppendEntry
from keystead_core.log.record import Record, RecordError, decode_record, decode_records
from keystead_core.replication import follower
from keystead_core.replication.effects import ReadCold
from keystead_core.replication.events import ColdRead
from keystead_core.replication.messages import RepairReply, RepairRequest
from keystead_core.replication.replica import DAMAGED, RETIRED, Damage, Replica


def ask(r: Replica) -> None:
    """Asks every peer for the lowest missing record, and again from time to time."""
    damage = r.damage
    if damage is None:
        return
    damage.ask_at = r.node.now + 500 * MILLISECOND
    r.wake(damage.ask_at)
    if damage.unknown or not damage.missing:
        if damage.unknown and r.ineligible not in (DAMAGED, RETIRED):
            r.ineligible = DAMAGED
            r.persist_state()
        return
    lsn = min(damage.missing)
    if was_never_durable(r, damage):
        _drop_from(r, lsn)
        return
    for node in nodes_to_ask(r, damage):
        r.node.send(node, RepairRequest(r.partition, r.id, r.node.boot, lsn, damage.missing[lsn]))


def nodes_to_ask(r: Replica, damage: Damage) -> list[NodeId]:
    """The members; where the very record is lost that names them, those whom the catalog wants to be, and who stood for
    election: a member need not be wanted any more."""
    if members := r.peers():
        return [member.node for member in members]
    wanted = {target.node: None for target in r.target if target.replica != r.id}
    return [*(wanted | damage.candidates)]


def on_timer(r: Replica, now: Micros) -> None:
    if r.damage is not None and r.damage.ask_at <= now:
        ask(r)


def on_request(r: Replica, m: RepairRequest) -> None:
    """What is below our base may be in the cold log; a master sends a copy instead."""
    if m.lsn <= r.log.base.lsn and r.mastership is None:
        r.repairs[m.replica] = (m, r.node.sender)
        r.node.emit(ReadCold(r.partition, m.replica, m.lsn - 1, 1))
        return
    _answer(r, m, r.node.sender, r.log.record_at(m.lsn))


def on_cold_read(r: Replica, event: ColdRead) -> bool:
    """Answers who asked for a record of the cold log; False where nobody did."""
    m, node = r.repairs.pop(event.peer, (None, NodeId("")))
    if m is None:
        return False
    _answer(r, m, node, _first_of(event.records))
    return True


def _first_of(records: bytes) -> Record | None:
    try:
        return decode_records(records)[0] if records else None
    except RecordError:
        return None


def _answer(r: Replica, m: RepairRequest, node: NodeId, record: Record | None) -> None:
    found = record.raw if record is not None and record.lsn == m.lsn and record.hash == m.hash else b""
    # Below our base we cannot tell; with damage of our own we cannot either.
    certain = not r.damage and m.lsn > r.log.base.lsn
    r.node.send(node, RepairReply(r.partition, r.id, r.node.boot, m.lsn, found, certain))


def on_reply(r: Replica, m: RepairReply) -> None:
    damage = r.damage
    if damage is None or damage.unknown or m.lsn not in damage.missing or m.lsn != min(damage.missing):
        return
    if m.record:
        _put_back(r, damage, m)
    elif m.certain:
        damage.lacking.add(m.replica)
        if was_never_durable(r, damage):
            _drop_from(r, m.lsn)


def _put_back(r: Replica, damage: Damage, m: RepairReply) -> None:
    try:
        record = decode_record(m.record)
    except RecordError:
        return
    if record.hash != damage.missing[m.lsn] or record.partition != r.partition:
        return
    sequence = r.node.persist(AppendEntry(r.partition, r.commit_lsn, [record]))
    del damage.missing[m.lsn]
    damage.lacking.clear()
    if record.lsn == r.log.last_lsn + 1 and record.prev_hash == r.log.last_hash:
        r.log.append([record], sequence)
        r.log.absorb_ahead(0)
    else:
        r.log.keep_ahead([record], sequence, 0)
    r.node.after_sync(r)
    if damage.missing:
        ask(r)


def was_never_durable(r: Replica, damage: Damage) -> bool:
    """Could those who may still hold the record have made it durable? Under every membership that counts.

    A group's only voter has nobody to ask. What it lost from its last batch it takes for never synced, as a power loss
    leaves it: else each could end the group for ever.
    """
    rules = r.rules()
    if not rules:
        return False
    for membership in rules:
        holders = [m.replica for m in membership.voters if m.replica not in damage.lacking]
        if membership.is_durable(holders) and not (damage.doubtful and len(membership.voters) == 1):
            return False
    return True


def _drop_from(r: Replica, lsn: int) -> None:
    assert r.damage is not None
    r.node.snip_all(r, lsn)
    r.log.ahead.clear()
    r.damage.missing = {at: h for at, h in r.damage.missing.items() if at < lsn}
    follower.heal(r, r.promised)
