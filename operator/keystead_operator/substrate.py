"""What carries a plan out: Kubernetes (pods and volumes), or this machine (processes and directories)."""

from typing import Protocol

import msgspec

from keystead_operator.plan.actions import Action, Plan
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired, Observed


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


async def reconcile(substrate: Substrate) -> Round:
    """Observes, plans, and carries the plan out in order. A failed action does not stop those behind it."""
    desired = await substrate.desired()
    observed = await substrate.observe()
    made = plan(desired, observed)
    failures = []
    for action in made.actions:
        try:
            await substrate.execute(action)
        except ActionFailed as problem:
            failures.append(Failure(action, str(problem)))
    return Round(desired, observed, made, tuple(failures))
