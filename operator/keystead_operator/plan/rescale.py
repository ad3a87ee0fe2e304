"""Which nodes stay, come and go, by count and by name; what speaks against it; and places whose node has left.

    shape(desired, observed) -> Shape(stay, go, come)

`spec.removeNodes` names nodes that go. If more than `spec.nodes` would stay, those in the fullest zones with the
highest numbers go too; if fewer, new ones come under numbers that nobody has. The answer depends on the places that
exist and on the declaration alone: asking for the old number again keeps a node that was going, as far as it has come.

A node that goes is drained (core/catalog/rescale.py), then leaves for good by a record of the catalog that is refused
while any group needs it; only then is its process ended, and once that is seen, its volume taken away: what still runs
may be registering itself as a new node just now, and be given replicas.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from keystead_core.catalog.seats import wanted_voters
from keystead_core.cluster_map import ClusterMap, NodeEntry
from keystead_core.ids import NodeId
from keystead_core.ledger import PlacementRule, sites_of
from keystead_operator.plan.actions import Action, AddNode, Note, RemoveNode, StopNode
from keystead_operator.plan.state import Desired, Observed, ObservedNode

SPACE_SHARE: Final = 0.8
"""Of what the volumes that stay have left: replicas do not spread over them evenly, and grow meanwhile."""


class Shape(msgspec.Struct, frozen=True):
    """`go` are places that exist; `come` the names and zones of such as do not yet. `refusal`: why none goes, or ""."""

    stay: tuple[ObservedNode, ...]
    go: tuple[ObservedNode, ...]
    come: tuple[tuple[str, str], ...]
    refusal: str = ""


def node_name(number: int) -> str:
    return f"node-{number}"


def zone_names(desired: Desired) -> tuple[str, ...]:
    """The zones to spread over: the declared ones, else one a node up to three."""
    return desired.cluster.zones or tuple(f"zone-{chr(ord('a') + n)}" for n in range(min(desired.cluster.nodes, 3)))


def shape(desired: Desired, observed: Observed) -> Shape:
    named = set(desired.cluster.remove_nodes)
    go = [node for node in observed.nodes if node.name in named]
    stay = [node for node in observed.nodes if node.name not in named]
    while len(stay) > desired.cluster.nodes:
        sizes = _sizes(stay)
        stay.remove(surplus := max(stay, key=lambda node: (sizes[node.zone], _number(node.name), node.name)))
        go.append(surplus)
    come: list[tuple[str, str]] = []
    taken = {node.name for node in observed.nodes} | named
    sizes = dict.fromkeys(zone_names(desired), 0) | _sizes(stay)
    number = 0
    while len(stay) + len(come) < desired.cluster.nodes:
        name = f"{desired.place_prefix}{node_name(number)}"
        number += 1
        if name not in taken:
            zone = min(zone_names(desired), key=lambda one: sizes[one])
            sizes[zone] += 1
            come.append((name, zone))
    return Shape(tuple(stay), tuple(go), tuple(come), _refusal(desired, observed, go) if go else "")


def plan_places(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """As many places as declared; those whose node has left are taken away."""
    wanted = shape(desired, observed)
    for name, zone in wanted.come:
        yield AddNode(name, zone)
    if reasons := [one for one in (wanted.refusal, _unknown_names(desired, observed)) if one]:
        yield Note(f"StorageCluster/{desired.cluster.name}", "ScaleInBlocked", "; ".join(reasons))
    going = {node.name for node in wanted.go}
    for node in removable(desired, observed):
        reason = "its node has left the cluster for good"
        is_over = not node.running or node.stranded_seconds > 0
        yield RemoveNode(node.name, reason) if is_over or node.name not in going else StopNode(node.name, reason)


def removable(desired: Desired, observed: Observed) -> list[ObservedNode]:
    """Places whose process and volume may go: they are not wanted and their node has left or was never one; or they
    are wanted again, too late, and only the left node answers there."""
    if observed.map is None:
        return []
    wanted = shape(desired, observed)
    gone = [node for node in wanted.go if not wanted.refusal and _has_no_tenant(node, observed.map)]
    names = {entry.name for entry in _present(observed.map)}
    late = [
        node for node in wanted.stay if node.reachable and _has_left(node.id, observed.map) and node.name not in names
    ]
    return gone + late


def draining(desired: Desired, observed: Observed) -> list[NodeId]:
    """The node ids that are to be emptied."""
    wanted = shape(desired, observed)
    if observed.map is None or wanted.refusal:
        return []
    names = {node.name for node in wanted.go}
    return sorted(entry.id for entry in _present(observed.map) if entry.name in names)


def _has_no_tenant(node: ObservedNode, cluster_map: ClusterMap) -> bool:
    if any(entry.name == node.name for entry in _present(cluster_map)):
        return False
    known = not node.reachable or node.id in cluster_map.nodes
    return known or (node.volume_empty and not node.formed)


def _has_left(node_id: NodeId, cluster_map: ClusterMap) -> bool:
    entry = cluster_map.nodes.get(node_id)
    return entry is not None and entry.state == "left"


def _present(cluster_map: ClusterMap) -> list[NodeEntry]:
    return [entry for entry in cluster_map.nodes.values() if entry.state != "left"]


def _refusal(desired: Desired, observed: Observed, go: list[ObservedNode]) -> str:
    """Why the replicas would have no place without the nodes, or ""."""
    names = ", ".join(node.name for node in go)
    if observed.map is None:
        return f"{names} cannot be taken away while the catalog is not there"
    going = {node.name for node in go}
    staying = [
        entry
        for entry in _present(observed.map)
        if entry.name not in going
        and observed.seconds_down.get(entry.id, 0.0) < desired.cluster.node_loss_grace_seconds
    ]
    settings = observed.map.settings
    sites = sites_of(staying, PlacementRule(shared_fate_ok=settings.shared_fate_ok))
    hosts, zones = len({site.fate for site in sites}), len({site.zone for site in sites})
    for entry in sorted(observed.map.partitions.values(), key=lambda one: one.id):
        table = f"table {entry.table}" if entry.table else "the catalog"
        if wanted_voters(observed.map, entry) > hosts:
            needed = wanted_voters(observed.map, entry)
            return f"without {names} there would be {hosts} nodes, and {table} has {needed} replicas"
        if entry.durable_zones > zones:
            return f"without {names} there would be {zones} zones, and {table} writes to {entry.durable_zones}"
    return _too_little_space(observed, go)


def _unknown_names(desired: Desired, observed: Observed) -> str:
    """What is said of names in `removeNodes` that no node has or had, or ""."""
    if observed.map is None:
        return ""
    places = {node.name for node in observed.nodes}
    had = {entry.name for entry in observed.map.nodes.values()}
    unknown = [name for name in desired.cluster.remove_nodes if name not in places | had]
    if not unknown:
        return ""
    return f"removeNodes names {', '.join(unknown)}, and the nodes are {', '.join(sorted(places))}"


def _too_little_space(observed: Observed, go: list[ObservedNode]) -> str:
    """Nodes that do not say what they have are left out: what is known has to be enough."""
    going = {node.name for node in go}
    held = sum(node.held_bytes for node in go)
    known = [node.room_bytes for node in observed.nodes if node.name not in going and node.room_bytes >= 0]
    room = int(sum(known) * SPACE_SHARE)
    if not held or not known or held <= room:
        return ""
    names = ", ".join(node.name for node in go)
    return f"the rows of {names} are {_shown(held)}, and the volumes of the others have room for {_shown(room)}"


def _shown(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def _sizes(nodes: list[ObservedNode]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for node in nodes:
        sizes[node.zone] = sizes.get(node.zone, 0) + 1
    return sizes


def _number(name: str) -> int:
    digits = re.search(r"([0-9]+)$", name)
    return int(digits.group(1)) if digits else -1
