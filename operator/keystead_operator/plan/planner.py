"""plan(): one observation in, one plan out."""

from keystead_operator.plan.actions import Action, MarkLeft, Moves, Note, Plan, RestartNode, SetTarget
from keystead_operator.plan.losses import plan_losses, plan_stranded
from keystead_operator.plan.masters import plan_masters
from keystead_operator.plan.nodes import plan_catalog, plan_processes, plan_settings
from keystead_operator.plan.repairs import plan_repairs
from keystead_operator.plan.rescale import plan_places
from keystead_operator.plan.rollout import plan_rollout
from keystead_operator.plan.splits import plan_splits
from keystead_operator.plan.state import Desired, Observed
from keystead_operator.plan.tables import plan_tables


def plan(desired: Desired, observed: Observed) -> Plan:
    """The actions that bring `observed` nearer to `desired`. Empty when nothing is left to do, or to be done safely."""
    if desired.cluster.suspend:
        return Plan((), (Note(f"StorageCluster/{desired.cluster.name}", "Suspended", "spec.suspend is true"),))
    if desired.ending:
        return Plan((), (Note(f"StorageCluster/{desired.cluster.name}", "Ending", desired.ending),))
    steps = [
        *plan_places(desired, observed),
        *plan_processes(desired, observed),
        *plan_catalog(desired, observed),
        *plan_settings(desired, observed),
        *plan_tables(desired, observed),
        *plan_repairs(desired, observed),
        *plan_losses(desired, observed),
        *plan_stranded(desired, observed),
        *plan_rollout(desired, observed),
        *plan_splits(desired, observed),
    ]
    if not any(isinstance(step, SetTarget | MarkLeft | RestartNode) for step in steps):
        steps += plan_masters(observed)
    actions: list[Action] = []
    notes: list[Note] = []
    moves = Moves()
    for step in steps:
        if isinstance(step, Moves):
            moves = step
        elif isinstance(step, Note):
            notes.append(step)
        else:
            actions.append(step)
    return Plan(tuple(actions), tuple(notes), moves)
