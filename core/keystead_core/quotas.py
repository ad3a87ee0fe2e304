"""The quota table: how many replicas and how many preferred masters each node should hold. Pure, and never stored.

    quotas_of(shapes, sites, held, masters, version) -> Quotas

Replicas are levelled like water: one level for all nodes, but no zone below what its share of every group forces on it
or above what its share allows, and no host or disk above one replica a group. Where the level is no whole number, the
nodes that hold more today get the larger half, for then nothing has to move. Preferred masters are levelled the same
way, no node above the replicas it holds.

A table follows from a map and the nodes that are wanted, so nobody has to keep it: `version` names the map. Whoever
plans from a newer map has a newer table; whatever was moved for an older one is where the newer one starts from.
"""

from collections.abc import Mapping

import msgspec

from keystead_core.ids import NodeId
from keystead_core.ledger import Site


class Quota(msgspec.Struct, frozen=True):
    """What one node should hold."""

    replicas: int
    masters: int


class Quotas(msgspec.Struct, frozen=True):
    """`version`: of the map that the table was made from. `zones`: the sums of `nodes` by zone, in replicas."""

    version: int
    nodes: dict[NodeId, Quota]
    zones: dict[str, int]


class Part(msgspec.Struct):
    """One of those among whom something is divided: `size` nodes, which together get from `lowest` to `highest`.

    `held`: what they have today.
    """

    size: int
    lowest: int
    highest: int
    held: int

    def at(self, level: int) -> int:
        return min(max(self.size * level, self.lowest), self.highest)


def level_enough(quota: int) -> int:
    """The most that a node may hold before it is worth a move: 2% above its quota, no less than the quota."""
    return quota + quota // 50


def zone_bounds(replicas: int, fates: list[int]) -> list[tuple[int, int]]:
    """The fewest and the most replicas of one group in each zone, by the number of fates there: as many zones as can
    be, as evenly as they allow."""
    level = max(t for t in range(replicas + 1) if sum(min(count, t) for count in fates) <= replicas)
    over = int(sum(min(count, level) for count in fates) < replicas)
    return [(min(count, level), min(count, level + over)) for count in fates]


def fates_by_zone(sites: list[Site]) -> dict[str, dict[str, list[Site]]]:
    """zone -> fate -> sites, all in order of their names. A fate lies in the zone of its first site."""
    home: dict[str, str] = {}
    zones: dict[str, dict[str, list[Site]]] = {}
    for site in sorted(sites, key=lambda one: one.node):
        zone = home.setdefault(site.fate, site.zone)
        zones.setdefault(zone, {}).setdefault(site.fate, []).append(site)
    return {zone: {fate: zones[zone][fate] for fate in sorted(zones[zone])} for zone in sorted(zones)}


def quotas_of(
    shapes: Mapping[int, int],
    sites: list[Site],
    held: Mapping[NodeId, int],
    masters: Mapping[NodeId, int],
    version: int = 0,
) -> Quotas:
    """The table for `shapes` (replicas of a group -> how many such groups) on the nodes `sites`.

    `held` and `masters`: what the nodes hold today. A group of more replicas than there are fates counts with as many.
    """
    zones = fates_by_zone(sites)
    groups = sum(shapes.values())
    bounds = {size: zone_bounds(size, [len(fates) for fates in zones.values()]) for size in shapes}
    parts = []
    for number, fates in enumerate(zones.values()):
        inside = [site for several in fates.values() for site in several]
        lowest = sum(count * bounds[size][number][0] for size, count in shapes.items())
        highest = sum(count * bounds[size][number][1] for size, count in shapes.items())
        parts.append(
            Part(len(inside), lowest, min(highest, len(fates) * groups), sum(held.get(site.node, 0) for site in inside))
        )
    total = sum(min(size, sum(len(fates) for fates in zones.values())) * count for size, count in shapes.items())
    zone_totals = divide(total, parts)
    replicas: dict[NodeId, int] = {}
    for fates, zone_total in zip(zones.values(), zone_totals, strict=True):
        replicas.update(_inside(zone_total, fates, groups, held))
    nodes = sorted(replicas)
    first = divide(groups, [Part(1, 0, replicas[node], masters.get(node, 0)) for node in nodes]) if nodes else []
    return Quotas(
        version,
        {node: Quota(replicas[node], count) for node, count in zip(nodes, first, strict=True)},
        dict(zip(zones, zone_totals, strict=True)),
    )


def _inside(
    total: int, fates: dict[str, list[Site]], groups: int, held: Mapping[NodeId, int]
) -> list[tuple[NodeId, int]]:
    """Divides a zone's replicas among its fates, and each fate's among its nodes."""
    parts = [Part(len(sites), 0, groups, sum(held.get(site.node, 0) for site in sites)) for sites in fates.values()]
    quotas = []
    for sites, share in zip(fates.values(), divide(total, parts), strict=True):
        each = divide(share, [Part(1, 0, groups, held.get(site.node, 0)) for site in sites])
        quotas += [(site.node, count) for site, count in zip(sites, each, strict=True)]
    return quotas


def divide(total: int, parts: list[Part]) -> list[int]:
    """What each part gets, `total` in all, or as much as fits in. What is left over a whole level goes first to those
    who hold more than the level, then to the others, the fullest first."""
    total = min(total, sum(part.highest for part in parts))
    low, high = 0, total + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if sum(part.at(middle) for part in parts) <= total else (low, middle)
    given = [part.at(low) for part in parts]
    rest = total - sum(given)
    assert rest >= 0, "the parts' lowest shares are more than there is"
    order = sorted(range(len(parts)), key=lambda number: (given[number] - parts[number].held, number))
    for held_only in (True, False):
        for number in order:
            room = parts[number].at(low + 1) - given[number]
            wish = min(room, max(0, parts[number].held - given[number])) if held_only else room
            more = min(rest, wish)
            given[number] += more
            rest -= more
    assert rest == 0, "a level higher there would have been room for all"
    return given
