"""What carries a plan out: Kubernetes (pods and volumes), or this machine (processes and directories)."""

import asyncio
import time
from collections.abc import Iterator
from itertools import groupby
from typing import Final, Protocol

import msgspec

from keystead_operator.plan.actions import (
    Action,
    AddNode,
    ChangeIndexes,
    CreateTable,
    DeleteTable,
    ForgetTable,
    Plan,
    PlanSplit,
    SetTarget,
    StartNode,
    UpdateTable,
)
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired, Observed

BATCH_MAX: Final = 32
INDEPENDENT: Final = (
    AddNode,
    StartNode,
    CreateTable,
    UpdateTable,
    ChangeIndexes,
    DeleteTable,
    ForgetTable,
    SetTarget,
    PlanSplit,
)


class ActionFailed(Exception):
    """An action could not be carried out now; its message is a sentence. The next round plans anew."""


class Substrate(Protocol):
    """Where a cluster runs. Every `execute` may be repeated, and may be cut off at any point."""

    async def desired(self) -> Desired: ...

    async def observe(self) -> Observed: ...

    async def execute(self, action: Action) -> None:
        """Carries the action out. Raises ActionFailed."""
        ...


class Failure(msgspec.Struct, frozen=True):
    action: Action
    message: str


class Round(msgspec.Struct, frozen=True):
    """One pass of the reconcile loop."""

    desired: Desired
    observed: Observed
    plan: Plan
    failures: tuple[Failure, ...] = ()

    @property
    def settled(self) -> bool:
        """Nothing was to be done, and nothing is waited for."""
        return not self.plan.actions and not self.plan.notes


async def reconcile(substrate: Substrate, budget_seconds: float = float("inf")) -> Round:
    """Observes, plans, and carries the plan out in order. A failed action does not stop those behind it.

    After `budget_seconds` of executing, what is left of the plan is left to the next round, which plans anew.
    """
    desired = await substrate.desired()
    observed = await substrate.observe()
    made = plan(desired, observed)
    failures: list[Failure] = []
    until = time.monotonic() + budget_seconds
    for batch in batches(made.actions):
        outcomes = await asyncio.gather(*(_carry_out(substrate, action) for action in batch))
        failures += [outcome for outcome in outcomes if outcome is not None]
        if time.monotonic() > until:
            break
    return Round(desired, observed, made, tuple(failures))


def batches(actions: tuple[Action, ...]) -> Iterator[list[Action]]:
    """The actions in their order, those side by side that do not look at each other's result."""
    for (kind, _), group in groupby(enumerate(actions), key=_batch_key):
        found = [action for _, action in group]
        if kind is None:
            yield found
            continue
        for start in range(0, len(found), BATCH_MAX):
            yield found[start : start + BATCH_MAX]


def _batch_key(numbered: tuple[int, Action]) -> tuple[type[Action] | None, int]:
    """Alike for neighbours that may go side by side."""
    number, action = numbered
    return (type(action), 0) if isinstance(action, INDEPENDENT) else (None, number)


async def _carry_out(substrate: Substrate, action: Action) -> Failure | None:
    try:
        await substrate.execute(action)
    except ActionFailed as problem:
        return Failure(action, str(problem))
    return None
