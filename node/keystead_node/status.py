"""What a node says of itself: GET /status of the admin port. Its fields are kept stable (docs/cli.md)."""

import os
from typing import Any

from keystead_core.ids import CATALOG_PARTITION, PartitionId
from keystead_core.replication import read_lease
from keystead_core.replication.replica import NEVER, Replica
from keystead_node.clock import boottime_us
from keystead_node.config import NodeConfig
from keystead_node.map_keeper import MapKeeper
from keystead_node.shell import Shell


def node_status(
    config: NodeConfig,
    shell: Shell,
    keeper: MapKeeper,
    volume_empty: bool,
    split_refusals: dict[PartitionId, str],
    room_bytes: int,
) -> dict[str, Any]:
    core = shell.core
    entry = keeper.map.nodes.get(core.id)
    limits = config.partition_limits()
    state = "maintenance" if core.maintaining else entry.state if entry is not None else "starting"
    return {
        "node": {
            "id": core.id,
            "name": config.name,
            "zone": config.zone,
            "boot": core.boot >> 16,
            "state": state,
            "formed": CATALOG_PARTITION in core.replicas,
            "volume_empty": volume_empty and not core.replicas and not keeper.map.cluster,
            "pid": os.getpid(),
            "api_port": config.api_port,
            "room_bytes": room_bytes,
            "partition_read_units": limits.read_units,
            "partition_write_units": limits.write_units,
            "peers": [node for node in sorted(shell.peers.links) if core.peers.is_live(node, boottime_us())],
        },
        "replicas": [replica_status(r, shell, split_refusals.get(r.partition, "")) for r in core.replicas.values()],
    }


def replica_status(r: Replica, shell: Shell, split_refusal: str) -> dict[str, Any]:
    membership = r.membership
    heat = shell.heat.known(r.partition)
    store = shell.stores.opened(r.partition)
    return {
        "partition": r.partition,
        "replica": r.id,
        "role": role_of(r),
        "epoch": r.epoch or r.promised,
        "membershipVersion": membership.version if membership else 0,
        "members": [m.node for m in membership.members] if membership else [],
        "lastLsn": r.log.last_lsn,
        "durableLsn": r.log.durable_lsn,
        "commitLsn": r.commit_lsn,
        "appliedLsn": r.applied_lsn,
        "eligible": not r.unfit,
        "ineligibleReason": r.unfit or None,
        "lease_ms": _lease_ms(r),
        "why": r.why or shell.refusals.get(r.partition) or split_refusal or None,
        "bytes": store.rows.approximate_bytes() if store is not None and store.rows is not None else None,
        "readUnits": round(heat.read_rate, 1) if heat is not None else 0.0,
        "writeUnits": round(heat.write_rate, 1) if heat is not None else 0.0,
        "followers": _followers(r),
    }


def role_of(r: Replica) -> str:
    member = r.own_member
    if r.role != "follower":
        return r.role
    if member is None:
        return "learner"  # Its log does not name it: it counts in nothing yet, or no more.
    return "follower" if member.role == "voter" else member.role


def _lease_ms(r: Replica) -> float | None:
    if r.mastership is None:
        return None
    until = read_lease.lease_until(r)
    if until >= NEVER:
        return float(r.node.settings.lease // 1000)
    return max(0.0, (until - boottime_us()) / 1000)


def _followers(r: Replica) -> dict[str, dict[str, int | str]]:
    ship = r.mastership
    if ship is None:
        return {}
    return {
        m.node: {
            "lastLsn": p.match_lsn,
            "lag": max(0, r.log.last_lsn - p.match_lsn),
            "catchUp": "copy" if p.copying else "cold" if m.replica in ship.cold_reads else "log",
        }
        for m in r.peers()
        if (p := ship.progress.get(m.replica)) is not None
    }
