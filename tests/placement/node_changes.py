"""Clusters whose nodes come and go, and what that costs: shared by the tests and by the benchmark of placement."""

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from keystead_core.cluster_map import PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.ledger import Ledger, PlacementRule, Site
from keystead_core.placement import place
from keystead_core.quotas import fates_by_zone, zone_bounds
from keystead_core.rebalance import Move, RebalancePlan, plan_moves

RULE = PlacementRule()


def make_site(number: int, zone: int) -> Site:
    return Site(NodeId(f"{number:05d}"), f"zone-{zone}", f"host-{number}", True)


def make_entry(number: int, group: list[NodeId]) -> PartitionEntry:
    return PartitionEntry(
        id=PartitionId(number),
        table="t",
        low=b"",
        high=None,
        generation=1,
        founders=[],
        target=[ReplicaTarget(ReplicaId(0), node, "", "voter") for node in group],
        members=[],
        write_quorum=len(group) // 2 + 1,
        durable_zones=1,
    )


def after_moves(entries: list[PartitionEntry], moves: list[Move]) -> list[PartitionEntry]:
    """The groups when the moves are done; asserts that each move is one of its group."""
    groups = {entry.id: [place.node for place in entry.target] for entry in entries}
    for move in moves:
        group = groups[move.partition]
        assert move.source in group and move.to not in group
        group[group.index(move.source)] = move.to
    return [make_entry(number, group) for number, group in groups.items()]


class Change(msgspec.Struct, frozen=True):
    """What one change of nodes took. `imbalance`: the fullest node over what the shape of the cluster allows at best;
    `rounded`: over that rounded up to whole replicas."""

    moves: int
    moves_min: int
    imbalance: float
    rounded: float
    left_in_place: bool


class Cluster:
    """A cluster with its groups, level in the beginning."""

    def __init__(
        self, sizes: list[int], tables: list[tuple[int, int]], groups: list[list[NodeId]] | None = None
    ) -> None:
        """`sizes`: nodes of each zone; `tables`: (groups, replicas); `groups`: such as are there before them."""
        self.zones = len(sizes)
        self.next = 0
        self.sites: list[Site] = []
        for zone, size in enumerate(sizes):
            for _ in range(size):
                self.add(zone)
        ledger, groups = Ledger(), list(groups or [])
        for group in groups:
            ledger.add(group)
        for count, replicas in tables:
            made = place(count, replicas, 1, self.sites, ledger, RULE)
            for group in made:
                ledger.add(group)
            groups += made
        self.entries = [make_entry(number, group) for number, group in enumerate(groups, 2)]
        self.replicas_max = max((len(group) for group in groups), default=0)

    def add(self, zone: int) -> None:
        self.sites.append(make_site(self.next, zone))
        self.next += 1

    def size(self, zone: int) -> int:
        return sum(site.zone == f"zone-{zone}" for site in self.sites)

    def plan(self) -> RebalancePlan:
        return plan_moves(self.entries, self.sites, RULE)

    def settle(self) -> Change:
        plan = self.plan()
        before = {node for entry in self.entries for node in nodes_of(entry)}
        gone = before - {site.node for site in self.sites}
        new = {site.node for site in self.sites} - before
        left = all(move.source in gone or move.to in new for move in plan.moves)
        self.entries = after_moves(self.entries, plan.moves)
        best, fullest = self.best_level(), max(self.loads().values())
        whole = -int(-(best - 1e-9) // 1)
        return Change(len(plan.moves), plan.moves_min, fullest / best, fullest / whole, left)

    def loads(self) -> Counter[NodeId]:
        loads = Counter({site.node: 0 for site in self.sites})
        loads.update(node for entry in self.entries for node in nodes_of(entry))
        assert len(loads) == len(self.sites), "a node that has gone still holds replicas"
        return loads

    def best_level(self) -> float:
        """The least that the fullest node can hold: the water level over zones that must and may hold so much each."""
        sizes = [len(fates) for fates in fates_by_zone(self.sites).values()]
        bounds = [zone_bounds(len(entry.target), sizes) for entry in self.entries]
        low = [sum(one[zone][0] for one in bounds) for zone in range(len(sizes))]
        high = [sum(one[zone][1] for one in bounds) for zone in range(len(sizes))]
        total = sum(len(entry.target) for entry in self.entries)

        def poured(level: float) -> list[float]:
            return [min(max(level * size, a), b) for size, a, b in zip(sizes, low, high, strict=True)]

        below, above = 0.0, float(total)
        for _ in range(60):
            middle = (below + above) / 2
            below, above = (middle, above) if sum(poured(middle)) < total else (below, middle)
        return max(held / size for held, size in zip(poured(above), sizes, strict=True))


def nodes_of(entry: PartitionEntry) -> list[NodeId]:
    return [place.node for place in entry.target]


def change_nodes(cluster: Cluster, pick: Callable[[int, int], int]) -> None:
    """Nodes come, go, or both; zones stay within two nodes of each other, as operators build them. `pick(a, b)`: a
    number from a to b."""
    kind = pick(0, 2)
    for _ in range(pick(1, 4) if kind != 1 else 0):
        smallest = min(cluster.size(zone) for zone in range(cluster.zones))
        zones = [zone for zone in range(cluster.zones) if cluster.size(zone) <= smallest + 1]
        cluster.add(zones[pick(0, len(zones) - 1)])
    for _ in range(pick(1, 4) if kind != 0 else 0):
        largest = max(cluster.size(zone) for zone in range(cluster.zones))
        zones = [zone for zone in range(cluster.zones) if cluster.size(zone) >= largest - 1]
        zone = zones[pick(0, len(zones) - 1)]
        if cluster.size(zone) > 2 and len(cluster.sites) > cluster.replicas_max + 1:
            inside = [site for site in cluster.sites if site.zone == f"zone-{zone}"]
            cluster.sites.remove(inside[pick(0, len(inside) - 1)])


def random_changes(seed: int, clusters: int, changes: int, zones: int = 0, replicas: int = 0) -> list[Change]:
    """So many changes to each of so many clusters, one after the other. `zones` and `replicas` 0: any."""
    random, found = Random(seed), []
    for _ in range(clusters):
        sizes = [random.randint(6, 8) for _ in range(zones or random.randint(1, 5))]
        tables = random.randint(1, 2)
        sort = [(random.randint(200, 600), replicas or random.choice([1, 2, 3, 3, 3, 5])) for _ in range(tables)]
        cluster = Cluster(sizes, sort)
        for _ in range(changes):
            change_nodes(cluster, random.randint)
            found.append(cluster.settle())
    return found
