"""What a node's replicas hold and do, in few bytes: the answer to NodeLoad, and how all nodes are asked for it."""

import asyncio

import msgspec

from keystead_core.ids import NodeId, PartitionId
from keystead_core.replication.replica import Replica
from keystead_node.copies import Copies
from keystead_node.shell import Shell
from keystead_node.status import role_of
from keystead_node.transport.requests import OK, NodeLoad, RequestFailed

ANSWER_SECONDS_MAX = 0.8


class Behind(msgspec.Struct, frozen=True, array_like=True):
    """A member that its master does not count as level: how it is brought there (log | cold | copy), the records that
    it lacks, and of a copy the bytes sent and all of them."""

    node: NodeId
    way: str
    lag: int
    sent: int = 0
    total: int = 0


class ReplicaLoad(msgspec.Struct, frozen=True, array_like=True):
    """`role` as in a node's status. `serves`: a master that has applied all that went before it. `size`: bytes of the
    rows, about, -1 while they are not open. Units are a second, over the last seconds; `cpu` is a share of the node's
    event loop. `behind`: a master's only."""

    partition: PartitionId
    role: str
    epoch: int
    serves: bool
    eligible: bool
    size: int
    read_units: float
    write_units: float
    behind: list[Behind] = []
    cpu: float = 0.0


_decoder = msgspec.msgpack.Decoder(list[ReplicaLoad])


def own_loads(shell: Shell, copies: Copies) -> list[ReplicaLoad]:
    """Of every replica here: some microseconds each."""
    return [_load(r, shell, copies) for r in shell.core.replicas.values()]


def _load(r: Replica, shell: Shell, copies: Copies) -> ReplicaLoad:
    heat = shell.heat.known(r.partition)
    store = shell.stores.opened(r.partition)
    return ReplicaLoad(
        r.partition,
        role_of(r),
        r.epoch,
        r.mastership is not None and r.mastership.serving,
        not r.unfit,
        store.rows.approximate_bytes() if store is not None and store.rows is not None else -1,
        heat.read_rate if heat is not None else 0.0,
        heat.write_rate if heat is not None else 0.0,
        _behind(r, copies),
        heat.cpu_share if heat is not None else 0.0,
    )


def _behind(r: Replica, copies: Copies) -> list[Behind]:
    ship = r.mastership
    found = []
    for member in r.peers() if ship is not None else ():
        progress = ship.progress.get(member.replica) if ship is not None else None
        if ship is None or progress is None or progress.level:
            continue
        way = "copy" if progress.copying else "cold" if member.replica in ship.cold_reads else "log"
        lag = max(0, r.log.last_lsn - progress.match_lsn)
        copy = copies.under_way.get((r.partition, member.replica))
        found.append(Behind(member.node, way, lag, copy.sent if copy else 0, copy.total if copy else 0))
    return found


async def all_loads(shell: Shell, copies: Copies, others: list[NodeId]) -> dict[NodeId, list[ReplicaLoad] | str]:
    """Of this node and the others, asked all at once; in the place of an answer, why there is none."""
    answers = await asyncio.gather(*(_ask(shell, node) for node in others))
    return {shell.core.id: own_loads(shell, copies), **dict(zip(others, answers, strict=True))}


async def _ask(shell: Shell, node: NodeId) -> list[ReplicaLoad] | str:
    try:
        answer = await shell.peers.request(node, NodeLoad(), ANSWER_SECONDS_MAX)
        if answer.status != OK or answer.value is None:
            return answer.reason or "it does not say"
        return _decoder.decode(answer.value)
    except RequestFailed as problem:
        return str(problem)
    except msgspec.MsgspecError as problem:
        return f"an answer that is not understood: {problem}"
