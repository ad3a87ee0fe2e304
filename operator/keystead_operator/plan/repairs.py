"""Repairs: where replicas should live when a node has left. The decision is the core's."""

from collections.abc import Iterator

from keystead_operator.plan.actions import Action, Note
from keystead_operator.plan.state import Desired, Observed


def plan_repairs(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """New targets for the partitions that have a replica on a node that is gone."""
    yield from ()
