"""Going on with a minority: what `keystead recover` and `kubectl keystead recover` have in common.

Nothing is given up that answers, or whose volume may still be there, unless a person names it.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Final

import msgspec
import typer

from keystead_cli.terminal import fail
from keystead_core.catalog.commands import GoneNode, Recover
from keystead_core.catalog.recoveries import stages_of
from keystead_core.cluster_map import ClusterMap, NodeEntry, PartitionEntry
from keystead_core.comeback import can_go_on
from keystead_core.ids import CATALOG_PARTITION, NodeId
from keystead_operator.node_status import NodeStatus, ReplicaStatus
from keystead_operator.recovery_said import recovery_of

POLL_SECONDS: Final = 0.3
PartitionArgument = Annotated[
    str, typer.Argument(metavar="TABLE/PARTITION", help="As keystead why names it: orders/5.")
]
AcceptOption = Annotated[
    bool, typer.Option("--accept-data-loss", help="Without it, it is only said what would be kept and lost.")
]
GoneOption = Annotated[
    list[str], typer.Option("--gone", help="A node (name or id) whose volume is gone for good; may be said again.")
]
WaitOption = Annotated[bool, typer.Option(help="Wait until the partition serves again.")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)]


class Seen(msgspec.Struct, frozen=True):
    """What was gathered of a cluster: the newest map, and the nodes that answered."""

    map: ClusterMap
    statuses: list[NodeStatus]

    @property
    def answering(self) -> set[NodeId]:
        return {status.node.id for status in self.statuses}

    def called(self, node: NodeId) -> str:
        known = self.map.nodes.get(node)
        return f"{known.name} (node id {node})" if known is not None else node


def wanted_recovery(seen: Seen, what: str, gone: list[str], accepted: bool) -> Recover | None:
    """The command, what it costs being said; None: it was carried out before. Ends the program where it must not be."""
    entry = _entry(seen.map, what)
    if entry.recovery is not None and entry.recovery.done and what == f"{entry.table}/{entry.recovery.old}":
        typer.echo(f"partition {entry.recovery.old} has been {recovery_of(entry, seen.map.nodes)}")
        return None
    given_up = _given_up(seen, entry, gone)
    if not entry.is_recovering:
        _check(seen, entry, given_up)
        _say(seen, entry, given_up)
    _say_silent(seen, entry, given_up)
    if not accepted:
        fail("nothing was done: say --accept-data-loss to lose what is on those volumes alone")
    nodes = [GoneNode(node, seen.map.nodes[node].boot) for node in given_up]
    return Recover(entry.id, nodes, time.time(), _changing_to(seen, entry))


def _entry(cluster_map: ClusterMap, what: str) -> PartitionEntry:
    table, _, number = what.rpartition("/")
    if not number.isdigit() or not table:
        fail(f"{what!r} names no partition: say TABLE/PARTITION, as keystead why names it")
    partition = int(number)
    if partition == CATALOG_PARTITION or table in ("catalog", "(catalog)"):
        fail(
            "the catalog's own group cannot be recovered, for its log would have to hold the decision: put volumes "
            "of its majority back (keystead status says which)"
        )
    entries = [entry for entry in cluster_map.partitions.values() if entry.table == table]
    found = [entry for entry in entries if partition == entry.id]
    found += [entry for entry in entries if entry.recovery is not None and partition == entry.recovery.old]
    if not found:
        fail(f'table "{table}" has no partition {partition}: see keystead status')
    return found[0]


def _given_up(seen: Seen, entry: PartitionEntry, named: list[str]) -> list[NodeId]:
    """Ids of nodes that have not left yet: those that are named, and those whose place has another volume by now."""
    nodes = [node for node in seen.map.nodes.values() if node.state != "left"]
    tenants = {status.node.name: status.node.id for status in seen.statuses}
    found = {node.id for node in nodes if node.id in _places(entry) and tenants.get(node.name, node.id) != node.id}
    for name in named:
        meant = [node for node in nodes if name in (node.id, node.name) and node.id not in seen.answering]
        if not meant and any(name in (node.id, node.name) for node in nodes):
            fail(f"{name} answers: it is not gone")
        if not meant and not any(name in (node.id, node.name) for node in seen.map.nodes.values()):
            fail(f'node "{name}" not found: see keystead status')
        found |= {node.id for node in meant}
    _refuse_heard(seen, found)
    return sorted(found)


def _places(entry: PartitionEntry) -> set[NodeId]:
    return {place.node for place in (*entry.members, *entry.target)}


def _refuse_heard(seen: Seen, gone: Collection[NodeId]) -> None:
    for status in seen.statuses:
        for node in gone:
            if node in status.node.peers:
                fail(
                    f"{seen.called(node)} is heard by {status.node.name}: it runs, and may serve the partition. "
                    "End its process first, if it cannot be reached any more"
                )


def _check(seen: Seen, entry: PartitionEntry, gone: list[NodeId]) -> None:
    """Ends the program where the partition serves, may come back by itself, or has nothing left."""
    name = f"partition {entry.id} of {entry.table}"
    left = {node.id for node in seen.map.nodes.values() if node.state == "left"}
    out = {*gone, *left}
    if any(_goes_on(one, out) for one in _replicas(seen, entry).values()):
        fail(f"{name} has a master: nothing has to be recovered")
    silent = sorted(node for node in _places(entry) if node not in {*seen.answering, *gone, *left})
    if silent:
        one = seen.map.nodes.get(silent[0])
        fail(
            f"{', '.join(map(seen.called, silent))} does not answer, and its volume may still be there: start it, and "
            f"the partition may come back whole. If it is gone for good, say --gone {one.name if one else silent[0]}"
        )
    if all(can_go_on(one, out) for one in stages_of(entry, _changing_to(seen, entry), seen.map.nodes)):
        fail(f"{name} needs no recovery: the voters that answer can go on (keystead why {entry.table})")
    if not any(_has_rows(one) for one in _replicas(seen, entry).values()):
        fail(f"no node that answers has rows of {name}: restore it from a backup, or delete the table")


def _changing_to(seen: Seen, entry: PartitionEntry) -> list[NodeId]:
    """The members that the newest log names, where the catalog has not heard of them: the change may never commit."""
    newest = max(_replicas(seen, entry).values(), key=lambda one: (one.epoch, one.membership_version), default=None)
    return newest.members if newest is not None and newest.membership_version > entry.membership_version else []


def _goes_on(replica: ReplicaStatus, out: Collection[NodeId]) -> bool:
    """It is a master, has committed all that it has, and counts on nobody who is out.

    One that has lost the only volume in a zone which its writes have to reach keeps its lease, and commits nothing.
    """
    if replica.role != "master" or replica.lease_ms == 0:
        return False
    return replica.commit_lsn >= replica.last_lsn and not set(replica.members) & set(out)


def _replicas(seen: Seen, entry: PartitionEntry) -> Mapping[NodeId, ReplicaStatus]:
    found = {status.node.id: status.replica_of(entry.id) for status in seen.statuses}
    return {node: replica for node, replica in found.items() if replica is not None}


def _has_rows(replica: ReplicaStatus) -> bool:
    return replica.role != "log-only" and replica.last_lsn > 0


def _say(seen: Seen, entry: PartitionEntry, gone: list[NodeId]) -> None:
    there = {node: one for node, one in _replicas(seen, entry).items() if _has_rows(one)}
    node, newest = max(there.items(), key=lambda item: (item[1].last_lsn, item[1].epoch))
    left = [one for one in sorted(_places(entry)) if one not in seen.answering and one not in gone]
    lost = ", ".join(map(seen.called, [*gone, *left]))
    typer.echo(f"partition {entry.id} of {entry.table} goes on with what is left of it:")
    typer.echo(
        f"  kept: all up to record {newest.last_lsn} on {seen.called(node)}, or what a newer log that is found has; "
        f"up to {newest.commit_lsn} it is known to be committed"
    )
    typer.echo(
        "  lost: whatever was acknowledged behind that. It is what was acknowledged since that replica was last "
        "level; global indexes and exports may still show some of it"
    )
    typer.echo(f"  given up: {lost}. They leave the cluster for good, with all that they hold of other partitions too")
    typer.echo("  your word: that no process of theirs runs anywhere; one that cannot be reached could go on serving")


def _say_silent(seen: Seen, entry: PartitionEntry, gone: list[NodeId]) -> None:
    heard = entry.recovery.heard if entry.recovery is not None else []
    away = [
        node.id
        for node in seen.map.nodes.values()
        if _is_waited_for(node, seen.answering, gone) and node.id not in heard
    ]
    if away and not (entry.recovery is not None and entry.recovery.old):
        typer.echo(
            f"  waits for: {', '.join(map(seen.called, away))}, which must hear of it first. Start it, or name it with "
            "--gone if its volume is gone for good"
        )


def _is_waited_for(node: NodeEntry, answering: Collection[NodeId], gone: list[NodeId]) -> bool:
    return node.state != "left" and node.id not in answering and node.id not in gone


def watch(look: Callable[[], ClusterMap | None], partition: int, seconds: float) -> None:
    """Says how the recovery goes on, until the partition serves; ends the program where that takes too long."""
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        cluster_map = look()
        entry = _holder(cluster_map, partition) if cluster_map is not None else None
        if cluster_map is not None and entry is not None:
            now = f"partition {entry.id} {'was' if not entry.is_recovering else 'is'} "
            now += recovery_of(entry, cluster_map.nodes)
            if now != said:
                typer.echo(now)
                said = now
            if not entry.is_recovering:
                return
        if time.monotonic() > deadline:
            fail(f"not recovered after {seconds:g} s (it goes on): {said or 'no node answers'}")
        time.sleep(POLL_SECONDS)


def _holder(cluster_map: ClusterMap, partition: int) -> PartitionEntry | None:
    """What has the range now: the partition itself, or what came in its place."""
    entries = cluster_map.partitions.values()
    named = (entry for entry in entries if entry.recovery is not None)
    return next((one for one in named if one.recovery and partition in (one.id, one.recovery.old)), None)
