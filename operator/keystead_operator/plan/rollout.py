"""Restarts after a change of the pods' template: one at a time, zone by zone, and only while all replicas are level.

A process that cannot start at all is restarted first, whatever the others do: it takes part in nothing. Next comes one
that has handed over already: an operator may have died between that and the restart. Where the new template does not
come up, no other process is touched, and a note says why.
"""

from collections.abc import Iterator

from keystead_operator.plan.actions import Action, Note, RestartNode
from keystead_operator.plan.state import Desired, Observed


def plan_rollout(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    outdated = [node for node in observed.nodes if node.outdated and node.running]
    if not outdated:
        return
    subject = f"StorageCluster/{desired.cluster.name}"
    for node in outdated:
        if node.stuck:
            yield RestartNode(node.name, f"it cannot start from the template before: {node.stuck}")
            return
    progress = f"{len(outdated)} of {len(observed.nodes)} nodes are of the template before"
    stuck = [node for node in observed.nodes if not node.outdated and node.stuck]
    if stuck:
        yield Note(subject, "RolloutStopped", f"{stuck[0].name} does not start: {stuck[0].stuck}; {progress}")
        return
    away = [node.name for node in observed.nodes if not node.reachable or not node.running]
    resting = [node for node in outdated if node.resting]
    if resting and not away:
        yield RestartNode(resting[0].name, f"it has handed over; {progress}")
        return
    if away or observed.unlevel:
        why = f"{', '.join(away)} must answer first" if away else observed.unlevel
        yield Note(subject, "RolloutWaiting", f"{progress}: {why}")
        return
    first = min(outdated, key=lambda node: (node.zone, observed.nodes.index(node)))
    yield RestartNode(first.name, progress)
