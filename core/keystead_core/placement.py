"""Placement: which nodes hold the replicas of a group. Pure, seeded, the same answer for the same question.

Always: no two replicas of a group share a fate (host or disk), and a group spans as many zones as it can, as evenly as
they allow. Within that the load is level: no node holds more than one replica above another to which one of its
replicas could go. Within that, a node shares groups with at most `peers_max` others; where the shape of the cluster
leaves no choice (a zone of one node, a topology that changed), the limit gives way, and `Ledger.peers` shows it.

How groups are made. First every node gets its units (replicas to hold), the least loaded first, no fate more than one
and no zone more than its share a group. Then the units of `count` groups are laid on one line, node behind node, fate
behind fate, zone behind zone, and group j takes those at j, j + count, j + 2 count, ... A fate's units are a stretch no
longer than `count`, so that no group meets it twice; a zone's stretch gives each group its share, rounded down or up.
Neighbours on the line meet only a few others, which keeps peer sets small; several lines, each of another order, make
them as large as wished. A few groups on many nodes are chosen one by one, along existing peers (`_one_by_one`).
"""

from functools import lru_cache
from heapq import heapify, heappop, heapreplace
from math import gcd

import msgspec
import xxhash

from keystead_core.catalog.commands import ReplicaSpec
from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import NodeId
from keystead_core.ledger import Ledger, PlacementRule, Site
from keystead_core.preferred import level_masters
from keystead_core.quotas import zone_bounds

PEERS_PER_LINE_AND_SEAT = 3


class InsufficientNodes(ValueError):
    """Too few hosts for the replicas of one group."""


class InsufficientZones(ValueError):
    """Too few zones for a group to span those that a write must reach."""


class _Zone(msgspec.Struct):
    """A zone and the replicas that one group may have in it."""

    name: str
    sites: list[int]
    fates: int
    lower: int = 0
    upper: int = 0


class _Ground(msgspec.Struct):
    """The sites, by number, with the zone number of each; a fate lies in the zone of its first site."""

    sites: list[Site]
    zones: list[_Zone]
    zone_of: list[int]
    fate_sizes: dict[str, int]
    ties: list[int]


def place(
    count: int, replicas: int, durable_zones: int, sites: list[Site], ledger: Ledger, rule: PlacementRule
) -> list[list[NodeId]]:
    """The nodes of `count` new groups of `replicas` each, preferred master first. The ledger stays as it is.

    Raises InsufficientNodes, InsufficientZones.
    """
    ground = _survey(replicas, durable_zones, sites, rule)
    few = count * replicas < 4 * len(sites)
    if few and len(sites) > rule.peers_max + 1:
        groups = _one_by_one(count, replicas, ground, ledger, rule)
    else:
        groups = _on_lines(count, replicas, ground, ledger, rule)
    named = [[ground.sites[number].node for number in group] for group in groups]
    return _prefer_masters(named, ground, ledger)


def _survey(replicas: int, durable_zones: int, sites: list[Site], rule: PlacementRule) -> _Ground:
    """Checks that a group fits, and says how many replicas of it each zone gets."""
    assert replicas > 0
    ordered = sorted(sites, key=lambda site: site.node)
    fate_zone: dict[str, str] = {}
    fate_sizes: dict[str, int] = {}
    for site in ordered:
        fate_zone.setdefault(site.fate, site.zone)
        fate_sizes[site.fate] = fate_sizes.get(site.fate, 0) + 1
    if len(fate_zone) < replicas:
        raise InsufficientNodes(
            f"{replicas} replicas need {replicas} nodes on hosts and disks of their own; "
            f"there are {len(sites)} nodes on {len(fate_zone)}"
        )
    numbers = {zone: number for number, zone in enumerate(sorted(set(fate_zone.values())))}
    zones = [_Zone(name, [], 0) for name in numbers]
    if min(replicas, len(zones)) < durable_zones:
        raise InsufficientZones(
            f"a write must reach {durable_zones} zones, but {replicas} replicas in a cluster of {len(zones)} zones "
            f"span only {min(replicas, len(zones))}"
        )
    for name in fate_zone.values():
        zones[numbers[name]].fates += 1
    zone_of = [numbers[fate_zone[site.fate]] for site in ordered]
    for number, zone_number in enumerate(zone_of):
        zones[zone_number].sites.append(number)
    for zone, (lower, upper) in zip(zones, zone_bounds(replicas, [zone.fates for zone in zones]), strict=True):
        zone.lower, zone.upper = lower, upper
    return _Ground(ordered, zones, zone_of, fate_sizes, [_hash(rule.seed, site.node) for site in ordered])


def _on_lines(count: int, replicas: int, ground: _Ground, ledger: Ledger, rule: PlacementRule) -> list[list[int]]:
    """Level units on one line, then the groups of it in lots, each lot laid anew in another order."""
    units = _units(count, replicas, ground, [ledger.load(site.node) for site in ground.sites])
    first = _line(units, count, replicas, ground, rule.seed)
    spread = rule.peers_max // (PEERS_PER_LINE_AND_SEAT * max(1, replicas - 1))
    lots = max(1, min(spread, count * replicas // (4 * len(ground.sites))))
    groups: list[list[int]] = [[] for _ in range(count)]
    for lot in range(lots):
        taken = first[lot::lots]
        if lot:
            lot_units = [0] * len(ground.sites)
            for group in taken:
                for number in group:
                    lot_units[number] += 1
            taken = _line(lot_units, len(taken), replicas, ground, rule.seed + lot)
        groups[lot::lots] = taken
    return groups


def _units(count: int, replicas: int, ground: _Ground, loads: list[int]) -> list[int]:
    """How many replicas of `count` groups each site gets: level, under what fates and zones may hold."""
    units = [0] * len(ground.sites)
    fate_units = dict.fromkeys(ground.fate_sizes, 0)
    zone_units = [0] * len(ground.zones)

    def fill(heap: list[tuple[int, int, int, int, int]], wanted: int, zone_max: list[int]) -> None:
        heapify(heap)
        while wanted:
            load, zone_rank, fate_rank, tie, number = heap[0]
            fate, zone = ground.sites[number].fate, ground.zone_of[number]
            if fate_units[fate] == count or zone_units[zone] == zone_max[zone]:
                heappop(heap)
                continue
            units[number] += 1
            fate_units[fate] += 1
            zone_units[zone] += 1
            wanted -= 1
            heapreplace(heap, (load + 1, zone_rank, fate_rank, tie, number))

    def entry(number: int) -> tuple[int, int, int, int, int]:
        # Among equals the larger zone and the larger host go first: they are the ones that run into their limits.
        zone = ground.zones[ground.zone_of[number]]
        fate_size = ground.fate_sizes[ground.sites[number].fate]
        return (loads[number] + units[number], -len(zone.sites), -fate_size, ground.ties[number], number)

    lowest = [count * zone.lower for zone in ground.zones]
    for zone in ground.zones:
        fill([entry(number) for number in zone.sites], zone.lower * count, lowest)
    rest = (replicas - sum(zone.lower for zone in ground.zones)) * count
    fill([entry(number) for number in range(len(units))], rest, [count * zone.upper for zone in ground.zones])
    return units


def _line(units: list[int], count: int, replicas: int, ground: _Ground, seed: int) -> list[list[int]]:
    """Lays the units on a line and takes each group's at a stride of `count`."""

    def place_on_line(number: int) -> tuple[int, int, int]:
        site = ground.sites[number]
        zone = ground.zones[ground.zone_of[number]].name
        return (_hash(seed, zone), _hash(seed, site.fate), _hash(seed, site.node))

    line: list[int] = []
    for number in sorted(range(len(units)), key=place_on_line):
        line.extend([number] * units[number])
    assert len(line) == count * replicas
    return [line[group::count] for group in range(count)]


def _one_by_one(count: int, replicas: int, ground: _Ground, ledger: Ledger, rule: PlacementRule) -> list[list[int]]:
    """Each group from the least loaded node on, along nodes that are its peers or have room for another."""
    working = ledger.copy()
    queues = [
        sorted((working.load(ground.sites[number].node), ground.ties[number], number) for number in zone.sites)
        for zone in ground.zones
    ]
    groups = []
    for _ in range(count):
        group: list[int] = []
        names: list[NodeId] = []
        held = [0] * len(ground.zones)
        while len(group) < replicas:
            seats = replicas - len(group)
            owed = sum(max(0, zone.lower - held[z]) for z, zone in enumerate(ground.zones))
            open_zones = [
                z for z, zone in enumerate(ground.zones) if held[z] < (zone.lower if owed == seats else zone.upper)
            ]
            number = _next_member(open_zones, queues, group, names, ground, working, rule)
            group.append(number)
            names.append(ground.sites[number].node)
            held[ground.zone_of[number]] += 1
        working.add(names)
        for number in group:
            queue = queues[ground.zone_of[number]]
            load = working.load(ground.sites[number].node)
            queue.remove((load - 1, ground.ties[number], number))
            queue.append((load, ground.ties[number], number))
            queue.sort()
        groups.append(group)
    return groups


def _next_member(
    open_zones: list[int],
    queues: list[list[tuple[int, int, int]]],
    group: list[int],
    names: list[NodeId],
    ground: _Ground,
    ledger: Ledger,
    rule: PlacementRule,
) -> int:
    """The least loaded site of the open zones that keeps the peer limit; if none does, the one that hurts it least."""
    fates = [ground.sites[number].fate for number in group]
    free: list[tuple[int, int, int]] = []
    worst: list[tuple[int, int, int, int]] = []
    for zone in open_zones:
        for load, tie, number in queues[zone]:
            site = ground.sites[number]
            if site.fate in fates:
                continue
            excess = ledger.excess(site.node, names, rule.peers_max)
            if not excess:
                free.append((load, tie, number))
                break
            worst.append((excess, load, tie, number))
    return min(free)[-1] if free else min(worst)[-1]


def _prefer_masters(groups: list[list[NodeId]], ground: _Ground, ledger: Ledger) -> list[list[NodeId]]:
    """Puts first the member that is preferred by the fewest groups so far; one in maintenance only if all are. Then
    evens out what is left.

    Neighbouring groups have much the same members: they are visited in a scattered order, so that all counts rise
    together.
    """
    masters = dict(ledger.masters)
    resting = {site.node: not site.active for site in ground.sites}
    ties = {site.node: tie for site, tie in zip(ground.sites, ground.ties, strict=True)}
    ordered = list(groups)
    step = len(groups) * 618_034 // 1_000_000 | 1
    while gcd(step, len(groups)) != 1:
        step += 2
    for turn in range(len(groups)):
        number = turn * step % len(groups)
        group = groups[number]
        first = min(group, key=lambda node: (resting[node], masters.get(node, 0), ties[node]))
        masters[first] = masters.get(first, 0) + 1
        ordered[number] = _with_first(first, group)
    active = [node for node, rests in resting.items() if not rests]
    for number, first in level_masters(ordered, active, ledger.masters).items():
        ordered[number] = _with_first(first, ordered[number])
    return ordered


def _with_first(first: NodeId, group: list[NodeId]) -> list[NodeId]:
    return [first, *(node for node in group if node != first)]


def replacement(kept: list[NodeId], sites: list[Site], ledger: Ledger, rule: PlacementRule) -> NodeId | None:
    """The site that best completes the group `kept`: a new zone first, then within peers, then the least loaded.

    None if every site is one of the group's or shares a fate with one. The caller leaves out sites that it does not
    want (lost, draining, in maintenance).
    """
    zones: dict[str, int] = {}
    fates = []
    for site in sites:
        if site.node in kept:
            fates.append(site.fate)
            zones[site.zone] = zones.get(site.zone, 0) + 1
    best: tuple[int, int, int, int, NodeId] | None = None
    for site in sites:
        if site.fate in fates or site.node in kept:
            continue
        excess = ledger.excess(site.node, kept, rule.peers_max)
        key = (zones.get(site.zone, 0), excess, ledger.load(site.node), _hash(rule.seed, site.node), site.node)
        best = key if best is None else min(best, key)
    return best[-1] if best else None


def replace(
    partition: PartitionEntry, lost: list[NodeId], sites: list[Site], ledger: Ledger, rule: PlacementRule
) -> list[ReplicaSpec] | None:
    """The partition's target with each replica on a lost node moved to a new site; None if one finds no site.

    The survivors come first, so that one of them is preferred as master.
    """
    kept = [ReplicaSpec(place.node, place.role) for place in partition.target if place.node not in lost]
    usable = [site for site in sites if site.node not in lost]
    target = fill_seats(kept, len(partition.target), usable, ledger, rule)
    return target if len(target) == len(partition.target) else None


def fill_seats(
    kept: list[ReplicaSpec], seats: int, sites: list[Site], ledger: Ledger, rule: PlacementRule
) -> list[ReplicaSpec]:
    """`kept` and new voters up to `seats` places, or as many as find a site. `sites` hold those of `kept` too."""
    target = list(kept)
    while len(target) < seats:
        node = replacement([spec.node for spec in target], sites, ledger, rule)
        if node is None:
            break
        target.append(ReplicaSpec(node))
    return target


def place_log_only(
    partition: PartitionEntry, lost: NodeId, sites: list[Site], ledger: Ledger, rule: PlacementRule
) -> list[ReplicaSpec] | None:
    """The target with a log-only voter on a new site in the lost node's seat; None if no site is free.

    None too where the group cannot have one: at most F - 1 of its voters may be without rows, F = N - W + 1.
    """
    voters = len(partition.target)
    log_only = sum(place.role == "log-only" for place in partition.target)
    if log_only + 1 > voters - partition.write_quorum:
        return None
    kept = [ReplicaSpec(place.node, place.role) for place in partition.target if place.node != lost]
    node = replacement([spec.node for spec in kept], [s for s in sites if s.node != lost], ledger, rule)
    return None if node is None else [*kept, ReplicaSpec(node, "log-only")]


@lru_cache(maxsize=1 << 16)
def _hash(seed: int, name: str) -> int:
    return int(xxhash.xxh3_64_intdigest(name.encode(), seed=seed))
