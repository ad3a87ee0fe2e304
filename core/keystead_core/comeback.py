"""Which volumes would bring a group back that has lost the majority of its voters. Pure.

A group needs no help from outside: as soon as the nodes that are there make a failover quorum and can make a write
durable, they elect a master and go on with all that was acknowledged. Nodes that have left never count: what is on
their volumes is refused when they register.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import combinations
from math import comb

from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import NodeId
from keystead_core.replication.membership import Membership, founding_membership

CANDIDATES_MAX = 10
"""With more absent nodes than these the smallest sets are not looked for: all of them together are named."""


def ways_back(
    groups: Iterable[PartitionEntry], absent: Collection[NodeId], unusable: Collection[NodeId] = ()
) -> list[list[NodeId]]:
    """The smallest sets of absent nodes with which every one of the groups would serve again; no set holds another.

    `absent`: nodes that are not there and might come back. `unusable`: nodes on which nothing counts, there or not:
    they have left, or their replica takes no part. [[]] where nothing is missing; [] where not even all are enough.
    """
    rules = _rules_of(groups)
    voters = {m.node for membership in rules for m in membership.voters}
    candidates = sorted(voters & (set(absent) - set(unusable)))
    out = {*absent, *unusable}
    if not _all_serve(rules, out - set(candidates)):
        return []
    if len(candidates) > CANDIDATES_MAX:
        return [[]] if _all_serve(rules, out) else [candidates]
    found: list[list[NodeId]] = []
    for size in range(len(candidates) + 1):
        for chosen in combinations(candidates, size):
            if not any(set(way) <= set(chosen) for way in found) and _all_serve(rules, out - set(chosen)):
                found.append(list(chosen))
    return found


def can_go_on(group: PartitionEntry, out: Collection[NodeId]) -> bool:
    """Can the group's other voters elect a master, and make a write durable in as many zones as it must reach?"""
    return _all_serve(_rules_of([group]), out)


def ways_in_words(ways: list[list[NodeId]], called: Callable[[NodeId], str]) -> str:
    """'any one of a, b' | 'any 2 of a, b, c' | 'a and b' | 'a and b, or c'; '' where there is no way."""
    nodes = sorted({node for way in ways for node in way})
    size = len(ways[0]) if ways else 0
    if len(ways) > 1 and all(len(way) == size for way in ways) and len(ways) == comb(len(nodes), size):
        return f"any {'one' if size == 1 else size} of {', '.join(map(called, nodes))}"
    return ", or ".join(" and ".join(map(called, way)) for way in ways)


def _rules_of(groups: Iterable[PartitionEntry]) -> list[Membership]:
    """The last reported membership of each group; groups that are alike in it count once."""
    found = {}
    for entry in groups:
        majority = sum(place.role != "learner" for place in entry.members) // 2 + 1
        # Only what exceeds a majority is a rule of its own; a majority follows the number of voters.
        minimum = entry.write_quorum if entry.write_quorum > majority else 0
        key = tuple((place.node, place.zone, place.role) for place in entry.members)
        if (key, minimum, entry.durable_zones) not in found:
            membership = founding_membership(entry.members, minimum, entry.durable_zones, 0)
            found[key, minimum, entry.durable_zones] = membership
    return list(found.values())


def _all_serve(rules: list[Membership], out: Collection[NodeId]) -> bool:
    for membership in rules:
        there = [m.replica for m in membership.voters if m.node not in out]
        if not membership.is_failover_quorum(there) or not membership.is_durable(there):
            return False
    return True
