"""Nodes: their places, their processes, and the forming of the catalog."""

from collections.abc import Iterator

import msgspec

from keystead_core.cluster_map import ClusterSettings
from keystead_core.ids import ReplicaId
from keystead_operator.plan.actions import (
    Action,
    FormCatalog,
    GrowVolume,
    MarkBootstrapped,
    NameFounders,
    Note,
    StartNode,
    StopNode,
    UpdateSettings,
)
from keystead_operator.plan.rescale import removable
from keystead_operator.plan.state import Desired, Founder, Observed, ObservedNode

CATALOG_REPLICAS_MAX = 3
DEFAULT_SETTINGS = ClusterSettings()


def plan_processes(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """A process on each place, and none over a volume that is gone or about to be taken away."""
    leaving = {node.name for node in removable(desired, observed)}
    for node in observed.nodes:
        if node.name in leaving:
            continue
        if node.running and node.volume_lost:
            yield StopNode(node.name, "its volume is gone")
        elif not node.running and node.start_in_seconds <= 0:
            yield StartNode(node.name)
        if node.volume_small:
            yield GrowVolume(node.name)


def plan_catalog(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """Forms the catalog once in the life of a cluster, from founders that were named before and are empty."""
    subject = f"StorageCluster/{desired.cluster.name}"
    if not observed.founders:
        if observed.bootstrapped:
            if observed.map is None:
                message = "the volumes may hold data, and nobody knows who formed the catalog: none is formed anew"
                yield Note(subject, "FoundersUnknown", message)
            return
        yield from _name_founders(desired, observed, subject)
        return
    by_id = {node.id: node for node in observed.nodes if node.reachable and node.id}
    for founder in observed.founders:
        node = by_id.get(founder.node_id)
        if node is not None and not node.formed:
            yield FormCatalog(node.name, founder.node_id, observed.founders, cluster_settings(desired))
        elif node is None and not observed.bootstrapped:
            yield Note(subject, "FounderAway", f"{founder.name} is to form the catalog and does not answer")
    if not observed.bootstrapped and any(
        founder.node_id in by_id and by_id[founder.node_id].formed for founder in observed.founders
    ):
        yield MarkBootstrapped()


def _name_founders(desired: Desired, observed: Observed, subject: str) -> Iterator[Action | Note]:
    holding = [node.name for node in observed.nodes if node.reachable and (node.formed or not node.volume_empty)]
    if holding:
        yield Note(subject, "VolumesNotEmpty", f"{', '.join(holding)} hold data: no new catalog is formed over it")
        return
    ready = [node for node in observed.nodes if node.reachable and node.id]
    size = min(desired.cluster.nodes, CATALOG_REPLICAS_MAX)
    size -= 1 - size % 2
    chosen = _spread(ready, size)
    zones_wanted = min(size, len({node.zone for node in observed.nodes}))
    if len(chosen) < size or len({node.zone for node in chosen}) < zones_wanted:
        yield Note(
            subject, "WaitingForNodes", f"{len(ready)} nodes are up; {size} in {zones_wanted} zones form the catalog"
        )
        return
    yield NameFounders(
        tuple(
            Founder(node.id, node.name, node.zone, ReplicaId(number), node.peer_address)
            for number, node in enumerate(chosen, start=1)
        )
    )


def _spread(nodes: list[ObservedNode], size: int) -> list[ObservedNode]:
    """Up to `size` nodes, as many zones as can be, in the order of the names of the places."""
    taken: dict[str, int] = {}
    ranked: list[tuple[int, int, ObservedNode]] = []
    for node in nodes:
        taken[node.zone] = taken.get(node.zone, 0) + 1
        ranked.append((taken[node.zone], len(ranked), node))
    return [node for _, _, node in sorted(ranked, key=lambda item: item[:2])][:size]


def cluster_settings(desired: Desired, current: ClusterSettings = DEFAULT_SETTINGS) -> ClusterSettings:
    """The catalog's settings as declared; what a StorageCluster does not say stays as it is."""
    cluster = desired.cluster
    return msgspec.structs.replace(
        current,
        replicas=cluster.replicas,
        write_quorum=cluster.write_quorum,
        durable_zones=cluster.durable_zones,
        lease_ms=round(cluster.lease_seconds * 1000),
        shared_fate_ok=desired.shared_fate_ok,
    )


def plan_settings(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    if observed.map is not None:
        wanted = cluster_settings(desired, observed.map.settings)
        if wanted != observed.map.settings:
            yield UpdateSettings(wanted)
