"""Planted bugs of dial-ups, of moves, and of nodes that come and go: in the core's catalog and planners.

They are hunted where nodes come and go (`steered` runs).
"""

from __future__ import annotations

from typing import Any

import msgspec

from keystead_core.catalog import groups, nodes, repair, rescale, splits
from keystead_core.catalog.commands import Command, NodeLeft, SetTarget
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.results import CatalogReply
from keystead_core.catalog.state import CatalogState
from keystead_core.cluster_map import ClusterMap, PartitionEntry
from keystead_core.ids import NodeId
from keystead_core.split import dial_up as dial_ups
from keystead_operator.plan import splits as operator_splits
from tests.sim import follower
from tests.sim.planted.registry import plant


def _never(*_arguments: Any) -> bool:
    return False


def _unchecked(*_arguments: Any) -> None:
    pass


def _any_map_counts(*arguments: Any) -> Any:
    return _plan_hosting(*arguments[:5])


_plan_hosting = follower.plan_hosting
plant(
    "older-map-believed",
    "a map that may be older than a replica says nothing against one that knows no membership",
    (follower, "plan_hosting", _any_map_counts),
    steered=True,
)


def _leave_when_no_target(
    cluster_map: ClusterMap, leaving: set[NodeId], targets: list[SetTarget], fence: int
) -> list[Command]:
    planned = {command.partition: [spec.node for spec in command.target] for command in targets}
    busy: set[NodeId] = set()
    for entry in cluster_map.partitions.values():
        busy.update(planned.get(entry.id) or [place.node for place in entry.target])
    return [NodeLeft(node, fence, only_if_empty=True) for node in sorted(leaving - busy)]


def _leave_unchecked(contents: Contents, command: NodeLeft) -> CatalogReply:
    return _leave(contents, msgspec.structs.replace(command, only_if_empty=False))


_leave = nodes.leave
plant(
    "node-empty-too-early",
    "a node that goes leaves once no group has it as target or member",
    (repair, "_leave_when_empty", _leave_when_no_target),
    (nodes, "leave", _leave_unchecked),
    steered=True,
)


def _nothing_under_way(entries: list[PartitionEntry], wanted: int) -> dial_ups.DialUp:
    return _dial_up([msgspec.structs.replace(e, split=None, left=0) for e in entries], wanted)


_dial_up = dial_ups.dial_up
plant(
    "dial-up-forgets-plans",
    "a split that is planned counts as the two parts that it will make",
    (operator_splits, "dial_up", _nothing_under_way),
    (splits, "_check", _unchecked),
    steered=True,
)


def _move_at_once(entry: PartitionEntry, move: Any, standing: rescale.Standing) -> bool:
    return True


plant(
    "moves-begin-at-once",
    "a group moves only when it is calm, onto nodes that answer and are no members of it",
    (rescale, "_may_begin", _move_at_once),
    steered=True,
)

plant(
    "split-groups-move",
    "a group that is being split does not move, and one on the move is not split",
    (repair, "_is_busy", _never),
    steered=True,
)


plant(
    "old-operator-obeyed",
    "what an operator says that is out of office is refused, and so is a target on a node that has left",
    (CatalogState, "_check_fence", _unchecked),
    (groups, "_check_target", _unchecked),
    steered=True,
)
