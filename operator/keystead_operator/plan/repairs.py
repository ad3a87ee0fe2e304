"""Repairs: lost volumes, nodes that are gone, replicas that are missing. The decisions are the core's."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from keystead_core.catalog import commands
from keystead_core.catalog.repair import RepairRule, replicas_moving
from keystead_core.catalog.repair import plan_repairs as decide_repairs
from keystead_operator.plan.actions import Action, MarkLeft, Moves, Note, SetTarget
from keystead_operator.plan.rescale import draining
from keystead_operator.plan.state import Desired, Observed

NOT_YET_IN_OFFICE = 0
"""Stands for the fencing number, which the executor puts in."""


MOVES_MAX: Final = 16
"""Partitions whose replicas may be on the move at once."""


def plan_repairs(desired: Desired, observed: Observed) -> Iterator[Action | Note | Moves]:
    """What brings every group back to full strength and onto the nodes that are wanted, why not where that cannot be,
    and how much is left."""
    if observed.map is None:
        return
    rule = RepairRule(node_loss_grace_seconds=desired.cluster.node_loss_grace_seconds, moves_max=MOVES_MAX)
    leaving = draining(desired, observed)
    decided = decide_repairs(observed.map, observed.seconds_down, rule, NOT_YET_IN_OFFICE, leaving)
    names = tuple(sorted({observed.map.nodes[node].name for node in leaving}))
    moving = Counter(replicas_moving(observed.map))
    for one in decided.commands:
        if isinstance(one, commands.SetTarget):
            before = {place.node for place in observed.map.partitions[one.partition].target}
            moving[one.partition] += len({spec.node for spec in one.target} - before)
    left = moving + Counter(decided.waiting)
    weight = sum(count * observed.partition_bytes.get(partition, 0) for partition, count in left.items())
    yield Moves(sum(decided.waiting.values()), moving.total(), names, weight)
    for command in decided.commands:
        match command:
            case commands.NodeLeft(node=node, only_if_empty=only_if_empty):
                yield MarkLeft(node, only_if_empty)
            case commands.SetTarget(partition=partition, target=target):
                yield SetTarget(partition, tuple(target))
            case _:
                raise AssertionError(f"a repair is no {type(command).__name__}")
    for reason in decided.reasons:
        yield Note(f"StorageCluster/{desired.cluster.name}", reason.code, reason.message)
