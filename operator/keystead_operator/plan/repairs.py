"""Repairs: lost volumes, nodes that are gone, replicas that are missing. The decisions are the core's."""

from collections.abc import Iterator

from keystead_core.catalog import commands
from keystead_core.catalog.repair import RepairRule
from keystead_core.catalog.repair import plan_repairs as decide_repairs
from keystead_operator.plan.actions import Action, MarkLeft, Note, SetTarget
from keystead_operator.plan.state import Desired, Observed

NOT_YET_IN_OFFICE = 0
"""Stands for the fencing number, which the executor puts in."""


def plan_repairs(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """What brings every group back to full strength, and why not where that cannot be."""
    if observed.map is None:
        return
    rule = RepairRule(node_loss_grace_seconds=desired.cluster.node_loss_grace_seconds)
    decided = decide_repairs(observed.map, observed.seconds_down, rule, NOT_YET_IN_OFFICE)
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
