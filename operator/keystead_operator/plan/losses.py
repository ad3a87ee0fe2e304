"""Volumes that are lost while the catalog is away, that are about to go, and that no process can be started over."""

from collections.abc import Iterator

from keystead_core.catalog.lost_volumes import groups_cut_short, silent_nodes, volume_lost_message
from keystead_core.catalog.repair import VOLUME_LOST
from keystead_core.cluster_map import ClusterMap
from keystead_core.ids import NodeId
from keystead_operator.plan.actions import Action, GiveUpVolume, MarkLeft, Note
from keystead_operator.plan.state import Desired, Observed, ObservedNode


def plan_losses(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """Says what was lost where the catalog cannot be asked; and warns of volumes that go with the next restart."""
    subject = f"StorageCluster/{desired.cluster.name}"
    going = [node.name for node in observed.nodes if node.volume_going]
    if going:
        message = f"the volume of {', '.join(going)} was deleted and goes when its pod ends"
        yield Note(subject, "VolumeGoing", message)
    if observed.map is not None or observed.known_map is None:
        return
    lost = lost_by_name(observed.known_map, observed)
    answering = {node.id for node in observed.nodes if node.reachable}
    down = {node: 0.0 if node in answering else 1.0 for node in observed.known_map.nodes}
    silent = silent_nodes(observed.known_map, down, lost)
    hit = groups_cut_short(observed.known_map, lost, silent)
    if hit:
        message = volume_lost_message(observed.known_map, lost, hit, silent)
        yield Note(subject, VOLUME_LOST, message)


def lost_by_name(known: ClusterMap, observed: Observed) -> list[NodeId]:
    """Registered nodes in whose place another node id answers now."""
    tenants = {node.name: node.id for node in observed.nodes if node.reachable and node.id}
    return sorted(
        entry.id
        for entry in known.nodes.values()
        if entry.state != "left" and tenants.get(entry.name, entry.id) != entry.id
    )


def plan_stranded(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """A node whose machine is gone for good leaves, and then its place gets a new volume elsewhere. One at a time, and
    never while some group could not go on with the copies that answer: another loss may make this one needed."""
    grace = desired.cluster.node_loss_grace_seconds
    for node in observed.nodes:
        if not 0 < grace <= node.stranded_seconds:
            continue
        said = list(_give_up(desired, observed, node, grace))
        yield from said
        if any(not isinstance(step, Note) for step in said):
            return


def _give_up(desired: Desired, observed: Observed, node: ObservedNode, grace: float) -> Iterator[Action | Note]:
    subject = f"StorageCluster/{desired.cluster.name}"
    if observed.map is None:
        yield Note(subject, "NodeStranded", f"{node.name} cannot run over its volume, and the catalog is away")
        return
    tenants = [one for one in observed.map.nodes.values() if one.name == node.name and one.state != "left"]
    if not tenants:
        yield GiveUpVolume(node.name, f"it cannot run over its volume for {grace:.0f} s, and its node has left")
        return
    for tenant in tenants:
        if observed.seconds_down.get(tenant.id, 0.0) < grace:
            return
        silent = silent_nodes(observed.map, observed.seconds_down, [tenant.id])
        hit = groups_cut_short(observed.map, [tenant.id], silent)
        if hit:
            message = (
                f"{node.name} cannot run over its volume; it is not given up, because {len(hit)} partitions "
                "could not go on with the copies that would be left"
            )
            yield Note(subject, "NodeStranded", message)
            return
        yield MarkLeft(tenant.id)
